"""Who looks at the pages: windows of the browser, each with somebody who signed in, or nobody."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tests.smoke.pages.analytics import Analytics
from tests.smoke.pages.dispatch import Dispatch
from tests.smoke.pages.maintenance import Maintenance
from tests.smoke.pages.noise import Noise
from tests.smoke.pages.sign_in import SignIn
from tests.smoke.pages.tracking import Tracking

from gonogo import EvidenceKeeper, Hide, Seen, Target, TargetError, ToolError, preview_name, shrunk, take_picture

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, StorageState

    from gonogo.probes.http import HttpProbe

Prepare = Callable[["Window"], Any]
Sessions = dict[tuple[str, str], "StorageState"]
"""What a browser keeps of users who signed in, by target and user name."""
MANAGER, DISPATCHER, VIEWER = "manager", "dispatcher", "viewer"


class Window:
    """A window of its own: cookies and all."""

    def __init__(self, context: BrowserContext, users: Users, prepare: Prepare | None = None) -> None:
        self.context = context
        self.prepared: Any = prepare(self) if prepare else None
        """What stands between the window and the network, if the gate put something there."""
        self.page = context.new_page()
        self.noise = Noise(self.page)
        self._users = users
        self._smoke = users.target.settings("smoke")

    def _at(self, path: str) -> tuple[Any, str, float]:
        return self.page, self._users.target.url(path), self._smoke.timeout_s

    @cached_property
    def sign_in(self) -> SignIn:
        """The page that asks who somebody is."""
        return SignIn(*self._at(self._smoke.sign_in), self._smoke.sign_in)

    @cached_property
    def tracking(self) -> Tracking:
        """The page with the map."""
        return Tracking(*self._at(self._smoke.dashboard))

    @cached_property
    def dispatch(self) -> Dispatch:
        """The page with the loads."""
        return Dispatch(*self._at(self._smoke.dispatch))

    @cached_property
    def maintenance(self) -> Maintenance:
        """The page with the maintenance records."""
        return Maintenance(*self._at(self._smoke.maintenance))

    @cached_property
    def analytics(self) -> Analytics:
        """The page with the charts."""
        return Analytics(*self._at(self._smoke.analytics))

    def picture(self, name: str) -> None:
        """Keeps what the window shows as evidence, without what is personal."""
        taken = take_picture(self.page, self._smoke.mask)
        self._users.keep_picture(name, taken.png, taken.preview)

    def keep_png(self, name: str, png: bytes) -> None:
        """Keeps a picture of a part of the page that shows nobody."""
        self._users.keep_picture(name, png, shrunk(self.page, png))


class Users:
    """The plan's accounts, in windows of one browser and at the API."""

    def __init__(
        self,
        new_context: Callable[..., BrowserContext],
        target: Target,
        evidence: EvidenceKeeper,
        hide: Hide,
        seen: Seen,
        *,
        sessions: Sessions,
    ) -> None:
        """Prepares; this gate has signed in nobody yet.

        Args:
            new_context: opens a context of the browser, as ``browser.new_context`` does.
            target: whose pages they are.
            evidence: takes the pictures.
            hide: learns passwords, and names of people that the API tells.
            seen: tells who signed in.
            sessions: of gates before this one, and for those after it.
        """
        self.target = target
        self._new_context = new_context
        self._evidence = evidence
        self._seen = seen
        self._sessions = sessions
        self._stack = ExitStack()
        self._clients: dict[str, HttpProbe] = {}
        self.hide = hide

    def close(self) -> None:
        """Closes the clients of the API; windows are closed by whoever gave the contexts."""
        self._stack.close()

    def credentials(self, who: str) -> tuple[str, str]:
        """User name and password of an account of the plan.

        Raises:
            ToolError: the plan has none, or the variable with the password is not set.
        """
        account = getattr(self.target.settings("smoke"), who)
        if account is None:
            raise ToolError(
                f"launch.toml: targets.{self.target.name}.smoke.{who} is missing; name an account for the gates: "
                f'{{ user = "...", password = {{ env = "NAME" }} }}'
            )
        password = self.target.secret(account.password, f"smoke.{who}.password")
        self.hide(password)
        return account.user, password

    def nobody(self, *, prepare: Prepare | None = None, **window: Any) -> Window:
        """A window in which nobody has signed in.

        Args:
            prepare: is called before a page is there, and what it gives is ``Window.prepared``.
            window: as ``new_context`` takes it.
        """
        return Window(self._new_context(**window), self, prepare)

    def at(self, who: str, path: str, *, prepare: Prepare | None = None, **window: Any) -> Window:
        """A window in which somebody is signed in and at the page of this path, which may still load.

        The first gate that needs somebody signs in by the page, and the others go on with that session: signing in
        is ``smoke.access``'s matter. A session that the application does not take any more is replaced.

        Args:
            who: an account of the plan.
            path: of the page.
            prepare: as for ``nobody``.
            window: as ``new_context`` takes it.

        Raises:
            ToolError: the plan has no such account.
            TargetError: signing in does not work.
        """
        user, password = self.credentials(who)
        key = self.target.name, user
        kept = self._sessions.get(key)
        opened = self.nobody(prepare=prepare, **window, **({"storage_state": kept} if kept else {}))
        sign_in = opened.sign_in
        if kept and sign_in.passes(self.target.url(path)):
            self._seen(f"goes on as the {who}")
            return opened
        sign_in.url = f"{sign_in.url}?next={path}"
        sign_in.goto()
        sign_in.fill(user, password)
        if not sign_in.goes_on():
            raise TargetError(f"the {who} can't sign in at {self.target.url(sign_in.path)}{sign_in.excuse()}")
        self._sessions[key] = opened.context.storage_state()
        self._seen(f"signed in as the {who}")
        return opened

    def api(self, who: str) -> HttpProbe:
        """A client of the API in which somebody has signed in.

        Raises:
            ToolError: the plan has no such account.
            TargetError: signing in does not work.
        """
        if who not in self._clients:
            client = self.target.session(*self.credentials(who))
            self._stack.callback(client.close)
            self._clients[who] = client
        return self._clients[who]

    def keep_picture(self, name: str, png: bytes, preview: bytes) -> None:
        """Keeps a picture, and its small copy for the report."""
        self._evidence.bytes(name, png)
        if preview:
            self._evidence.bytes(preview_name(name), preview)

    def hide_people(self, *documents: Any) -> None:
        """Keeps the names and phones of drivers out of all that is stored, wherever the API told them."""
        for document in documents:
            for name in names_in(document):
                self.hide(name)


def names_in(document: Any) -> set[str]:
    """Names and phones of drivers in a document of the API."""
    found = set[str]()
    if isinstance(document, dict):
        driver = document.get("driver")
        if isinstance(driver, dict):
            found |= {str(driver[key]) for key in ("name", "phone") if driver.get(key)}
        for value in document.values():
            found |= names_in(value)
    elif isinstance(document, list | tuple):
        for one in document:
            found |= names_in(one)
    return found
