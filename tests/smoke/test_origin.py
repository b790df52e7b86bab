"""Pages ask the launched origin and nobody else, look as they should, and have no dead buttons."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from tests.smoke.pages import places
from tests.smoke.pages.asking import Asking
from tests.smoke.pages.buttons import Buttons, Quiet
from tests.smoke.pages.screen import Screen
from tests.smoke.pages.styles import styles_of
from tests.smoke.users import MANAGER, Users, Window

from gonogo import EvidenceKeeper, Measure, Seen, Target, at_least, empty, equals

ORIGIN = "playbook: nothing points at localhost, staging or an unencrypted address"
STYLED = "playbook: styles are applied"
ALIVE = "playbook: every button does something"


@pytest.mark.gate("smoke.origin")
def test_origin(users: Users, target: Target, measure: Measure, seen: Seen, evidence: EvidenceKeeper) -> None:
    """Every page asks the launched origin alone, over TLS, is styled, and each of its buttons does something."""
    smoke = target.settings("smoke")
    window = users.at(MANAGER, smoke.analytics, prepare=_prepare)
    asking, quiet = window.prepared
    pressed = 0
    for name, page in _pages(window).items():
        page.enter()
        styles = styles_of(window.page)
        measure(f"{name}: style sheets", styles.sheets, at_least(1, STYLED))
        measure(f"{name}: style sheets without a rule", list(styles.blank), empty(STYLED))
        measure(f"{name}: parts without any style", list(styles.plain), empty(STYLED))
        asking.look(window.page)
        with quiet.around(window.page):
            found = Buttons(window.page, page.enter).press_all()
            asking.look(window.page)
        pressed += len(found.names)
        measure(f"{name}: buttons that do nothing", list(found.dead), empty(ALIVE), n=max(1, len(found.names)))
        seen(f"{name}: {styles.sheets} style sheets, {len(found.names)} buttons pressed, {len(found.dead)} dead")
    measure("buttons that were pressed", pressed, at_least(1, ALIVE))
    allowed = [one.origin for one in smoke.allow_requests]
    elsewhere = asking.elsewhere(_origin(target), allowed)
    evidence.json("addresses.json", asking.asked)
    measure("scheme of the launched origin", target.scheme, equals("https", ORIGIN))
    measure("addresses of somebody else", elsewhere, empty(ORIGIN), n=asking.requests)
    seen(f"{asking.requests} requests, {len(elsewhere)} addresses of somebody else")


def _prepare(window: Window) -> tuple[Asking, Quiet]:
    return Asking(window.context), Quiet(window.context)


def _pages(window: Window) -> dict[str, Screen]:
    return {
        places.TRACKING: window.tracking,
        places.DISPATCH: window.dispatch,
        places.MAINTENANCE: window.maintenance,
        places.ANALYTICS: window.analytics,
    }


def _origin(target: Target) -> str:
    split = urlsplit(target.base_url)
    return f"{split.scheme}://{split.netloc}"
