"""What pages ask for and from whom, attempts that the browser blocks included."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Error, Page

# Addresses that are tried and never become a request: refused by the page's own policy, or as mixed content.
_WATCH = """
(() => {
  const tried = (window.__gonogoTried = []);
  document.addEventListener("securitypolicyviolation", ({ blockedURI }) => tried.push(blockedURI), true);
  const Real = window.WebSocket;
  window.WebSocket = class extends Real {
    constructor(url, ...rest) {
      tried.push(String(new URL(url, location.href)));
      super(url, ...rest);
    }
  };
})();
"""
_TRIED = "() => window.__gonogoTried ?? []"
_ADDRESS = re.compile(r"\b(?:https?|wss?)://[^\s'\"<>)]+")
_BLOCKED = re.compile(r"(?i)mixed content|content security policy|insecure|cross-origin request blocked")
_LOCAL = ("data", "blob", "about", "inline", "eval", "chrome-error")


class Asking:
    """Listens to a context from its creation on."""

    def __init__(self, context: BrowserContext) -> None:
        """Starts to listen; call before the first page is opened."""
        self._addresses: set[str] = set()
        self.requests = 0
        """How many were made."""
        context.add_init_script(_WATCH)
        context.on("request", lambda request: self._note(request.url))
        context.on("console", self._hear)
        context.on("page", self._follow)

    def look(self, page: Page) -> None:
        """Takes over what a page tried and was kept from; call before it is left."""
        try:
            self._addresses.update(str(one) for one in page.evaluate(_TRIED))
        except Error:
            return

    @property
    def asked(self) -> list[str]:
        """Scheme, host and path of every address."""
        return sorted({_bare(address) for address in self._addresses})

    def elsewhere(self, origin: str, allowed: Sequence[str]) -> list[str]:
        """Scheme, host and path of each address beyond this origin and those that are allowed.

        Args:
            origin: such as ``https://app.example.com``; ``wss`` to the same host belongs to it.
            allowed: further origins.
        """
        split = urlsplit(origin)
        fine = {origin, f"wss://{split.netloc}", *allowed} if split.scheme == "https" else {origin, *allowed}
        found = set[str]()
        for address in self._addresses:
            parts = urlsplit(address)
            if parts.scheme in _LOCAL or not parts.scheme or not parts.netloc:
                continue
            if f"{parts.scheme}://{parts.netloc}" not in fine:
                found.add(_bare(address))
        return sorted(found)

    def _note(self, address: str) -> None:
        self.requests += 1
        self._addresses.add(address)

    def _follow(self, page: Page) -> None:
        page.on("websocket", lambda socket: self._note(socket.url))

    def _hear(self, message: ConsoleMessage) -> None:
        if _BLOCKED.search(message.text):
            self._addresses.update(_ADDRESS.findall(message.text))


def _bare(address: str) -> str:
    """An address without its query, which may say more than it should."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
