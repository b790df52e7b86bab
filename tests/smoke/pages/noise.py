"""Everything on a page that speaks of trouble."""

from __future__ import annotations

import re
from collections.abc import Sequence

from playwright.sync_api import ConsoleMessage, Error, Page, Request, Response


class Noise:
    """What a page complains of; listens from its creation on."""

    def __init__(self, page: Page) -> None:
        """Starts to listen; call before the page is opened."""
        self.clear()
        self.page_status: int | None = None
        """HTTP status of the newest page itself."""
        page.on("console", self._hear)
        page.on("pageerror", self._stumble)
        page.on("requestfailed", self._fail)
        page.on("response", self._answer)

    def clear(self) -> None:
        """Forgets what was heard so far: it was provoked."""
        self.page_errors: list[str] = []
        self.bad_answers: list[str] = []
        self._failures: dict[str, str] = {}
        self._bad_addresses: set[str] = set()
        self._console: list[tuple[str, str, str]] = []

    @property
    def failed_requests(self) -> list[str]:
        """Requests without a usable answer; what was answered with an HTTP error is in ``bad_answers``."""
        return [f"{url}: {why}" for url, why in self._failures.items() if url not in self._bad_addresses]

    def console(self, allowed: Sequence[str] = ()) -> list[str]:
        """Errors and warnings of the console, without those that match an allowed pattern.

        The browser's own line about a request is left out: it is among ``bad_answers`` or
        ``failed_requests`` already.
        """
        told = self._bad_addresses | set(self._failures)
        return [
            f"{kind}: {text}"
            for kind, text, address in self._console
            if not (address in told and text.startswith("Failed to load resource"))
            and not any(re.search(pattern, text) for pattern in allowed)
        ]

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            self._console.append((message.type, message.text, str(message.location.get("url", ""))))

    def _stumble(self, error: Error) -> None:
        if str(error) not in self.page_errors:
            self.page_errors.append(str(error))

    def _fail(self, request: Request) -> None:
        why = request.failure or "failed"
        if why != "net::ERR_ABORTED":  # the page went on before the answer was there, or does not want it any more
            self._failures[request.url] = why

    def _answer(self, response: Response) -> None:
        if response.request.is_navigation_request():
            self.page_status = response.status
        if response.status >= 400:
            self.bad_answers.append(f"{response.url}: HTTP {response.status}")
            self._bad_addresses.add(response.url)
