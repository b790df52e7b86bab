"""Takes the live connection and the API away from a page, and gives them back."""

from __future__ import annotations

import re

from playwright.sync_api import BrowserContext, Page, Route, WebSocketRoute


class LiveConnection:
    """Every WebSocket of a context, which can be cut as by a network that is gone."""

    def __init__(self, context: BrowserContext) -> None:
        """Stands between; call before the first page is opened."""
        self._open: list[tuple[WebSocketRoute, WebSocketRoute]] = []
        self._cut = False
        self.refused = 0
        """How often a page tried to connect while the connection was cut."""
        context.route_web_socket(re.compile(".*"), self._connect)

    @property
    def count(self) -> int:
        """How many connections there are now."""
        return len(self._open)

    def cut(self) -> None:
        """Ends every connection, and refuses new ones from now on."""
        self._cut = True
        for page, server in self._open:
            page.close(code=1001)
            server.close()
        self._open.clear()

    def mend(self) -> None:
        """Lets new connections through again."""
        self._cut = False

    def _connect(self, socket: WebSocketRoute) -> None:
        if self._cut:
            self.refused += 1
            socket.close(code=1001)
            return
        self._open.append((socket, socket.connect_to_server()))


class BrokenApi:
    """One part of the API that answers HTTP 500."""

    def __init__(self, page: Page, path: str) -> None:
        """Breaks it from now on.

        Args:
            page: whose requests are answered so.
            path: beginning of the paths.
        """
        self._page = page
        self.answered = 0
        """How many requests were answered so."""
        self._pattern = re.compile(rf"^https?://[^/]+{re.escape(path)}(?:[/?]|$)")
        page.route(self._pattern, self._break)

    def mend(self) -> None:
        """Lets the server answer again."""
        self._page.unroute(self._pattern)

    def _break(self, route: Route) -> None:
        self.answered += 1
        route.fulfill(status=500, json={"error": "something went wrong on our side"})
