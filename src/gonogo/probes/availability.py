"""Starts and ends the program that asks a service all the time, and reads what it saw.

The program is ``gonogo.prober``. What is told here survives the session that began it: a file with one line a
second, to which whoever changes the service adds marks.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gonogo.errors import ToolError
from gonogo.wire import Place

__all__ = ["Asking", "AvailabilityFacts", "Mark", "Place", "begin", "mark", "read", "stop"]

START_S = 10.0
STOP_S = 8.0
_POLL_S = 0.05
_PROGRAM = "gonogo.prober"


@dataclass(frozen=True)
class Asking:
    """What is asked."""

    place: Place
    fresh_path: str
    kept_path: str
    per_s: float
    timeout_s: float
    socket_path: str = ""
    max_s: float = 14_400.0
    follow: int = 0
    """Id of a process with which the program ends; 0 for none."""


@dataclass(frozen=True)
class Mark:
    """Something that was done to the service meanwhile."""

    name: str
    at: float
    """Seconds since the epoch, as all moments here."""


@dataclass(frozen=True)
class AvailabilityFacts:
    """What was seen from the first second to the last."""

    began: float
    ended: float
    """Of the last second that was told."""
    seconds: int
    asked: int
    failed: int
    kinds: Mapping[str, int]
    """Failures by path and reason."""
    longest_gap_s: float
    """Without a good answer over new connections, or over the kept one."""
    late_s: float
    """How late the program itself was, at worst."""
    blind_s: float
    """Longest time between two lines beyond the second that it should be."""
    sockets_opened: int
    sockets_lost: int
    away_s: float
    """Longest time until the live channel was back; up to the end, if it was not."""
    marks: tuple[Mark, ...]
    failures: tuple[Mapping[str, Any], ...]
    """The first hundred."""

    def saw(self, name: str) -> bool:
        """Whether something was done while the program was asking."""
        return any(one.name == name and self.began <= one.at <= self.ended for one in self.marks)


def begin(asking: Asking, file: Path) -> None:
    """Start the program, and wait until it has told its first second; one that writes to the same file is ended.

    Raises:
        ToolError: it did not start.
    """
    stop(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    done = subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", _PROGRAM, str(file.resolve())],
        input=json.dumps(asdict(asking)) + "\n",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=START_S,
        check=False,
    )
    ends = time.monotonic() + START_S
    while done.returncode == 0 and time.monotonic() < ends:
        if any(line.get("kind") == "second" for line in _lines(file)):
            return
        time.sleep(_POLL_S)
    said = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
    raise ToolError(f"the program that watches the service did not start: {said[0]}")


def mark(file: Path, name: str) -> None:
    """Write down that something is being done; nothing if nobody watches."""
    if file.exists():
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps({"kind": "mark", "at": time.time(), "name": name}) + "\n")


def stop(file: Path) -> None:
    """End the program that writes to this file, if there is one, and wait for its last line."""
    pid = next((int(line["pid"]) for line in _lines(file) if line.get("kind") == "begin"), 0)
    if not pid or not _is_ours(pid, file):
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    ends = time.monotonic() + STOP_S
    while _is_ours(pid, file) and time.monotonic() < ends:
        time.sleep(_POLL_S)


def read(file: Path) -> AvailabilityFacts | None:
    """What the file tells; ``None`` if nobody has watched."""
    lines = _lines(file)
    seconds = [line for line in lines if line.get("kind") == "second"]
    began = next((float(line["at"]) for line in lines if line.get("kind") == "begin"), None)
    if began is None or not seconds:
        return None
    ended = float(seconds[-1]["at"])
    moments = [began, *(float(line["at"]) for line in seconds)]
    failures = [line for line in lines if line.get("kind") == "failure"]
    opened = [line for line in lines if line.get("kind") == "socket open"]
    lost = [line for line in lines if line.get("kind") == "socket lost"]
    away = [float(line["away_s"]) for line in opened]
    if lost and (not opened or lost[-1]["at"] > opened[-1]["at"]):
        away.append(ended - float(lost[-1]["at"]))
    return AvailabilityFacts(
        began=began,
        ended=ended,
        seconds=len(seconds),
        asked=sum(int(line["asked"]) for line in seconds),
        failed=sum(int(line["failed"]) for line in seconds),
        kinds=dict(Counter(f"{line['path']}: {line['why']}" for line in failures).most_common()),
        longest_gap_s=max(float(line["gap_s"]) for line in seconds),
        late_s=max(float(line["late_s"]) for line in seconds),
        blind_s=max(0.0, *(after - before - 1.0 for before, after in itertools.pairwise(moments))),
        sockets_opened=len(opened),
        sockets_lost=len(lost),
        away_s=max(away, default=0.0),
        marks=tuple(Mark(str(line["name"]), float(line["at"])) for line in lines if line.get("kind") == "mark"),
        failures=tuple(failures[:100]),
    )


def _lines(file: Path) -> list[dict[str, Any]]:
    """The lines that are whole; none without a file."""
    found = []
    try:
        text = file.read_text(encoding="utf-8")
    except OSError:
        return []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):  # the last one may be half written
            found.append(json.loads(line))
    return found


def _is_ours(pid: int, file: Path) -> bool:
    """Whether this process is the program that writes to this file: its number may belong to another by now."""
    import psutil  # type: ignore[import-untyped]  # noqa: PLC0415 - only here

    try:
        process = psutil.Process(pid)
        line = process.cmdline()
        return _PROGRAM in line and str(file.resolve()) in line and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
