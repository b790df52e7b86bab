"""Makes, reads and restores dumps of PostgreSQL databases with PostgreSQL's own programs.

Passwords reach those programs through their environment, never through their arguments.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from gonogo.errors import TargetError, ToolError
from gonogo.pgsession import libpq_environment
from gonogo.processes import CommandFacts, run_command

CHUNK = 1 << 20
HEAD = 4_096
"""Bytes at a file's beginning that tell what it is."""
TAIL = 512
"""Bytes at its end in which a plain dump says that it is complete."""
LOCK_WAIT_MS = 60_000
"""A dump that queues longer for a table's lock would make the application queue behind it."""
ERROR_LINES = 50
ERROR_LENGTH = 500

PLAIN = re.compile(rb"^-- PostgreSQL database dump\r?$", re.MULTILINE)
CLUSTER = re.compile(rb"^-- PostgreSQL database cluster dump\r?$", re.MULTILINE)
COMPLETE = b"-- PostgreSQL database dump complete"
SWITCHES = re.compile(rb"^\\connect\s+(\S+)", re.MULTILINE)
PLAIN_ENTRY = re.compile(rb"^-- (?:Data for )?Name: (.+); Type: ([A-Z ]+); Schema: (.+); Owner:", re.MULTILINE)
PLAIN_VERSION = re.compile(rb"^-- Dumped (from database|by pg_dump) version ([^\r\n]+)", re.MULTILINE)
ARCHIVE_ENTRY = re.compile(r"^\d+; \d+ \d+ (.+)$", re.MULTILINE)
ARCHIVE_FACT = re.compile(
    r"^; +(dbname|Dumped from database version|Dumped by pg_dump version): (.*)$", re.MULTILINE
)
CREATED = re.compile(r"^; Archive created at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)", re.MULTILINE)
FAILED = re.compile(r"\berror:|\bERROR:|\bFATAL:|\bfatal:|\bPANIC:")

# Types of entries whose name has more than one word; of all others the first word is the type.
LONG_TYPES = re.split(
    r",\s+",
    """PUBLICATION TABLES IN SCHEMA, TEXT SEARCH CONFIGURATION, TEXT SEARCH DICTIONARY, TEXT SEARCH PARSER,
    TEXT SEARCH TEMPLATE, MATERIALIZED VIEW DATA, FOREIGN DATA WRAPPER, PROCEDURAL LANGUAGE, SEQUENCE OWNED BY,
    SUBSCRIPTION TABLE, DATABASE PROPERTIES, MATERIALIZED VIEW, PUBLICATION TABLE, CHECK CONSTRAINT,
    OPERATOR FAMILY, STATISTICS DATA, OPERATOR CLASS, FOREIGN SERVER, SECURITY LABEL, ACCESS METHOD,
    BLOB COMMENTS, BLOB METADATA, EVENT TRIGGER, FK CONSTRAINT, FOREIGN TABLE, INDEX ATTACH, ROW SECURITY,
    SEQUENCE SET, TABLE ATTACH, USER MAPPING, DEFAULT ACL, SHELL TYPE, TABLE DATA""",
)


@dataclass(frozen=True)
class DumpFacts:
    """What a file says of itself, and whether it is whole."""

    path: Path
    format: str
    """``custom``, ``tar``, ``directory``, ``plain``, or ``none`` for what is no dump."""
    size_bytes: int
    sha256: str
    """Of the file; for a folder of its files' names and contents in order."""
    created_at: datetime
    """UTC; the earlier of the archive's own time and the file's. The archive states a time of day without
    a zone, which is taken for this machine's."""
    database: str
    """Name of the database that was dumped; empty where the format does not say."""
    server_version: str
    client_version: str
    entries: Mapping[str, tuple[str, ...]]
    """``schema.name`` by type of entry, e.g. ``TABLE``, ``TABLE DATA``, ``INDEX``, ``TRIGGER``."""
    complete: bool
    """It was read to its end and every part was there."""
    problem: str
    """Why it is not complete; empty if it is."""
    contents: str
    """The table of contents, for people."""


@dataclass(frozen=True)
class RestoreFacts:
    """What became of restoring a dump."""

    status: int | None
    """Exit status; ``None`` if it was ended because time was up."""
    duration_s: float
    errors: tuple[str, ...]
    """Every line that reports an error, whatever the exit status says; at most 50."""


def make_dump(
    database_url: str,
    path: Path,
    *,
    pg_dump: Path,
    timeout_s: float,
    snapshot: str | None = None,
    encrypted: bool = False,
) -> CommandFacts:
    """Dumps a database in the custom format into a file that only its owner may read.

    The file gets its name when it is complete; after a failure there is none.

    Args:
        database_url: libpq connection string or URL.
        path: the dump; its folder must exist.
        pg_dump: the program; its version must not be below the server's.
        timeout_s: seconds after which it is ended.
        snapshot: identifier of an exported snapshot that the dump must show.
        encrypted: refuse a connection without TLS, even if ``sslmode`` would fall back to one.

    Raises:
        ToolError: the program or the folder is missing, or the connection string can't be read.
    """
    own = libpq_environment(database_url)
    if encrypted and own.get("PGSSLMODE", os.environ.get("PGSSLMODE", "prefer")) in ("disable", "allow", "prefer"):
        own["PGSSLMODE"] = "require"
    partial = path.with_name(f".{path.name}.partial")
    command = [str(pg_dump), "--format=custom", "--no-password", f"--lock-wait-timeout={LOCK_WAIT_MS}"]
    command += [f"--file={partial}"] + ([f"--snapshot={snapshot}"] if snapshot else [])
    try:
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise ToolError(f"a dump can't be written into {path.parent}: {error.strerror}") from None
    try:
        # A service that is named by our environment alone would outweigh what the variables say.
        whole = {k: v for k, v in _environment(own).items() if k != "PGSERVICE" or k in own}
        facts = run_command(command, timeout_s=timeout_s, environment=whole)
        if facts.status == 0:
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return facts


def inspect_dump(path: Path, *, pg_restore: Path, timeout_s: float) -> DumpFacts:
    """Reads a dump from its beginning to its end; a bad one is described, not refused.

    Args:
        path: a file, or a folder of the directory format.
        pg_restore: the program; its version must not be below that of the ``pg_dump`` that was used.
        timeout_s: limit in seconds for each of the two times that an archive is read.

    Raises:
        TargetError: there is no such file.
        ToolError: the program is missing or too old, or the file may not be read.
    """
    try:
        kind, problem = _format(path)
        # Before the rest is read, so that who digests it again later sees whether it still changes.
        digest = sha256_of(path)
        size, written = _size(path), path.stat().st_mtime
        if kind == "plain":
            found = _read_plain(path)
        elif kind == "none":
            found = _Read(problem=problem)
        else:
            found = _read_archive(path, pg_restore, timeout_s)
    except FileNotFoundError:
        raise TargetError(f"the dump {path} is not there") from None
    except OSError as error:
        raise ToolError(f"the dump {path} can't be read: {error.strerror}") from None
    times = [datetime.fromtimestamp(written, UTC), *([found.created_at] if found.created_at else [])]
    return DumpFacts(
        path=path,
        format=kind,
        size_bytes=size,
        sha256=digest,
        created_at=min(times),
        database=found.database,
        server_version=found.server_version,
        client_version=found.client_version,
        entries=found.entries,
        complete=not found.problem,
        problem=found.problem,
        contents=found.contents,
    )


def restore_dump(
    path: Path, *, environment: Mapping[str, str], pg_restore: Path, psql: Path, timeout_s: float, jobs: int = 2
) -> RestoreFacts:
    """Restores a dump into an empty database; stops at the first error.

    Args:
        path: a file, or a folder of the directory format.
        environment: the whole environment of the program; ``PGDATABASE`` and the like say where to.
        pg_restore: the program for archives.
        psql: the program for plain SQL.
        timeout_s: seconds after which it is ended.
        jobs: how many connections restore at once, where the format allows it.

    Raises:
        TargetError: there is no such file.
        ToolError: a program is missing, or the file may not be read.
    """
    try:
        kind, _ = _format(path)
        problem = _unrestorable(path) if kind == "plain" else ""
    except FileNotFoundError:
        raise TargetError(f"the dump {path} is not there") from None
    except OSError as error:
        raise ToolError(f"the dump {path} can't be read: {error.strerror}") from None
    if problem:
        return RestoreFacts(None, 0.0, (problem,))
    if kind == "plain":
        # Without ON_ERROR_STOP, psql goes on after a failed statement and ends with 0.
        command = [str(psql), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null"]
        command += ["--no-password", f"--file={path}"]
    else:
        # A copy must neither follow another server nor need folders that only the original has.
        command = [str(pg_restore), "--exit-on-error", "--no-password", "--no-tablespaces", "--no-subscriptions"]
        command += [f"--jobs={jobs}"] if kind in ("custom", "directory") else []
        command += [f"--dbname={environment.get('PGDATABASE', '')}", str(path)]
    facts = run_command(command, timeout_s=timeout_s, environment={**environment, "LC_ALL": "C"})
    return RestoreFacts(facts.status, facts.duration_s, error_lines(facts.output))


def error_lines(output: str) -> tuple[str, ...]:
    """The lines of a program's output that report an error, each cut to 500 characters, at most 50."""
    lines = [line.strip()[:ERROR_LENGTH] for line in output.splitlines() if FAILED.search(line)]
    return tuple(lines[:ERROR_LINES])


def sha256_of(path: Path) -> str:
    """Digest of a file, or of a folder's files by name and content, as 64 hexadecimal digits.

    Raises:
        OSError: it can't be read.
    """
    digest = hashlib.sha256()
    for file in _files(path):
        if file != path:
            digest.update(f"{file.relative_to(path)}\0{file.stat().st_size}\0".encode())
        for chunk in _chunks(file):
            digest.update(chunk)
    return digest.hexdigest()


def major(version: str) -> int | None:
    """The major version in a version's text, e.g. 17 of ``17.10 (Debian 17.10-1)``; ``None`` without one."""
    found = re.match(r"\d+", version)
    return int(found[0]) if found else None


@dataclass(frozen=True)
class _Read:
    """What one format told."""

    created_at: datetime | None = None
    database: str = ""
    server_version: str = ""
    client_version: str = ""
    entries: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    problem: str = ""
    contents: str = ""


def _format(path: Path) -> tuple[str, str]:
    """The format, and for ``none`` why it is none."""
    if path.is_dir():
        has_contents = (path / "toc.dat").is_file()
        return ("directory", "") if has_contents else ("none", f"the folder {path.name} holds no toc.dat")
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head.startswith(b"PGDMP"):
        return "custom", ""
    if head[257:262] == b"ustar":
        return "tar", ""
    if PLAIN.search(head):
        return "plain", ""
    if not head:
        return "none", f"{path.name} is empty: 0 bytes"
    if CLUSTER.search(head):
        return "none", f"{path.name} is a dump of a whole server by pg_dumpall; make one of the database by pg_dump"
    if head.startswith(b"\x1f\x8b"):
        return "none", f"{path.name} is compressed by gzip; use pg_dump --format=custom, which compresses by itself"
    return "none", f"{path.name} is no dump of pg_dump: it begins like none of its formats"


def _read_archive(path: Path, pg_restore: Path, timeout_s: float) -> _Read:
    """Reads the table of contents, and then every part."""
    environment = _environment({})
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "contents"
        facts = run_command(
            [str(pg_restore), "--list", f"--file={listed}", str(path)], timeout_s=timeout_s, environment=environment
        )
        if facts.status != 0:
            return _Read(problem=_why(facts, path, timeout_s))
        contents = listed.read_text(encoding="utf-8", errors="backslashreplace")
    facts = run_command(
        [str(pg_restore), "--file=/dev/null", str(path)], timeout_s=timeout_s, environment=environment
    )
    told = dict(ARCHIVE_FACT.findall(contents))
    created = CREATED.search(contents)
    return _Read(
        created_at=datetime.strptime(created[1], "%Y-%m-%d %H:%M:%S").astimezone(UTC) if created else None,
        database=told.get("dbname", ""),
        server_version=told.get("Dumped from database version", ""),
        client_version=told.get("Dumped by pg_dump version", ""),
        entries=_grouped(_archive_entries(contents)),
        problem="" if facts.status == 0 else _why(facts, path, timeout_s),
        contents=contents,
    )


def _archive_entries(contents: str) -> Iterator[tuple[str, str]]:
    """Type and ``schema.name``; a line reads ``id; oid oid TYPE schema name owner``, and ``-`` is no schema."""
    for line in ARCHIVE_ENTRY.findall(contents):
        kind = next((k for k in LONG_TYPES if line.startswith(f"{k} ")), line.partition(" ")[0])
        schema, _, rest = line[len(kind) + 1 :].partition(" ")
        name = rest.rpartition(" ")[0] or rest
        yield kind, name if schema == "-" else f"{schema}.{name}"


def _read_plain(path: Path) -> _Read:
    """Reads the comments with which pg_dump heads every object."""
    versions: dict[bytes, bytes] = {}
    entries: list[tuple[str, str]] = []
    rest = b""
    for chunk in _chunks(path):
        text = rest + chunk
        whole, _, rest = text.rpartition(b"\n")
        if len(rest) > CHUNK:  # a value of that size is data, in which nothing is looked for
            rest = b""
        versions = versions or dict(PLAIN_VERSION.findall(whole))
        for name, kind, schema in PLAIN_ENTRY.findall(whole):
            text_name = name.decode("utf-8", "backslashreplace")
            prefix = "" if schema == b"-" else schema.decode("utf-8", "backslashreplace") + "."
            entries.append((kind.decode(), prefix + text_name))
    return _Read(
        server_version=versions.get(b"from database", b"").decode("utf-8", "backslashreplace"),
        client_version=versions.get(b"by pg_dump", b"").decode("utf-8", "backslashreplace"),
        entries=_grouped(iter(entries)),
        problem=_unfinished(path),
        contents="".join(f"{kind} {name}\n" for kind, name in entries),
    )


def _unfinished(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - TAIL, 0))
        tail = file.read()
    if COMPLETE in tail:
        return ""
    return f"{path.name} ends without the line 'PostgreSQL database dump complete', so its end is missing"


def _unrestorable(path: Path) -> str:
    """Why a plain dump can't be restored for comparison, though psql might end with 0."""
    with path.open("rb") as file:
        switches = SWITCHES.search(file.read(CHUNK))
    if switches:
        other = switches[1].decode("utf-8", "backslashreplace")
        return f"{path.name} switches to the database {other} by \\connect; make the dump without pg_dump --create"
    return _unfinished(path)


def _grouped(entries: Iterator[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    names: dict[str, list[str]] = {}
    for kind, name in entries:
        names.setdefault(kind, []).append(name)
    return {kind: tuple(sorted(found)) for kind, found in sorted(names.items())}


def _why(facts: CommandFacts, path: Path, timeout_s: float) -> str:
    if facts.status is None:
        return f"{path.name} was not read to its end within {timeout_s:g} s"
    if "unsupported version" in facts.output:
        raise ToolError(f"{path.name} was made by a newer pg_dump than this pg_restore reads; install its version")
    said = (*error_lines(facts.output), facts.output.strip()[-ERROR_LENGTH:])
    return said[0] or f"pg_restore ended with status {facts.status}"


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    """Ours with what a program needs; in English, because its messages are read."""
    return {**os.environ, **own, "LC_ALL": "C"}


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file())


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in _files(path))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
