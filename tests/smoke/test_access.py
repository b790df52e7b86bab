"""Users get in, others don't, and the first page opens whole."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from tests.smoke.pages import places
from tests.smoke.pages.noise import Noise
from tests.smoke.users import MANAGER, Users, Window

from gonogo import Measure, Seen, Target, at_least, at_most, empty, equals, is_true

WHOLE = "playbook: the dashboard loads completely"
QUIET = "launch.toml: smoke.allow_console"
ACCESS = "playbook: users can sign in, and nobody else"
COOKIE = "a session's cookie is for this site, over TLS, and for no script"
SHORTEST_SESSION = 16
"""A shorter value of a cookie opens nothing."""


@pytest.mark.gate("smoke.access")
def test_access(users: Users, target: Target, measure: Measure, seen: Seen) -> None:
    """Signing in works, a wrong password does not, and the dashboard opens completely and without an error."""
    smoke = target.settings("smoke")
    user, password = users.credentials(MANAGER)
    window = users.nobody()
    _meet_the_sign_in(window, measure)
    _be_refused(window, user, measure, seen)

    window.context.clear_cookies()
    window.sign_in.goto()
    window.noise.clear()  # the refusal is an answer with an HTTP error, on purpose
    before = {cookie["name"] for cookie in window.context.cookies()}
    window.sign_in.fill(user, password)
    measure("the right password leads on", window.sign_in.goes_on(), is_true(ACCESS))
    opening = window.tracking.opening(None, smoke.timeout_s)
    _judge_cookies(window, before, users, measure)

    window.picture("dashboard.png")
    measure("dashboard status", window.noise.page_status, equals(200, WHOLE))
    paint, load = target.source("smoke.paint_s"), target.source("smoke.load_s")
    measure("time until something is drawn", opening.paint_s, at_most(smoke.paint_s, paint), unit="s")
    measure("time until usable", opening.ready_s, at_most(smoke.load_s, load), unit="s")
    if opening.paint_s is not None and opening.ready_s is not None:
        seen(f"dashboard: something is drawn after {opening.paint_s:.2f} s, usable after {opening.ready_s:.2f} s")
    measure("page has a title", bool(opening.title.strip()), is_true(WHOLE))
    measure("page has a visible heading", bool(opening.heading), is_true(WHOLE))
    measure("the page says who is signed in", bool(window.tracking.account()), is_true(ACCESS))
    _judge_noise(window.noise, [known.pattern for known in smoke.allow_console], measure)
    _leave(window, measure, seen)


def _meet_the_sign_in(window: Window, measure: Measure) -> None:
    """Somebody who is not signed in sees the sign-in page in the place of the dashboard."""
    window.tracking.goto()
    measure("without a session the dashboard asks to sign in", window.sign_in.is_shown(), is_true(ACCESS))


def _be_refused(window: Window, user: str, measure: Measure, seen: Seen) -> None:
    """A wrong password is refused with a sentence."""
    window.sign_in.goto()
    window.sign_in.fill(user, f"wrong-{secrets.token_hex(6)}")
    said = window.sign_in.refusal()
    measure("a wrong password is answered with a sentence", bool(said), is_true(ACCESS))
    window.tracking.goto()
    measure("a wrong password opens nothing", window.sign_in.is_shown(), is_true(ACCESS))
    seen(f"wrong password refused: {said}")


def _judge_cookies(window: Window, before: set[str], users: Users, measure: Measure) -> None:
    """The cookies that came with the session; one that is short carries none."""
    cookies: list[Any] = [one for one in window.context.cookies() if one["name"] not in before]
    for cookie in cookies:
        users.hide(cookie["value"])
    session = [one for one in cookies if len(one["value"]) >= SHORTEST_SESSION]
    measure("cookies that keep the session", len(session), at_least(1, ACCESS))
    for what, key in (("without Secure", "secure"), ("without HttpOnly", "httpOnly")):
        bare = [one["name"] for one in session if not one[key]]
        measure(f"session cookies {what}", bare, empty(COOKIE), n=len(session))
    lax = [one["name"] for one in session if one.get("sameSite") not in ("Lax", "Strict")]
    measure("session cookies that other sites can use", lax, empty(COOKIE), n=len(session))


def _judge_noise(noise: Noise, allowed: list[str], measure: Measure) -> None:
    measure("requests that failed", noise.failed_requests, empty(WHOLE))
    measure("answers with an HTTP error", noise.bad_answers, empty(WHOLE))
    measure("script errors", noise.page_errors, empty(WHOLE))
    measure("console errors and warnings", noise.console(allowed), empty(QUIET))


def _leave(window: Window, measure: Measure, seen: Seen) -> None:
    """Whoever signs out is out."""
    signs_out = places.SIGN_OUT(window.page)
    measure("there is a way to sign out", signs_out.count() == 1, is_true(ACCESS))
    if signs_out.count() != 1:
        return
    signs_out.click()
    window.sign_in.is_shown()
    window.tracking.goto()
    measure("after signing out the dashboard asks again", window.sign_in.is_shown(), is_true(ACCESS))
    seen("signed out, and the dashboard asks to sign in again")
