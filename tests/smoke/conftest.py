"""The fixture that smoke gates share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from tests.smoke.users import Users

from gonogo import EvidenceKeeper, Hide, Seen, Target

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext


@pytest.fixture
def users(
    new_context: Callable[..., BrowserContext], target: Target, evidence: EvidenceKeeper, hide: Hide, seen: Seen
) -> Iterator[Users]:
    """Somebody who signs in, in windows of the browser and at the API."""
    found = Users(new_context, target, evidence, hide, seen)
    yield found
    found.close()
