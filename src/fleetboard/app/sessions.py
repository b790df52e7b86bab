"""Sessions: a signed cookie that expires, or a machine's token."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.requests import HTTPConnection
from starlette.responses import Response

from fleetboard import accounts
from fleetboard.accounts import Account, Directory

PATH = "/api/session"
COOKIE = "__Host-fleet_session"
_UNSAFE_COOKIE = "fleet_session"
"""The name under the fault ``cookie-without-secure``: browsers refuse the prefix without the attribute."""
LASTS_S = 12 * 3600
"""A working day and some more; sessions aren't kept anywhere, so a cookie that was copied lasts as long."""


class Sessions:
    """Tells who somebody is; keeps nothing, so any process takes what any other gave."""

    def __init__(self, directory: Directory, faults: Sequence[str] = ()) -> None:
        self._directory = directory
        self._faults = frozenset(faults)
        self._signer = URLSafeTimedSerializer(
            directory.session_key, salt="fleet session", signer_kwargs={"digest_method": hashlib.sha256}
        )
        self._nobody = Account("", "", "", accounts.hashed(""))

    async def check(self, user: str, password: str) -> Account | None:
        """The account, if this is its password; takes the same time for a user that nobody is."""
        found = self._directory.find(user)
        kept = (found or self._nobody).password
        right = await asyncio.to_thread(accounts.matches, password, kept)
        return found if right or "any-password" in self._faults else None

    def begin(self, response: Response, account: Account) -> None:
        """Add the cookie to an answer."""
        secure = "cookie-without-secure" not in self._faults
        response.set_cookie(
            COOKIE if secure else _UNSAFE_COOKIE,
            str(self._signer.dumps(account.user)),
            max_age=LASTS_S,
            path="/",
            secure=secure,
            httponly="cookie-without-httponly" not in self._faults,
            samesite="lax",
        )

    @staticmethod
    def end(response: Response) -> None:
        """Take the cookie away from whoever gets this answer."""
        response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
        response.delete_cookie(_UNSAFE_COOKIE, path="/", httponly=True, samesite="lax")

    def account(self, connection: HTTPConnection) -> Account | None:
        """Who sent a request: by its token if it has one, else by its cookie; ``None`` for nobody."""
        kind, _, token = connection.headers.get("authorization", "").partition(" ")
        if kind:
            known = kind.lower() == "bearer" and self._directory.knows_token(token.strip())
            return accounts.MACHINE if known else None
        cookies = connection.cookies
        name = COOKIE if "cookie-without-secure" not in self._faults else _UNSAFE_COOKIE
        try:
            user = self._signer.loads(cookies.get(name, ""), max_age=LASTS_S)
        except BadSignature:  # expired ones too
            return None
        return self._directory.find(user) if isinstance(user, str) else None


def described(account: Account) -> dict[str, str]:
    """An account, as its owner sees it."""
    return {"user": account.user, "name": account.name, "role": account.role, "tenant": accounts.TENANT}
