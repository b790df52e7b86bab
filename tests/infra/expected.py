"""The schema that a release is meant to have: what its migrations make of an empty database."""

from __future__ import annotations

from gonogo import Scratch, Target, TargetError, ToolError
from gonogo.probes.catalog import read_catalog
from gonogo.probes.dump import error_lines
from gonogo.schema import Catalog

LAST_LINES = 5
"""Of a command's output, in a sentence about it."""


def expected_catalog(target: Target, scratch: Scratch) -> Catalog:
    """The schema that the release's migrations make of an empty database.

    Raises:
        TargetError: they fail there, so that nothing could be compared.
        ToolError: they made nothing, or the command can't be run.
    """
    database = target.settings("database")
    key = ("expected catalog", target.name, database.migrate, database.schema_name, target.version)
    if key not in scratch.cache:
        try:
            scratch.cache[key] = _made_of_nothing(target, scratch)
        except (TargetError, ToolError) as error:
            scratch.cache[key] = error  # the gates that follow need not wait for it again
    found: Catalog | TargetError | ToolError = scratch.cache[key]
    if not isinstance(found, Catalog):
        raise found
    return found


def _made_of_nothing(target: Target, scratch: Scratch) -> Catalog:
    database = target.settings("database")
    with scratch.database(roles=scratch.roles) as empty_one:
        done = target.run(database.migrate, timeout_s=database.migrate_s, environment=empty_one.environment)
        if done.status != 0 or error_lines(done.output):
            raise TargetError(_did_not_migrate(done.command, done.status, done.output, database.migrate_s))
        made = read_catalog(empty_one.url, database.schema_name, database.timeout_s)
    if all(one.kind == "extension" for one in made.objects):
        raise ToolError(_made_nothing(done.command, database.schema_name))
    return made


def _made_nothing(command: str, schema: str) -> str:
    return (
        f"the expected schema can't be made: {command} (launch.toml: database.migrate) ended well and made nothing "
        f"in schema {schema} of an empty scratch database; it must migrate the database that $DATABASE_URL names "
        "(did it take another one?), and database.schema must be the schema that it fills"
    )


def _did_not_migrate(command: str, status: int | None, output: str, limit_s: float) -> str:
    ended = f"did not end within {limit_s:g} s" if status is None else f"ended with status {status}"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    said = " / ".join((error_lines(output) or lines[-LAST_LINES:])[:LAST_LINES]) or "nothing"
    failed = " after a statement failed" if status == 0 else ""
    return (
        f"the expected schema can't be made: {command} (launch.toml: database.migrate) {ended}{failed} on an empty "
        f"scratch database, and said: {said}"
    )
