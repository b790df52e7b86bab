"""Records what a gate's browser does, and keeps it as evidence if the gate does not pass."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gonogo.pictures import PERSONAL, personal_texts, preview_name, take_picture
from gonogo.redaction import redacted
from gonogo.traces import COVER, cleaned

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response, WebError, WebSocket

Keep = Callable[[str, bytes], None]

_MOST_LINES = 5000
_SHORTEST = 4
"""A shorter text stands in too many words to be taken out by value."""

# Marks what is personal, and writes the style sheets into the page: a trace that begins now would not have them.
_MARK = """([selectors, mark]) => {
  document.querySelectorAll(selectors).forEach((one) => one.setAttribute(mark, ""));
  const rules = (sheet) => { try { return [...sheet.cssRules].map((rule) => rule.cssText); } catch { return []; } };
  const style = document.createElement("style");
  style.textContent = [...document.styleSheets].flatMap(rules).join("\\n");
  document.head?.append(style);
}"""


class Recording:
    """What one gate did in its browser: steps, console, network.

    As long as the gate is fine, this costs next to nothing: states of the page are only taken at the end.
    """

    def __init__(self, hide: Callable[[str], str], mask: Sequence[str] = (), *, traced: bool = True) -> None:
        """Prepares; nothing is recorded yet.

        Args:
            hide: takes secrets out of a text, by value.
            mask: CSS selectors of what is personal, beside ``[data-personal]``.
            traced: whether a trace is recorded; false if somebody else records one.
        """
        self._hide_secrets = hide
        self._mask = tuple(mask)
        self._traced = traced
        self._contexts: list[BrowserContext] = []
        self._personal = set[str]()
        self._began = time.perf_counter()
        self._began_at = datetime.now(UTC)
        self._console: list[str] = []
        self._network: list[str] = []
        self._asked: dict[Request, float] = {}
        self._statuses: dict[Request, int] = {}

    def watch(self, context: BrowserContext) -> None:
        """Record what happens in a context from now on."""
        self._contexts.append(context)
        if self._traced:
            context.tracing.start(title=f"window {len(self._contexts)}")
        context.on("console", self._hear)
        context.on("weberror", self._stumble)
        context.on("request", self._ask)
        context.on("response", self._answer)
        context.on("requestfinished", lambda request: self._end(request, ""))
        context.on("requestfailed", lambda request: self._end(request, request.failure or "failed"))
        context.on("page", lambda page: page.on("websocket", self._live))

    def drop(self) -> None:
        """Forget it: the gate has passed."""
        from playwright.sync_api import Error  # noqa: PLC0415 - 0.2 s that only gates with a browser need

        for context in self._contexts if self._traced else ():
            with contextlib.suppress(Error):
                context.tracing.stop()

    def keep(self, keep: Keep) -> None:
        """Keep what was recorded, and what every open page looks like now.

        Args:
            keep: takes a file, by its name and content.
        """
        from playwright.sync_api import Error  # noqa: PLC0415

        for request in list(self._asked):
            self._end(request, "not answered when the gate ended")
        for context in self._contexts:
            for page in context.pages:
                with contextlib.suppress(Error):  # else nothing can be asked of a page that waits for a server
                    context.new_cdp_session(page).send("Page.stopLoading")
            with contextlib.suppress(Error):
                self._personal.update(cookie["value"] for cookie in context.cookies())
            for page in context.pages:
                with contextlib.suppress(Error):
                    self._personal.update(personal_texts(page, self._mask))
        for context in self._contexts:
            for page in context.pages:
                with contextlib.suppress(Error):
                    self._keep_picture(page, keep)
            if self._traced:
                with contextlib.suppress(Error):
                    keep("trace.zip", self._trace(context))
        heading = f"since {self._began_at:%Y-%m-%d %H:%M:%S} UTC, in seconds"
        keep("console.log", self._hidden("\n".join([heading, *self._console]) + "\n").encode())
        keep("network.log", self._hidden("\n".join([heading, *self._network]) + "\n").encode())

    def _keep_picture(self, page: Page, keep: Keep) -> None:
        picture = take_picture(page, self._mask)
        keep("at-the-end.png", picture.png)
        if picture.preview:
            keep(preview_name("at-the-end.png"), picture.preview)

    def _trace(self, context: BrowserContext) -> bytes:
        """The steps, and the state of each page at the end of them."""
        with tempfile.TemporaryDirectory(prefix="gonogo-trace-") as folder:
            steps, end = Path(folder, "steps.zip"), Path(folder, "end.zip")
            context.tracing.stop(path=steps)
            for page in context.pages:
                page.evaluate(_MARK, [", ".join((PERSONAL, *self._mask)), "data-personal"])
            context.tracing.start(title="the end", snapshots=True)
            for page in context.pages:
                page.evaluate("() => document.readyState")
            context.tracing.stop(path=end)
            return cleaned({"trace": steps.read_bytes(), "end": end.read_bytes()}, self._hidden)

    def _hidden(self, text: str) -> str:
        text = self._hide_secrets(text)
        for one in sorted((t for t in self._personal if len(t) >= _SHORTEST), key=len, reverse=True):
            text = text.replace(one, COVER)
        return text

    # ------------------------------------------------------------------ what is heard

    def _since(self) -> str:
        return f"{time.perf_counter() - self._began:8.3f}"

    def _hear(self, message: ConsoleMessage) -> None:
        place = message.location
        where = f" ({place.get('url', '')}:{place.get('lineNumber', 0)})" if place.get("url") else ""
        self._say(self._console, f"{message.type:<8} {message.text}{where}")

    def _stumble(self, error: WebError) -> None:
        self._say(self._console, f"uncaught {error.error}")

    def _ask(self, request: Request) -> None:
        self._asked[request] = time.perf_counter()

    def _answer(self, response: Response) -> None:
        self._statuses[response.request] = response.status

    def _end(self, request: Request, why: str) -> None:
        began = self._asked.pop(request, None)
        if began is None:
            return
        status = self._statuses.pop(request, None)
        took = f"{(time.perf_counter() - began) * 1000:6.0f} ms"
        self._say(self._network, f"{request.method:<7} {status or '---'} {took}  {request.url} {why}".rstrip())

    def _live(self, socket: WebSocket) -> None:
        self._say(self._network, f"{'SOCKET':<7} open           {socket.url}")
        socket.on("close", lambda _: self._say(self._network, f"{'SOCKET':<7} closed         {socket.url}"))
        socket.on("socketerror", lambda error: self._say(self._network, f"{'SOCKET':<7} {error}  {socket.url}"))

    def _say(self, lines: list[str], text: str) -> None:
        if len(lines) < _MOST_LINES:
            lines.append(f"{self._since()}  {redacted(text)}".replace("\n", "\n" + " " * 10))
