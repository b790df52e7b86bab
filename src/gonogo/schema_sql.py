"""SQL that brings one object of a schema to what is expected of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gonogo.schema_objects import SchemaObject, Step

# Statements run in this order. Types, sequences, tables and functions share a stage: each may need any other,
# and the order in which the migrations made them is one that worked.
EXTENSIONS, OBJECTS, COLUMNS, KEYS, VIEWS, CONSTRAINTS, INDEXES, TRIGGERS, SETTLE, REMARKS = range(10)

_STAGES = {
    "extension": EXTENSIONS,
    "type": OBJECTS,
    "sequence": OBJECTS,
    "table": OBJECTS,
    "function": OBJECTS,
    "view": VIEWS,
    "column": COLUMNS,
    "constraint": CONSTRAINTS,
    "index": INDEXES,
    "trigger": TRIGGERS,
    "rule": TRIGGERS,
    "policy": TRIGGERS,
}
_TRIGGER_MODES = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA", "D": "DISABLE"}


@dataclass(frozen=True)
class Surroundings:
    """What the SQL for one object has to know of the others."""

    schema: str
    tables: Mapping[str, SchemaObject]
    """Expected tables and views by name."""
    children: Mapping[str, Sequence[tuple[int, SchemaObject]]]
    """Expected objects with their positions, by the name of the table that they belong to."""

    def table(self, one: SchemaObject) -> str:
        """Address of the table that an object belongs to."""
        owner = self.tables.get(one.parent)
        return owner.address if owner else one.parent

    def partitioned(self, one: SchemaObject) -> bool:
        """It belongs to a partitioned table, where some statements can't run concurrently."""
        owner = self.tables.get(one.parent)
        return bool(owner and owner.facts.get("form") == "partitioned table")


def for_missing(one: SchemaObject, position: int, around: Surroundings, *, fresh: bool = False) -> list[Step]:
    """Statements that make an object, and everything that goes with it.

    Args:
        one: the expected object.
        position: where it stands among the expected objects.
        around: the other expected objects.
        fresh: its table is made in the same go, is empty, and nobody waits for it.
    """
    if not one.create:
        return []
    stage = _STAGES[one.kind]
    if one.kind == "constraint":
        return _constraint(one, position, around, fresh=fresh)
    if one.kind == "index":
        return [Step(stage, position, _build(one, around, fresh=fresh))]
    steps = [Step(stage, position, one.create)]
    if one.kind == "column" and one.facts.get("nullable") is False and not _filled(one):
        # A table with rows can't take it in one step: they have no value yet.
        change = f"ALTER TABLE {around.table(one)} ALTER COLUMN {one.address} SET NOT NULL"
        steps.append(Step(COLUMNS, position, f"-- first give every row of {one.parent} a value for {one.address}"))
        steps.append(Step(COLUMNS, position, change))
    return steps + _companions(one, position, around)


def _companions(one: SchemaObject, position: int, around: Surroundings) -> list[Step]:
    """What an object takes beside its own statement."""
    steps = []
    if one.kind in ("trigger", "rule") and one.facts.get("mode") != "O":
        steps.append(Step(TRIGGERS, position, _mode(one, around)))
    if one.kind == "sequence" and one.facts.get("owned by"):
        steps.append(Step(SETTLE, position, _owned(one)))
    if one.kind == "function" and "." in one.name.partition("(")[0]:  # one of another schema
        steps.append(Step(EXTENSIONS, position, f"CREATE SCHEMA IF NOT EXISTS {one.address.partition('.')[0]}"))
    if one.kind == "table" and one.facts.get("row security") != "off":
        steps += _row_security(one, position)
    if one.kind == "table" and one.facts.get("replica identity"):
        steps.append(_replica_identity(one, position))
    if one.kind in ("table", "view"):
        for place, child in around.children.get(one.name, ()):
            if child.kind != "column":
                steps += for_missing(child, place, around, fresh=True)
    return steps


def for_different(
    wanted: SchemaObject, found: SchemaObject, changed: Sequence[str], position: int, around: Surroundings
) -> list[Step]:
    """Statements that change an object which is there.

    Args:
        wanted: the expected object.
        found: the object as it is.
        changed: names of the facts that differ.
        position: where it stands among the expected objects.
        around: the other expected objects.
    """
    return _CHANGES[wanted.kind](wanted, found, changed, position, around)


def for_unexpected(one: SchemaObject, position: int, around: Surroundings) -> list[Step]:
    """A remark with the statement that would remove it; nothing is ever dropped unasked."""
    if one.kind in ("column", "constraint", "trigger", "rule", "policy"):
        table = around.table(one)
        drop = f"DROP {one.kind.upper()} {one.address} ON {table}"
        if one.kind in ("column", "constraint"):
            drop = f"ALTER TABLE {table} DROP {one.kind.upper()} {one.address}"
    else:
        form = "MATERIALIZED VIEW" if one.facts.get("form") == "materialised view" else one.kind.upper()
        drop = f"DROP {form} {one.address}"
    return [Step(REMARKS, position, f"-- {drop};  -- not expected; only if nobody needs it")]


def _extension(
    wanted: SchemaObject, _found: SchemaObject, _changed: Sequence[str], position: int, _around: Surroundings
) -> list[Step]:
    return [Step(EXTENSIONS, position, wanted.create)]


def _type(
    wanted: SchemaObject, found: SchemaObject, _changed: Sequence[str], position: int, _around: Surroundings
) -> list[Step]:
    labels, have = (_labels(side) for side in (wanted, found))
    if not labels or [label for label in labels if label in have] != have:
        return [_by_hand(wanted, position)]
    steps = []
    for number, label in enumerate(labels):
        if label not in have:
            where = f"AFTER {labels[number - 1]}" if number else f"BEFORE {have[0]}" if have else ""
            steps.append(Step(OBJECTS, position, f"ALTER TYPE {wanted.address} ADD VALUE {label} {where}".rstrip()))
    return steps


def _labels(one: SchemaObject) -> list[str]:
    if one.facts.get("form") != "enum":
        return []
    return re.findall(r"E?'(?:[^']|'')*'", str(one.facts.get("definition")))


def _sequence(
    wanted: SchemaObject, _found: SchemaObject, changed: Sequence[str], position: int, _around: Surroundings
) -> list[Step]:
    steps = []
    if set(changed) - {"owned by"}:
        statement = wanted.create.replace("CREATE SEQUENCE", "ALTER SEQUENCE", 1)
        steps.append(Step(OBJECTS, position, statement))
    if "owned by" in changed:
        steps.append(Step(SETTLE, position, _owned(wanted)))
    return steps


def _owned(one: SchemaObject) -> str:
    return f"ALTER SEQUENCE {one.address} OWNED BY {one.facts.get('owned by') or 'NONE'}"


def _table(
    wanted: SchemaObject, _found: SchemaObject, changed: Sequence[str], position: int, _around: Surroundings
) -> list[Step]:
    alter = f"ALTER TABLE {wanted.address}"
    steps = []
    if "persistence" in changed:
        steps.append(Step(COLUMNS, position, f"{alter} SET {str(wanted.facts['persistence']).upper()}"))
    if "row security" in changed:
        steps += _row_security(wanted, position)
    if "replica identity" in changed:
        steps.append(_replica_identity(wanted, position))
    if set(changed) - {"persistence", "row security", "replica identity"}:
        steps.append(_by_hand(wanted, position))
    return steps


def _row_security(one: SchemaObject, position: int) -> list[Step]:
    rows = one.facts["row security"]
    words = ("DISABLE" if rows == "off" else "ENABLE", "FORCE" if rows == "forced" else "NO FORCE")
    return [Step(COLUMNS, position, f"ALTER TABLE {one.address} {word} ROW LEVEL SECURITY") for word in words]


def _replica_identity(one: SchemaObject, position: int) -> Step:
    how = one.facts.get("replica identity") or "DEFAULT"  # may name an index that is only made before this
    return Step(SETTLE, position, f"ALTER TABLE {one.address} REPLICA IDENTITY {how}")


def _column(
    wanted: SchemaObject, found: SchemaObject, changed: Sequence[str], position: int, around: Surroundings
) -> list[Step]:
    table = around.table(wanted)
    facts = wanted.facts
    if "generated" in changed:
        # Its values are computed anew, so nothing is lost.
        statements = [f"ALTER TABLE {table} DROP COLUMN {wanted.address}", wanted.create]
        return [Step(COLUMNS, position, statement) for statement in statements if facts.get("generated")] or [
            _by_hand(wanted, position)
        ]
    alter = f"ALTER TABLE {table} ALTER COLUMN {wanted.address}"
    statements = []
    retyped = {"type", "collation"} & set(changed)
    if retyped:
        if found.facts.get("default"):  # the old default need not fit the new type
            statements.append(f"{alter} DROP DEFAULT")
        collate = f" COLLATE {facts['collation']}" if facts.get("collation") else ""
        statements.append(f"{alter} TYPE {facts['type']}{collate} USING {wanted.address}::{facts['type']}")
    if ("default" in changed or retyped) and facts.get("default"):
        statements.append(f"{alter} SET DEFAULT {facts['default']}")
    elif "default" in changed:
        statements.append(f"{alter} DROP DEFAULT")
    if "nullable" in changed:
        statements.append(f"{alter} {'DROP' if facts['nullable'] else 'SET'} NOT NULL")
    if "identity" in changed:
        statements += _identity(str(facts.get("identity") or ""), str(found.facts.get("identity") or ""), alter)
    return [Step(COLUMNS, position, statement) for statement in statements]


def _identity(wanted: str, found: str, alter: str) -> list[str]:
    """From one ``ALWAYS (START WITH 1 ...)`` to another; an empty text is no identity."""
    if not wanted:
        return [f"{alter} DROP IDENTITY"]
    when, _, options = wanted.partition(" (")
    if not found:
        return [f"{alter} ADD GENERATED {when} AS IDENTITY ({options}"]
    settings = re.sub(r"(START|INCREMENT|MINVALUE|MAXVALUE|NO CYCLE|CYCLE)", r"SET \1", options.rstrip(")"))
    return [f"{alter} SET GENERATED {when} {settings}"]


def _constraint(one: SchemaObject, position: int, around: Surroundings, *, fresh: bool) -> list[Step]:
    stage = KEYS if one.facts.get("type") in ("primary key", "unique", "exclusion") else CONSTRAINTS
    gradual = one.facts.get("type") in ("check", "foreign key") and not fresh and not around.partitioned(one)
    if not gradual or not one.facts.get("validated"):
        return [Step(stage, position, one.create)]
    # The first statement locks for an instant, the second lets others write while it reads every row.
    return [Step(stage, position, f"{one.create} NOT VALID"), _validate(one, position, around)]


def _validate(one: SchemaObject, position: int, around: Surroundings) -> Step:
    return Step(SETTLE, position, f"ALTER TABLE {around.table(one)} VALIDATE CONSTRAINT {one.address}")


def _change_constraint(
    wanted: SchemaObject, _found: SchemaObject, changed: Sequence[str], position: int, around: Surroundings
) -> list[Step]:
    if list(changed) == ["validated"] and wanted.facts["validated"]:
        return [_validate(wanted, position, around)]
    if list(changed) == ["index valid"]:
        schema = around.table(wanted).partition(".")[0]
        return [Step(INDEXES, position, f"REINDEX INDEX CONCURRENTLY {schema}.{wanted.address}")]
    if not wanted.create:
        return [_by_hand(wanted, position)]
    drop = f"ALTER TABLE {around.table(wanted)} DROP CONSTRAINT {wanted.address}"
    steps = _constraint(wanted, position, around, fresh=False)
    return [Step(steps[0].stage, position, drop), *steps]


def _build(one: SchemaObject, around: Surroundings, *, fresh: bool) -> str:
    if around.partitioned(one):
        return one.create.replace(" ON ONLY ", " ON ", 1)
    return one.create if fresh else one.create.replace("INDEX ", "INDEX CONCURRENTLY ", 1)


def _index(
    wanted: SchemaObject, _found: SchemaObject, changed: Sequence[str], position: int, around: Surroundings
) -> list[Step]:
    if set(changed) <= {"valid", "ready"}:
        return [Step(INDEXES, position, f"REINDEX INDEX CONCURRENTLY {wanted.address}")]
    if not wanted.create:
        return [_by_hand(wanted, position)]
    concurrently = "" if around.partitioned(wanted) else " CONCURRENTLY"
    drop = f"DROP INDEX{concurrently} {wanted.address}"
    return [Step(INDEXES, position, drop), Step(INDEXES, position, _build(wanted, around, fresh=False))]


def _view(
    wanted: SchemaObject, found: SchemaObject, changed: Sequence[str], position: int, around: Surroundings
) -> list[Step]:
    if list(changed) == ["populated"]:
        return [Step(SETTLE, position, f"REFRESH MATERIALIZED VIEW {wanted.address}")]
    stored = "materialised view"
    if stored not in (wanted.facts.get("form"), found.facts.get("form")):
        return [Step(VIEWS, position, wanted.create.replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1))]
    form = "MATERIALIZED VIEW" if found.facts.get("form") == stored else "VIEW"
    steps = [Step(VIEWS, position, f"DROP {form} {found.address}"), Step(VIEWS, position, wanted.create)]
    for place, child in around.children.get(wanted.name, ()):  # they went with the view
        steps += for_missing(child, place, around, fresh=True)
    return steps


def _function(
    wanted: SchemaObject, _found: SchemaObject, _changed: Sequence[str], position: int, _around: Surroundings
) -> list[Step]:
    return [Step(OBJECTS, position, wanted.create)]


def _trigger(
    wanted: SchemaObject, _found: SchemaObject, changed: Sequence[str], position: int, around: Surroundings
) -> list[Step]:
    if list(changed) == ["mode"]:
        return [Step(TRIGGERS, position, _mode(wanted, around))]
    if not wanted.create:
        return [_by_hand(wanted, position)]
    drop = f"DROP {wanted.kind.upper()} {wanted.address} ON {around.table(wanted)}"
    return [Step(TRIGGERS, position, drop), *for_missing(wanted, position, around)]


def _mode(one: SchemaObject, around: Surroundings) -> str:
    how = _TRIGGER_MODES[str(one.facts["mode"])]
    return f"ALTER TABLE {around.table(one)} {how} {one.kind.upper()} {one.address}"


def _filled(column: SchemaObject) -> bool:
    return any(column.facts.get(fact) for fact in ("default", "identity", "generated"))


def _by_hand(one: SchemaObject, position: int) -> Step:
    definition = " ".join(one.create.split()) or "what the parent of its table has"
    return Step(
        REMARKS, position, f"-- {one.kind} {one.name} can't be changed by one statement; wanted: {definition}"
    )


_Change = Callable[[SchemaObject, SchemaObject, Sequence[str], int, Surroundings], list[Step]]
_CHANGES: Mapping[str, _Change] = {
    "extension": _extension,
    "type": _type,
    "sequence": _sequence,
    "table": _table,
    "view": _view,
    "column": _column,
    "constraint": _change_constraint,
    "index": _index,
    "function": _function,
    "trigger": _trigger,
    "rule": _trigger,
    "policy": _trigger,
}
