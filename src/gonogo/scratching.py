"""Opens the scratch server of a session, and knows what must not be told of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from gonogo.errors import ToolError

if TYPE_CHECKING:
    import pytest

    from gonogo.ledger import Redactor
    from gonogo.scratch import Scratch
    from gonogo.target import Target

_SECRET = re.compile(r"(?i)passw|secret|token|credential|api_?key|private_?key")
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


def hide_password(redact: Redactor, url: str | None) -> None:
    """Keep the password of a connection URL, as written and as meant, out of everything that is stored."""
    try:
        password = urlsplit(url).password if url else None
    except ValueError:
        password = None
    for secret in (password, unquote(password) if password else None):
        redact.add(secret)


def secrets_in(environment: Mapping[str, str]) -> Iterator[str]:
    """Values of variables whose names say that they are secret: a command of the team's may print them."""
    for name, value in environment.items():
        if _SECRET.search(name) and len(value) >= _SHORTEST:
            yield value
