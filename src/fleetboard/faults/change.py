"""Faults of the source, its tests and its dependencies."""

from __future__ import annotations

from fleetboard.faults.fault import Fault

FAULTS: tuple[Fault, ...] = ()
