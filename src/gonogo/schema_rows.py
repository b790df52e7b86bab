"""Makes the objects of a schema out of rows of the system catalogs, with the SQL that would make each of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gonogo.schema_objects import Fact, SchemaObject

Row = tuple[Any, ...]
Rows = Mapping[str, list[Row]]

_CONSTRAINTS = {
    "p": "primary key",
    "u": "unique",
    "c": "check",
    "f": "foreign key",
    "x": "exclusion",
    "n": "not null",
}
_TABLES = {"r": "table", "p": "partitioned table", "f": "foreign table"}
_FUNCTIONS = {"f": "function", "p": "procedure", "w": "window function", "a": "aggregate"}
_PERSISTENCE = {"p": "logged", "u": "unlogged", "t": "temporary"}

# PostgreSQL prints `varchar IN (...)` in one form after CREATE TABLE, and in another after its own dump was
# restored; the second is taken for both.
_CAST_LIST = re.compile(
    r"\(ARRAY\[('(?:[^']|'')*'::character varying(?:, '(?:[^']|'')*'::character varying)*)\]\)::text\[\]"
)
_CAST_ITEM = re.compile(r"'(?:[^']|'')*'::character varying")


def objects_of(rows: Rows) -> Iterator[SchemaObject]:
    """Objects out of one list of rows a catalog; the rows are those that `gonogo.probes.catalog` asks for.

    What belongs to a table that is not listed (one of an extension, say) is left out.
    """
    columns: dict[str, list[Row]] = {}
    for row in rows["columns"]:
        columns.setdefault(row[0], []).append(row)
    builders: dict[str, Callable[[Row], SchemaObject]] = {
        "types": _type,
        "sequences": _sequence,
        "tables": lambda row: _table(row, columns.get(row[1], [])),
        "functions": _function,
        "views": _view,
    }
    # Object ids grow, so their order is the one in which the migrations made things.
    made = [
        (row[0], number, build(row)) for number, (name, build) in enumerate(builders.items()) for row in rows[name]
    ]
    yield from (_extension(row) for row in rows["extensions"])
    yield from (one for _, _, one in sorted(made, key=lambda entry: entry[:2]))
    tables = {row[1]: row[2] for row in rows["tables"]}
    owners = {*tables, *(row[1] for row in rows["views"])}
    yield from (_column(row, tables[row[0]]) for row in rows["columns"] if row[0] in tables)
    yield from (_constraint(row, tables[row[0]]) for row in rows["constraints"] if row[0] in tables)
    yield from (_index(row) for row in rows["indexes"] if row[2] in owners)
    yield from (_trigger(row) for row in rows["triggers"] if row[0] in owners)
    yield from (_rule(row) for row in rows["rules"] if row[0] in owners)
    yield from (_policy(row, tables[row[0]]) for row in rows["policies"] if row[0] in tables)


def _extension(row: Row) -> SchemaObject:
    name, address, schema = row
    where = "" if schema == "pg_catalog" else f" WITH SCHEMA {schema}"
    return SchemaObject("extension", name, "", {}, f"CREATE EXTENSION IF NOT EXISTS {address}{where}", address)


def _type(row: Row) -> SchemaObject:
    _, name, address, form, definition = row
    text = _settled(definition or "")
    makes = {"enum": f"ENUM ({text})", "range": f"RANGE ({text})", "domain": text, "composite": f"({text})"}
    kind = "DOMAIN" if form == "domain" else "TYPE"
    create = f"CREATE {kind} {address} AS {makes[form]}"
    return SchemaObject("type", name, "", {"form": form, "definition": text}, create, address)


def _sequence(row: Row) -> SchemaObject:
    _, name, address, owner, owned_by, kind, start, increment, minimum, maximum, cycle = row
    facts: dict[str, Fact] = {
        "type": kind,
        "start": start,
        "increment": increment,
        "minimum": minimum,
        "maximum": maximum,
        "cycle": cycle,
        "owned by": owned_by,
    }
    create = (
        f"CREATE SEQUENCE {address} AS {kind} START WITH {start} INCREMENT BY {increment} "
        f"MINVALUE {minimum} MAXVALUE {maximum} {'' if cycle else 'NO '}CYCLE"
    )
    return SchemaObject("sequence", name, owner or "", facts, create, address)


def _table(row: Row, columns: list[Row]) -> SchemaObject:
    _, name, address, kind, persistence, key, partition_of, inherits, secured, forced, server, identity = row
    facts: dict[str, Fact] = {
        "form": _TABLES[kind],
        "persistence": _PERSISTENCE[persistence],
        "partition by": key,
        "partition of": partition_of,
        "inherits": inherits,
        "row security": "forced" if secured and forced else "on" if secured else "off",
    }
    if identity:  # only where somebody set it
        facts["replica identity"] = identity
    form = "UNLOGGED TABLE" if persistence == "u" else "FOREIGN TABLE" if kind == "f" else "TABLE"
    listed = ",\n".join(f"    {_clause(column)}" for column in columns if column[-1])
    create = f"CREATE {form} {address} (\n{listed}\n)"
    if partition_of:
        parent, _, bound = partition_of.partition(" FOR VALUES ")
        create = f"CREATE {form} {address} PARTITION OF {parent}" + (f" FOR VALUES {bound}" if bound else "")
    if inherits:
        create += f" INHERITS ({inherits})"
    if key:
        create += f" PARTITION BY {key}"
    if server:
        create += f" SERVER {server}"
    return SchemaObject("table", name, "", facts, create, address)


def _clause(row: Row) -> str:
    """A column as CREATE TABLE has it."""
    _, _, address, kind, not_null, expression, identity, generated, collation, _ = row
    parts = [address, kind]
    if collation:
        parts.append(f"COLLATE {collation}")
    if identity:
        when, _, options = identity.partition(" (")
        parts.append(f"GENERATED {when} AS IDENTITY ({options}")
    elif generated:
        parts.append(f"GENERATED ALWAYS AS ({expression}) {'VIRTUAL' if generated == 'v' else 'STORED'}")
    elif expression is not None:
        parts.append(f"DEFAULT {expression}")
    if not_null:
        parts.append("NOT NULL")
    return " ".join(parts)


def _column(row: Row, table_address: str) -> SchemaObject:
    table, name, address, kind, not_null, expression, identity, generated, collation, _ = row
    stored = {"s": "stored", "v": "virtual"}.get(generated, "")
    facts: dict[str, Fact] = {
        "type": kind,
        "nullable": not not_null,
        "default": None if generated else expression,
        "identity": identity,
        "generated": f"{expression} {stored}" if generated else None,
        "collation": collation,
    }
    # NOT NULL comes as a step of its own where rows would have no value.
    bare = not_null and expression is None and not identity
    clause = _clause((*row[:4], False, *row[5:])) if bare else _clause(row)
    create = f"ALTER TABLE {table_address} ADD COLUMN {clause}"
    return SchemaObject("column", f"{table}.{name}", table, facts, create, address)


def _constraint(row: Row, table_address: str) -> SchemaObject:
    table, name, address, kind, definition, validated, index_valid, enforced, inherited = row
    text = _settled(definition.removesuffix(" NOT VALID"))
    facts: dict[str, Fact] = {
        "type": _CONSTRAINTS.get(kind, kind),
        "definition": text,
        "validated": validated,
        "enforced": enforced,
        "index valid": index_valid,
    }
    late = "" if validated else " NOT VALID"
    create = f"ALTER TABLE {table_address} ADD CONSTRAINT {address} {text}{late}"
    return SchemaObject("constraint", f"{table}.{name}", table, facts, "" if inherited else create, address)


def _index(row: Row) -> SchemaObject:
    name, address, table, method, unique, valid, ready, definition, inherited = row
    facts: dict[str, Fact] = {
        "on": _settled(definition.partition(f" USING {method} ")[2]),
        "method": method,
        "unique": unique,
        "valid": valid,
        "ready": ready,
    }
    return SchemaObject("index", name, table, facts, "" if inherited else definition, address)


def _view(row: Row) -> SchemaObject:
    _, name, address, kind, options, definition, populated = row
    text = definition.strip().removesuffix(";")
    form, create = ("view", "VIEW") if kind == "v" else ("materialised view", "MATERIALIZED VIEW")
    facts: dict[str, Fact] = {"form": form, "definition": text, "options": options}
    if kind == "m":
        facts["populated"] = populated
    given = f" WITH ({options})" if options else ""
    return SchemaObject("view", name, "", facts, f"CREATE {create} {address}{given} AS\n{text}", address)


def _function(row: Row) -> SchemaObject:
    _, name, address, kind, definition = row
    facts: dict[str, Fact] = {"form": _FUNCTIONS.get(kind, kind), "definition": definition.strip()}
    create = definition.strip() if kind != "a" else f"CREATE AGGREGATE {address} ({definition})"
    return SchemaObject("function", name, "", facts, create, address)


def _trigger(row: Row) -> SchemaObject:
    table, name, address, mode, function, definition, inherited = row
    head, _, call = definition.partition(" EXECUTE FUNCTION ")
    facts: dict[str, Fact] = {
        "fires": head.partition(f" {address} ")[2],
        "calls": function,
        "arguments": call.partition("(")[2].removesuffix(")"),
        "mode": mode,
    }
    return SchemaObject("trigger", f"{table}.{name}", table, facts, "" if inherited else definition, address)


def _rule(row: Row) -> SchemaObject:
    table, name, address, mode, definition = row
    text = definition.strip().removesuffix(";")
    facts: dict[str, Fact] = {"definition": text, "mode": mode}
    return SchemaObject("rule", f"{table}.{name}", table, facts, text, address)


def _policy(row: Row, table_address: str) -> SchemaObject:
    table, name, address, definition = row
    create = f"CREATE POLICY {address} ON {table_address} {definition}"
    return SchemaObject("policy", f"{table}.{name}", table, {"definition": definition}, create, address)


def _settled(definition: str) -> str:
    return _CAST_LIST.sub(
        lambda found: f"ARRAY[{_CAST_ITEM.sub(lambda item: f'({item[0]})::text', found[1])}]", definition
    )
