"""Opens the scratch server of a session, and knows what must not be told of it."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, unquote, urlsplit

from gonogo.errors import ToolError

if TYPE_CHECKING:
    import pytest

    from gonogo.ledger import Redactor
    from gonogo.scratch import Scratch
    from gonogo.target import Target

_SECRET = re.compile(r"(?i)passw|passphrase|secret|token|credential|(?:api|access|private)_?key|.+(?<!old)_?pwd$")
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^:@/]*:(?P<password>[^@/]*)@")
"""As libpq reads it: a password may hold ``#``, ``?`` and brackets, which end a URL's authority elsewhere."""
_CONNINFO = re.compile(
    r"(?:^|\s)password\s*=\s*(?:'(?P<quoted>(?:[^'\\]|\\.)*)'|(?P<bare>(?:[^\s'\\]|\\.)+))", re.DOTALL
)
_SHORTEST = 8
"""A shorter value is as likely a word that reports need."""


def open_scratch(config: pytest.Config, stack: ExitStack, target: Target, redact: Redactor) -> Scratch:
    """Find or start a scratch server for a target.

    Args:
        config: pytest's configuration.
        stack: what is started is stopped when this is closed.
        target: whose version and roles it gets.
        redact: learns its password.

    Raises:
        ToolError: launch.toml names a server that can't serve, or none can be started.
        TargetError: the target's own server does not answer.
    """
    from gonogo import pgtools, scratch  # noqa: PLC0415 - bring psycopg, which only database gates need

    database = target.settings("database")
    origin = scratch.look_at(target.database_url, database.timeout_s)
    programs = pgtools.find_programs(database.pg_bin)
    clients = pgtools.clients_for(origin.major, programs)
    url = target.scratch_url
    if url is None:
        folder = str(pgtools.server_for(origin.major, programs).folder)
        provider = config.hook.pytest_gonogo_provide_scratch(config=config, programs=folder)
        if provider is None:
            raise ToolError(
                f"there is no scratch server; name one in targets.{target.name}.database.scratch_url of launch.toml"
            )
        url = stack.enter_context(provider)
    hide_password(redact, url)
    scratch.check(url, origin, database.timeout_s)
    return scratch.Scratch(url, origin.major, origin.roles, clients)


def hide_password(redact: Redactor, address: str | None) -> None:
    """Keep the password of a connection URL or string out of everything that is stored."""
    for secret in passwords_in(address or ""):
        redact.add(secret)


def passwords_in(address: str) -> Iterator[str]:
    """The password of an address, in each form in which a message might quote it.

    Args:
        address: a URL of any scheme, or libpq's ``key=value`` form; what is neither holds none.
    """
    written: list[str] = []
    if "://" in address.partition("=")[0]:
        user = _URL.match(address)
        written += [user["password"]] if user else []
        with contextlib.suppress(ValueError):  # brackets that are no address, which libpq accepts
            written.append(urlsplit(address).password or "")
        plain = [*map(unquote, written), *parse_qs(address.partition("?")[2]).get("password", [])]
    else:
        for found in _CONNINFO.finditer(address):
            written.append(found["bare"] if found["quoted"] is None else found["quoted"])
        plain = [re.sub(r"\\(.)", r"\1", one, flags=re.DOTALL) for one in written]
    yield from (*written, *plain, *(quote(one, safe="") for one in plain))  # the last as we write it into URLs


def secrets_of(target: Target) -> Iterator[str]:
    """What is secret of a target: in the variables of its commands, and in the headers that say who we are."""
    yield from secrets_in(target.environment)
    with contextlib.suppress(ToolError):  # a variable that is not set is told by the gates that need it
        for value in target.credentials.values():
            yield from (one for one in _parts(value) if len(one) >= _SHORTEST)


def _parts(value: str) -> Iterator[str]:
    """A header's value, its words, values of its pairs, and what basic authentication encodes."""
    yield value
    for word in re.split(r"[\s;,]+", value):
        yield from (word, word.partition("=")[2].strip('"'))
    scheme, _, encoded = value.partition(" ")
    if scheme.lower() == "basic":
        with contextlib.suppress(ValueError):
            plain = base64.b64decode(encoded).decode()
            yield from (plain, plain.partition(":")[2])


def secrets_in(environment: Mapping[str, str]) -> Iterator[str]:
    """What is secret in variables, by their names or as an address's password: a team's command may print it."""
    for name, value in environment.items():
        found = [value] if _SECRET.search(name) else list(passwords_in(value))
        yield from (one for one in found if len(one) >= _SHORTEST)
