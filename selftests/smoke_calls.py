"""Calls gates of the pages on a real target in a real browser, without a pytest session."""

from __future__ import annotations

import contextlib
import inspect
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Error, sync_playwright

from gate_calls import Called, call, gates
from gonogo import EvidenceKeeper, Measure, Seen
from gonogo.browser import FLAGS, find_chromium, name_rules, sandbox, trust_store
from gonogo.model import Outcome
from gonogo.target import Target


@contextlib.contextmanager
def browser_for(*targets: Target) -> Iterator[Browser]:
    """Chromium as the plugin starts it: it knows the targets' names and authorities, and verifies certificates."""
    home = Path(tempfile.mkdtemp(prefix="gonogo-browser-"))
    try:
        trust_store([target.ca_file for target in targets if target.ca_file], home)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=find_chromium(),
                args=[*FLAGS, *sandbox(), f"--host-resolver-rules={name_rules(targets)}"],
                env={"HOME": str(home)},
            )
            try:
                yield browser
            finally:
                browser.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def call_page(gate: str, target: Target, browser: Browser, sessions: dict[Any, Any] | None = None) -> Called:
    """Run one gate's body in windows of its own, and judge it as the plugin does.

    Args:
        gate: its id.
        target: is started.
        browser: knows the target.
        sessions: who is signed in already, from one call to the next; nobody if ``None``.
    """
    function = gates()[gate]
    from tests.smoke.users import Users  # noqa: PLC0415 - found once the gates are

    known = {} if sessions is None else sessions
    with _windows(browser) as new_context:

        def body(target: Target, measure: Measure, evidence: EvidenceKeeper, seen: Seen) -> None:
            with contextlib.closing(Users(new_context, target, evidence, _hide, seen, sessions=known)) as users:
                given = {"users": users, "target": target, "measure": measure, "evidence": evidence, "seen": seen}
                function(**{name: given[name] for name in inspect.signature(function).parameters})

        try:
            return call(body, target)
        except Error as error:  # what the plugin makes of it, see session.py
            return Called(Outcome.FAIL, f"the browser could not do it: {error.message.splitlines()[0]}")


def _hide(text: str | None) -> None:
    """Nothing is stored here."""


@contextlib.contextmanager
def _windows(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """What pytest-playwright's ``new_context`` is: every window is closed at the end."""
    opened: list[BrowserContext] = []

    def new_context(**arguments: Any) -> BrowserContext:
        opened.append(browser.new_context(**{"locale": "en-US", **arguments}))
        return opened[-1]

    try:
        yield new_context
    finally:
        for context in opened:
            context.close()
