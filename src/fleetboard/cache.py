"""A Redis server, as the cache that the application's operators rely on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleetboard.parts import Surroundings


def start(around: Surroundings) -> Mapping[str, str]:  # noqa: ARG001 - filled in next
    """Start it.

    Raises:
        StartError: it did not come up.
    """
    return {}
