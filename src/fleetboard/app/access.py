"""Who may do what: one middleware that refuses requests before anything else looks at them."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from fleetboard.accounts import DISPATCHER, MANAGER, WORKSHOP, Account
from fleetboard.app.sessions import PATH as SESSION
from fleetboard.app.sessions import Sessions

SIGN_IN = "/sign-in"
_PAGES = "/fleet/"
_API = "/api/"
_OPEN = frozenset(
    {SESSION, "/api/health", "/api/fleet/db-stats", "/api/fleet/ws-stats", "/api/fleet/performance-stats"}
)
"""Of the API: monitors ask here without an account, and the session's endpoints answer for themselves."""

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_WRITERS = {
    "/api/fleet/loads": (frozenset({MANAGER, DISPATCHER}), "loads"),
    "/api/fleet/maintenance": (frozenset({MANAGER, WORKSHOP}), "maintenance"),
}
"""Whose role may change what, by the beginning of the path; everything else is the manager's."""
_ACCOUNT = "fleetboard.account"


def account_of(connection: HTTPConnection) -> Account | None:
    """Who sent this request, once the middleware has let it through; ``None``: nobody who is known."""
    account: Account | None = connection.scope.get(_ACCOUNT)
    return account


def may_write(role: str, path: str) -> bool:
    """Whether a role may change what lies below this path."""
    return role in _writers(path)[0]


def own_path(wanted: str | None) -> str:
    """Where to go after signing in: a page of ours, the dashboard if the wish is no such page."""
    plain = wanted is not None and wanted.startswith(_PAGES) and wanted.isprintable() and "\\" not in wanted
    return wanted if plain and wanted else f"{_PAGES}dashboard"


class Access:
    """ASGI middleware: 401, 403, 415, or on to the sign-in; requests that may pass know their account."""

    def __init__(self, app: ASGIApp, sessions: Sessions, faults: Sequence[str]) -> None:
        self._app = app
        self._sessions = sessions
        self._faults = frozenset(faults)
        self._reads_need_session = "reads-without-session" not in faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse one request, or pass it on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        account = scope[_ACCOUNT] = self._sessions.account(connection)
        if scope["type"] == "websocket":
            closed = (account is None and self._reads_need_session) or _foreign(connection)
            await (WebSocketClose() if closed else self._app)(scope, receive, send)
            return
        reading = scope["method"] in _READS
        refusal = self._read(scope, account) if reading else self._write(connection, account)
        await (refusal or self._app)(scope, receive, send)

    def _read(self, scope: Scope, account: Account | None) -> Response | None:
        path = scope["path"]
        if account is not None or path in _OPEN:
            return None
        if path.startswith(_PAGES):
            query = scope.get("query_string", b"").decode("latin-1")
            wanted = f"{path}?{query}" if query else path
            return RedirectResponse(f"{SIGN_IN}?next={quote(wanted, safe='/')}", 303)
        return _unknown() if path.startswith(_API) and self._reads_need_session else None

    def _write(self, connection: HTTPConnection, account: Account | None) -> Response | None:
        scope = connection.scope
        path = scope["path"]
        if _foreign(connection):
            return _refused(403, "this request comes from a page of somebody else")
        if path != SESSION and account is None:
            return _unknown()
        roles, what = _writers(path)
        if path != SESSION and account and account.role not in roles and "role-ignored" not in self._faults:
            return _refused(403, f"the role {account.role} may not change {what}")
        kind = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["method"] in _WITH_BODY and kind != "application/json":
            return _refused(415, "send application/json")
        return None


def _writers(path: str) -> tuple[frozenset[str], str]:
    found = (value for start, value in _WRITERS.items() if path == start or path.startswith(f"{start}/"))
    return next(found, (frozenset({MANAGER}), "this"))


def _foreign(connection: HTTPConnection) -> bool:
    """Whether a browser says that a page of another origin sent this."""
    origin = connection.headers.get("origin")
    scheme = connection.headers.get("x-forwarded-proto") or connection.url.scheme.replace("ws", "http")
    return origin is not None and origin != f"{scheme}://{connection.headers.get('host', '')}"


def _unknown() -> Response:
    return _refused(401, "sign in first", {"WWW-Authenticate": "Bearer"})


def _refused(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": sentence}, status, headers=headers)
