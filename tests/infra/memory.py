"""Memory of the target's processes, look by look, and whether it grows."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tests.infra.test_process import MEGABYTE, look

from gonogo import Target

Looks = Sequence[tuple[float, float]]
"""Moments in seconds, and the bytes that were seen."""


class Memory:
    """What each process of the plan's table ``process`` takes; looks at nothing without that table."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.looks: dict[str, list[tuple[float, float]]] = {}
        """By process, on the monotonic clock."""

    def look(self) -> None:
        """Look once.

        Raises:
            TargetError: the processes' manager does not answer as it should.
            ToolError: it can't be asked.
        """
        if self._target.has("process"):
            now = time.monotonic()
            for seen in look(self._target):
                if seen.memory_bytes is not None:
                    self.looks.setdefault(f"{seen.name} (pid {seen.pid})", []).append((now, seen.memory_bytes))


def megabytes(looks: Looks) -> list[tuple[float, float]]:
    """The same in units of 10^6 bytes."""
    return [(at, size / MEGABYTE) for at, size in looks]
