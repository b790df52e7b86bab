"""The page that asks who somebody is."""

from __future__ import annotations

from urllib.parse import urlsplit

from playwright.sync_api import Page
from playwright.sync_api import TimeoutError as RanOut
from tests.smoke.pages import places
from tests.smoke.pages.screen import Screen

from gonogo import TargetError

_GONE_ON = "(path) => location.pathname !== path"


class SignIn(Screen):
    """Signs somebody in."""

    def __init__(self, page: Page, url: str, timeout_s: float, path: str) -> None:
        """As ``Screen``; ``path`` is the path of ``url``."""
        super().__init__(page, url, timeout_s)
        self.path = path

    def is_shown(self, within_s: float | None = None) -> bool:
        """Whether the browser is here, and asks."""
        return self.shows(places.PASSWORD, within_s) and self.shows(places.USER, within_s)

    def fill(self, user: str, password: str) -> None:
        """Writes both and presses the button.

        Raises:
            TargetError: there is nothing to write into or to press.
        """
        try:
            places.USER(self.page).fill(user)
            places.PASSWORD(self.page).fill(password)
            places.SIGN_IN(self.page).click()
        except RanOut:
            raise TargetError(
                f"{self.page.url} has no place for user name and password, or no button to sign in{self.excuse()}"
            ) from None

    def goes_on(self, within_s: float | None = None) -> bool:
        """Whether the browser leaves this page in time."""
        limit_ms = (self.timeout_s if within_s is None else within_s) * 1000
        try:
            self.page.wait_for_function(_GONE_ON, arg=self.path, timeout=limit_ms)
        except RanOut:
            return False
        return True

    def passes(self, url: str) -> bool:
        """Opens another page; whether it comes without asking who somebody is.

        Raises:
            TargetError: as ``goto`` does.
        """
        self.goto(url, until="commit")
        return urlsplit(self.page.url).path != self.path

    def refusal(self, within_s: float | None = None) -> str | None:
        """What the page says of a sign-in that did not work; ``None`` if it lets in, or says nothing in time."""
        either = places.ALERTS(self.page).or_(places.READY(self.page))
        return " ".join(self.alerts()) or None if self.becomes(either, "visible", within_s) else None
