"""The embedded target's own mail server and chat, without the rest of the target."""

from __future__ import annotations

import contextlib
import json
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fleetboard import inboxes
from fleetboard.parts import Surroundings
from fleetboard.pki import Authority


@contextlib.contextmanager
def letter_boxes(*faults: str) -> Iterator[dict[str, str]]:
    """Both of them with these faults; yields the variables that lead to them."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as closing:
        work = Path(folder)
        around = Surroundings(work, work, faults, [], closing, Authority.create(), "https://app.fleet.test", {})
        yield dict(inboxes.start(around))


def received(boxes: dict[str, str], kind: str = "chat") -> list[dict[str, Any]]:
    """What arrived, oldest first."""
    url = boxes[inboxes.CHAT_RECEIVED if kind == "chat" else inboxes.MAIL_RECEIVED]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=5) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found
