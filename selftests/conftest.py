"""One empty PostgreSQL server a worker, for everything that needs a database and no application."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from postgres_server import PostgresServer, running_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with running_server() as server:
        yield server


@pytest.fixture
def database_url(postgres: PostgresServer) -> Iterator[str]:
    """The superuser's address of a new, empty database."""
    with postgres.database() as url:
        yield url
