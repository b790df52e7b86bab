"""Presses every button of a page and looks whether anything comes of it. Nothing that writes gets through."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from playwright.sync_api import BrowserContext, Error, Locator, Page, Route, WebSocketRoute
from playwright.sync_api import TimeoutError as RanOut
from tests.smoke.pages import places

_DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
EFFECT_S = 2.0
"""Within it something must be seen to happen."""
MANY = 6
"""Of more buttons that are alike, such as the rows of a list, the first and the last are pressed."""
_READS = ("GET", "HEAD", "OPTIONS")

_STATES = """(buttons) => buttons.map((button) => {
  const tell = [button.getAttribute("aria-label"), button.textContent, button.title, button.value];
  const { width, height } = button.getBoundingClientRect();
  return {
    name: (tell.find((text) => text && text.trim()) ?? "").trim().replace(/\\s+/g, " "),
    kind: [button.tagName, button.className, ...Object.keys(button.dataset)].join(" "),
    on: button.getAttribute("aria-pressed") === "true" || button.hasAttribute("aria-current"),
    off: button.disabled || button.getAttribute("aria-disabled") === "true" || !width || !height,
  };
})"""

# Counts what changes on the page, but for what shows how live it is: that changes by itself.
_OBSERVE = """(live) => {
  const fields = [...document.querySelectorAll("input, select, textarea")];
  const values = () => fields.map((field) => field.value).join("\\n");
  const before = values();
  let changes = 0;
  window.__gonogoObserver?.disconnect();
  window.__gonogoObserver = new MutationObserver((records) => {
    const ours = (node) => !(node.nodeType === 1 ? node : node.parentElement)?.closest(live);
    changes += records.filter(({ target }) => ours(target)).length;
  });
  const everything = { subtree: true, childList: true, attributes: true, characterData: true };
  window.__gonogoObserver.observe(document.documentElement, everything);
  window.__gonogoEffect = () => changes > 0 || values() !== before;
}"""


@dataclass(frozen=True)
class Pressed:
    """What came of the buttons of one page."""

    names: tuple[str, ...]
    """Those that were pressed."""
    dead: tuple[str, ...]
    """Those of which nothing came."""


@dataclass(frozen=True)
class _Button:
    name: str
    kind: str
    """What it has in common with others that are alike."""
    on: bool
    """A switch that is on: pressing it again need not do anything."""
    off: bool


class Quiet:
    """Keeps a context from writing, and its pages from changing by themselves once they are asked to be quiet."""

    def __init__(self, context: BrowserContext) -> None:
        """Stands between; call before the first page is opened."""
        self._quiet = False
        self.kept_back = 0
        """Writing requests that were answered here."""
        context.route_web_socket(re.compile(".*"), self._feed)

    @contextlib.contextmanager
    def around(self, page: Page) -> Iterator[None]:
        """Meanwhile whatever writes is answered here, and nothing comes over the live connection.

        At the end the page is left, so that nothing that was pressed comes through later.
        """
        self._quiet = True
        page.route("**/*", self._pass)
        try:
            yield
        finally:
            page.goto("about:blank")
            page.unroute("**/*", self._pass)
            self._quiet = False

    def _pass(self, route: Route) -> None:
        if route.request.method in _READS:
            route.fallback()
            return
        self.kept_back += 1
        route.fulfill(status=403, json={"error": "nothing is changed while the buttons are tried"})

    def _feed(self, socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def forward(message: str | bytes) -> None:
            if not self._quiet:
                socket.send(message)

        server.on_message(forward)
        socket.on_message(server.send)


class Buttons:
    """The buttons of one page, outside of dialogs."""

    def __init__(self, page: Page, reopen: Callable[[], object]) -> None:
        """Prepares.

        Args:
            page: is open, and quiet.
            reopen: opens the page anew after a button led away from it.
        """
        self._page = page
        self._reopen = reopen
        self._requests = self._answered = 0
        self._open = 0
        page.on("request", lambda _: self._count(1))
        page.on("requestfinished", lambda _: self._count(-1))
        page.on("requestfailed", lambda _: self._count(-1))

    def press_all(self) -> Pressed:
        """Presses each of them, also those that appear on the way, and takes back what can be taken back."""
        done = set[tuple[str, ...]]()
        names, dead = list[str](), list[str]()
        while (found := self._next(done) or self._next_after_answers(done)) is not None:
            index, name = found
            names.append(name)
            button = places.BUTTONS(self._page).nth(index)
            # A map that still glides ignores a press, and whoever pressed presses again; a dead button stays dead.
            if not (self._press(button) or self._press(button)):
                dead.append(name or "a button without a name")
        return Pressed(tuple(names), tuple(dead))

    def _next(self, done: set[tuple[str, ...]]) -> tuple[int, str] | None:
        """Position and name of a button that was not pressed yet; a switch only while it is off."""
        states = [_Button(**one) for one in places.BUTTONS(self._page).evaluate_all(_STATES)]
        alike = Counter(one.kind for one in states if not one.off)
        passed = Counter[str]()
        same = Counter[tuple[str, str]]()
        for index, one in enumerate(states):
            if one.off:
                continue
            passed[one.kind] += 1
            same[one.kind, one.name] += 1
            if alike[one.kind] <= MANY:
                mark: tuple[str, ...] = (one.kind, one.name, str(same[one.kind, one.name]))
            elif passed[one.kind] in (1, alike[one.kind]):
                mark = (one.kind, "first" if passed[one.kind] == 1 else "last")
            else:
                continue
            if mark not in done and not one.on:
                done.add(mark)
                return index, one.name
        return None

    def _next_after_answers(self, done: set[tuple[str, ...]]) -> tuple[int, str] | None:
        """The same once everything is answered that was asked for: that may have brought other buttons."""
        if self._requests == self._answered:
            return None
        self._answered = self._requests
        with contextlib.suppress(RanOut):
            while self._open:
                self._page.wait_for_event("requestfinished", timeout=EFFECT_S * 1000)
            self._page.evaluate(_DRAWN)
        return self._next(done)

    def _press(self, button: Locator) -> bool:
        page, before, asked = self._page, self._page.url, self._requests
        try:
            page.evaluate(_OBSERVE, places.LIVE)
            button.click(timeout=EFFECT_S * 1000)
            page.wait_for_function("() => window.__gonogoEffect?.() ?? true", timeout=EFFECT_S * 1000)
            happened = True
        except RanOut:
            happened = self._requests > asked or page.url != before
        except Error:  # the page went away under the button
            happened = True
        self._take_back(before)
        return happened

    def _take_back(self, before: str) -> None:
        if self._page.url.partition("?")[0] != before.partition("?")[0]:
            self._reopen()
        elif places.DIALOG(self._page).first.is_visible():
            self._page.keyboard.press("Escape")
            places.DIALOG(self._page).first.wait_for(state="hidden")

    def _count(self, change: int) -> None:
        self._open += change
        self._requests += change > 0
