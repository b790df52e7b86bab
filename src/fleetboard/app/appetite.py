"""Processes that take more than their share: of memory, of the processor."""

from __future__ import annotations

import threading
from collections.abc import Collection

_GREEDY = "b"
"""The one instance that does; the other is as it should be."""
_HOARD_BYTES = 200_000_000
_hoard: list[bytearray] = []


def indulge(instance: str, faults: Collection[str]) -> None:
    """Take what the faults of this instance say."""
    if instance != _GREEDY:
        return
    if "process-memory" in faults:
        _hoard.append(bytearray(b"\x01") * _HOARD_BYTES)  # written to, or the kernel would not hand it out
    if "process-busy" in faults:
        threading.Thread(target=_spin, daemon=True).start()


def _spin() -> None:
    while True:
        sum(range(1000))
