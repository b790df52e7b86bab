"""Runs an empty PostgreSQL server for self-tests, and makes databases on it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql


@dataclass(frozen=True)
class PostgresServer:
    """A server that is up."""

    admin_url: str
    bin: Path

    def url(self, database: str) -> str:
        """The superuser's address of one database."""
        head, _, parameters = self.admin_url.partition("?")
        return f"{head.rpartition('/')[0]}/{database}?{parameters}"

    @contextlib.contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """A database of a new name, dropped at the end; ``template`` must have no sessions."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.admin_url, autocommit=True) as admin:
            admin.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
            try:
                yield self.url(name)
            finally:
                admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextlib.contextmanager
def running_server(*arguments: str) -> Iterator[PostgresServer]:
    """A server, started and stopped in order; arguments go to ``python -m fleetboard scratch``."""
    command = [sys.executable, "-m", "fleetboard", "scratch", "--stop-on-eof", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the server said nothing; its sentence is on standard error"
        info = json.loads(line)
        try:
            yield PostgresServer(info["database_url"], Path(info["bin"]))
        finally:
            process.stdin.close()
            process.wait(15)
