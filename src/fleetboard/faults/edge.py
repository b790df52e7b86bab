"""Faults of the way in: redirects, headers, what is exposed."""

from __future__ import annotations

from fleetboard.faults.fault import Fault

FAULTS: tuple[Fault, ...] = ()
