"""The schema that a release is meant to have: what its migrations make of an empty database."""

from __future__ import annotations

import re

from gonogo import Scratch, Target, ToolError
from gonogo.probes.catalog import read_catalog
from gonogo.schema import Catalog

FAILED = re.compile(r"(?:^|[\s:])(?:ERROR|FATAL|PANIC):", re.MULTILINE)
"""How PostgreSQL's programs begin the line of a statement that failed."""

LAST_LINES = 5
"""Of a command's output, in a sentence about it."""


def expected_catalog(target: Target, scratch: Scratch) -> Catalog:
    """The schema that the release's migrations make of an empty database.

    Raises:
        ToolError: they can't be applied to it, so that nothing could be compared.
    """
    database = target.settings("database")
    key = ("expected catalog", target.name, database.migrate, database.schema_name, target.version)
    if key not in scratch.cache:
        with scratch.database(roles=scratch.roles) as empty_one:
            done = target.run(database.migrate, timeout_s=database.migrate_s, environment=empty_one.environment)
            if done.status != 0 or FAILED.search(done.output):
                raise ToolError(_did_not_migrate(done.command, done.status, done.output, database.migrate_s))
            scratch.cache[key] = read_catalog(empty_one.url, database.schema_name, database.timeout_s)
    found: Catalog = scratch.cache[key]
    return found


def _did_not_migrate(command: str, status: int | None, output: str, limit_s: float) -> str:
    ended = f"did not end within {limit_s:g} s" if status is None else f"ended with status {status}"
    said = " / ".join(line.strip() for line in output.splitlines()[-LAST_LINES:] if line.strip()) or "nothing"
    failed = " after a statement failed" if status == 0 else ""
    return (
        f"the expected schema can't be made: {command} (launch.toml: database.migrate) {ended}{failed} on an empty "
        f"scratch database, and said: {said}"
    )
