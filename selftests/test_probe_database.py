"""The database probe reads the catalog as it is, and never hangs or tells a password."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

import servers
from gonogo.errors import TargetError, ToolError
from gonogo.probes.database import inspect


def start(*options: str) -> tuple[subprocess.Popen[bytes], str]:
    """The embedded target, and the address of its database."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fleetboard", "up", "--json", "--stop-on-eof", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())["database_url"]


def stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.wait(30)
    process.stdout.close()


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    process, url = start()
    yield url
    stop(process)


def test_catalog(database_url: str) -> None:
    """Tables, indexes and triggers are read over an encrypted, verified connection."""
    facts = inspect(database_url, "public", 5.0)

    assert facts.encrypted
    assert facts.server_version.startswith("17.")
    assert {"vehicles", "drivers", "loads"} <= set(facts.tables)
    assert all(index.valid and index.ready for index in facts.indexes)
    assert "vehicles.vehicles_audit" in [trigger.key for trigger in facts.triggers]
    assert all(trigger.enabled for trigger in facts.triggers)


def test_schema_that_does_not_exist(database_url: str) -> None:
    """Another schema is simply empty."""
    facts = inspect(database_url, "elsewhere", 5.0)

    assert (facts.tables, facts.indexes, facts.triggers) == ((), (), ())


def test_defects_are_seen() -> None:
    """A broken index and a disabled trigger are described, not hidden."""
    process, url = start("--fault", "invalid-index,disabled-trigger")
    try:
        facts = inspect(url, "public", 5.0)
    finally:
        stop(process)

    assert [index.name for index in facts.indexes if not index.valid]
    assert [trigger.key for trigger in facts.triggers if not trigger.enabled]


def test_wrong_password_is_not_told(database_url: str) -> None:
    """The refusal is the server's sentence, and neither password stands in it."""
    password = urlsplit(database_url).password or ""
    with pytest.raises(TargetError, match="password authentication failed") as failure:
        inspect(database_url.replace(password, "wrong-Secret.1"), "public", 5.0)

    assert "wrong-Secret" not in str(failure.value)
    assert password not in str(failure.value)
    assert "\n" not in str(failure.value)


def test_unknown_authority(database_url: str, tmp_path: object) -> None:
    """What the address says of verification holds."""
    other = servers.authority(tmp_path)  # type: ignore[arg-type]
    with pytest.raises(TargetError, match="certificate verify failed"):
        inspect(database_url.partition("&sslrootcert")[0] + f"&sslrootcert={other.ca_file}", "public", 5.0)


@pytest.mark.parametrize(
    ("handler", "limit_s"),
    [(servers.hang, 1.0), (servers.garbage, 2.0), (servers.hang_up, 2.0), (servers.drip(b"S", b"\0"), 1.0)],
)
def test_bad_server(handler: servers.Handler, limit_s: float) -> None:
    """A server that is no database ends in a sentence within the limit."""
    started = time.monotonic()
    with (
        servers.serve(handler) as server,
        pytest.raises(TargetError, match="database fleet on 127") as failure,
    ):
        inspect(f"postgresql://me:secret@127.0.0.1:{server.port}/fleet", "public", limit_s)

    assert time.monotonic() - started < limit_s + 1
    assert "secret" not in str(failure.value)


def test_closed_port() -> None:
    """Nobody listens: the sentence says so."""
    with pytest.raises(TargetError, match="Connection refused"):
        inspect(f"postgresql://me@127.0.0.1:{servers.free_port()}/fleet", "public", 2.0)


def test_unreadable_address() -> None:
    """An address that is none is our own fault, and is not repeated."""
    with pytest.raises(ToolError, match="can't be read") as failure:
        inspect("postgresql://me:s%ecret@host/db?nonsense=1", "public", 1.0)

    assert "ecret" not in str(failure.value)
