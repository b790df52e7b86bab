"""The fixtures that smoke gates share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from tests.smoke.users import Sessions, Users

from gonogo import EvidenceKeeper, Hide, Seen, Target

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext


@pytest.fixture(scope="session")
def sessions() -> Sessions:
    """Who is signed in already."""
    return {}


@pytest.fixture
def users(
    new_context: Callable[..., BrowserContext],
    target: Target,
    evidence: EvidenceKeeper,
    hide: Hide,
    seen: Seen,
    *,
    sessions: Sessions,
) -> Iterator[Users]:
    """Somebody who signs in, in windows of the browser and at the API."""
    found = Users(new_context, target, evidence, hide, seen, sessions=sessions)
    yield found
    found.close()
