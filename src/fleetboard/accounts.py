"""Who may sign in, as a directory hands it to the application: names, roles, hashes of passwords."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MANAGER, DISPATCHER, WORKSHOP, VIEWER, MONITOR = "manager", "dispatcher", "workshop", "viewer", "monitor"
"""Roles: may do everything; changes loads; changes maintenance; reads; a machine that reads."""

TENANT = "rehearsal"
"""Whose fleet this is: flows that write run where they were told to expect this name."""

TOKEN = "FLEETBOARD_TOKEN"  # noqa: S105 - a name, no secret
"""Environment variable with the token of machines."""

AUTHORIZATION = "FLEETBOARD_AUTHORIZATION"
"""The same as the value of a header ``Authorization``."""

PASSWORD = "FLEETBOARD_{}_PASSWORD"  # noqa: S105 - a name, no secret
"""Environment variable with the password of a role's account, by the role in capitals."""

_PEOPLE = (
    ("mira", "Mira Manager", MANAGER),
    ("dan", "Dan Dispatcher", DISPATCHER),
    ("wanda", "Wanda Workshop", WORKSHOP),
    ("vera", "Vera Viewer", VIEWER),
)

# 4 MB and about 10 ms a try: passwords here are random and live as long as the target.
_COST, _BLOCK, _PARALLEL = 2**12, 8, 1


@dataclass(frozen=True)
class Account:
    """Somebody who is known."""

    user: str
    name: str
    """As it is shown."""
    role: str
    password: str = ""
    """Hash with its salt, both in hexadecimal; empty: no password is right."""


MACHINE = Account("monitor", "Monitoring", MONITOR)
"""Whom the token speaks for."""


@dataclass(frozen=True)
class Directory:
    """What the application must know to tell who somebody is; holds no password and no token, but their hashes."""

    accounts: tuple[Account, ...] = ()
    session_key: str = ""
    """Signs sessions; the same in every process, so that each takes the sessions of the others."""
    token_digest: str = ""

    def find(self, user: str) -> Account | None:
        """The account of this name, or ``None``."""
        return next((account for account in self.accounts if account.user == user), None)

    def knows_token(self, token: str) -> bool:
        """Whether this is the token of machines."""
        return bool(self.token_digest) and hmac.compare_digest(_digest(token), self.token_digest)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Directory:
        """Read it back from the form that travels as JSON."""
        accounts = tuple(Account(**account) for account in data["accounts"])
        return cls(accounts, data["session_key"], data["token_digest"])


def create() -> tuple[Directory, dict[str, str]]:
    """A directory with random secrets, and the variables that tell them to whoever may sign in."""
    passwords = {role: secrets.token_urlsafe(12) for _, _, role in _PEOPLE}
    token = secrets.token_urlsafe(24)
    accounts = tuple(Account(user, name, role, hashed(passwords[role])) for user, name, role in _PEOPLE)
    env = {PASSWORD.format(role.upper()): password for role, password in passwords.items()}
    env |= {TOKEN: token, AUTHORIZATION: f"Bearer {token}"}
    return Directory(accounts, secrets.token_hex(32), _digest(token)), env


def sign_in_lines(env: Mapping[str, str]) -> list[str]:
    """How people sign in, one line an account, out of the variables of :func:`create`."""
    return [f"{user:<6} {env[PASSWORD.format(role.upper())]}  ({role})" for user, _, role in _PEOPLE]


def hashed(password: str) -> str:
    """The form in which a password is kept."""
    salt = secrets.token_bytes(16)
    return f"{salt.hex()}:{_scrypt(password, salt).hex()}"


def matches(password: str, kept: str) -> bool:
    """Whether this is the password that was kept; takes the same time if nothing was."""
    salt, _, expected = kept.partition(":")
    found = _scrypt(password, bytes.fromhex(salt)).hex()
    return hmac.compare_digest(found, expected)


def _scrypt(password: str, salt: bytes) -> bytes:
    text = password.encode(errors="surrogatepass")  # JSON may hold what is no text
    return hashlib.scrypt(text, salt=salt, n=_COST, r=_BLOCK, p=_PARALLEL, dklen=32)


def _digest(token: str) -> str:
    # A random token needs no salt and no slow hash.
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
