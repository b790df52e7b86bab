"""What a fault is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One named defect."""

    name: str
    gates: tuple[str, ...]
    """Ids of the gates it must turn red."""
    description: str
    front_end: bool = False
    """Carried out by the page's own scripts, which read it from ``<html data-faults>``."""
