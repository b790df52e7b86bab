"""What the gates of the release's source share: the repository's folder, and what is remembered of the tests."""

from __future__ import annotations

import glob
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gonogo import Target, ToolError

MEMORY = "tests.json"
LISTED = 10


def short(entries: Sequence[object]) -> list[str]:
    """A list as a report can show it; evidence holds all of it."""
    shown = [str(entry) for entry in entries[:LISTED]]
    return [*shown, f"and {len(entries) - LISTED} more"] if len(entries) > LISTED else shown


def repository_of(target: Target) -> Path:
    """Folder of the release's repository."""
    return target.root / Path(target.expand(target.settings("change").repository)).expanduser()


def filled(target: Target, command: Sequence[str]) -> list[str]:
    """A command with the repository's folder for ``{repository}``."""
    folder = str(repository_of(target).absolute())
    return [part.replace("{repository}", folder) for part in command]


def files_of(target: Target, pattern: str) -> list[Path]:
    """Files that match a pattern, newest last; it begins in the repository, unless with ``/``, ``~`` or ``$``."""
    if pattern.startswith(("/", "~", "$")):
        return target.files(pattern)
    folder = glob.escape(str(repository_of(target).absolute())).replace("$", "$$")
    return target.files(f"{folder}/{pattern}")


def table_of(target: Target, name: str) -> Any:
    """One of the tables inside ``change``.

    Raises:
        ToolError: launch.toml does not have it.
    """
    table = getattr(target.settings("change"), name)
    if table is None:
        raise ToolError(
            f"launch.toml: [targets.{target.name}.change.{name}] is missing; add its command, or scope the box out"
        )
    return table


@dataclass(frozen=True)
class LastRun:
    """What is remembered of the last good run of the tests."""

    tests: int
    at: str
    version: str


def recall(target: Target) -> LastRun | None:
    """The last good run on this target, as far as this machine's reports know it.

    Raises:
        ToolError: what was remembered can't be read.
    """
    found = _memory(target).get(target.name)
    try:
        return LastRun(int(found["tests"]), str(found["at"]), str(found["version"])) if found else None
    except (KeyError, TypeError, ValueError):
        raise ToolError(_unreadable(target)) from None


def remember(target: Target, tests: int) -> None:
    """Write down how many tests a good run had; in one step, so that nobody reads half of it."""
    known = _memory(target)
    known[target.name] = {"tests": tests, "at": datetime.now(UTC).isoformat(), "version": target.version}
    path = target.reports / MEMORY
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    new.replace(path)


def _memory(target: Target) -> dict[str, Any]:
    path = target.reports / MEMORY
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise ToolError(_unreadable(target)) from None
    if not isinstance(found, dict):
        raise ToolError(_unreadable(target))
    return found


def _unreadable(target: Target) -> str:
    return (
        f"{target.reports / MEMORY} can't be read, so nobody knows how many tests there were; restore it, or "
        "remove it and write change.tests.min_tests"
    )
