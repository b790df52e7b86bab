"""Compares two catalogs: what differs, in words a DBA reads in seconds, and the SQL that closes it.

Pure: no clock, file or network. `gonogo.probes.catalog` reads the catalogs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from gonogo import schema_sql
from gonogo.schema_objects import KINDS, Catalog, Difference, Fact, SchemaObject, Step, ended, in_order
from gonogo.schema_rows import objects_of

__all__ = [
    "KINDS",
    "Catalog",
    "Difference",
    "Fact",
    "SchemaObject",
    "Step",
    "closing_sql",
    "closing_statements",
    "compare",
    "compared",
    "fingerprint",
    "objects_of",
]

_Key = tuple[str, str, str]
"""Kind, name, and for what is named within a table also that table: names may hold dots of their own."""
_WITHIN = frozenset(("column", "constraint", "trigger", "rule", "policy"))
_Objects = Mapping[_Key, tuple[int, SchemaObject]]

_LONGEST = 110
"""Characters of one value in a difference; its whole definition is in the evidence."""
_MODES = {
    "O": "fires",
    "A": "fires always, on replicas too",
    "R": "fires on replicas only",
    "D": "disabled: it never fires",
}
# A fact that is false says the same whatever was expected.
_BROKEN = {
    ("index", "valid"): "invalid: queries can't use it; REINDEX INDEX CONCURRENTLY",
    ("index", "ready"): "not ready: new rows are not entered into it",
    ("view", "populated"): "never filled: every query fails; REFRESH MATERIALIZED VIEW",
    ("constraint", "index valid"): "its index is invalid: queries can't use it; REINDEX INDEX CONCURRENTLY",
    ("constraint", "validated"): "not validated: older rows may break it",
    ("constraint", "enforced"): "not enforced: its internal triggers are disabled",
}


def compare(expected: Catalog, actual: Catalog, ignore: Sequence[str] = ()) -> tuple[Difference, ...]:
    """Everything in which ``actual`` is not as expected.

    A table that is missing, or not expected, is one difference: what belongs to it goes with it. An extension
    that is only there too is none. Order of columns, owners, rights and comments are not compared.

    Args:
        expected: what the release needs.
        actual: what is there.
        ignore: patterns of ``kind:name`` with ``*`` and ``?``, e.g. ``table:tmp_*``, ``index:loads.*``.

    Returns:
        Differences by kind, in the order of ``KINDS``, then by name.
    """
    wanted, found = _by_key(expected), _by_key(actual)
    around = _surroundings(expected)
    gone, extra = _owners(wanted, found), _owners(found, wanted)
    differences = []
    for key, (position, one) in wanted.items():
        if one.parent in gone:
            continue
        if key not in found:
            steps = tuple(schema_sql.for_missing(one, position, around))
            differences.append(Difference(one.kind, one.name, "missing", _missing(one, expected, actual), steps))
        elif changed := _changed(one, found[key][1]):
            differences.append(_different(one, found[key][1], changed, position, around))
    for key, (position, one) in found.items():
        if key not in wanted and one.parent not in extra and one.kind != "extension":
            steps = tuple(schema_sql.for_unexpected(one, position, around))
            differences.append(Difference(one.kind, one.name, "unexpected", f"{_title(one)}: not expected", steps))
    kept = [one for one in differences if not _ignored(one.kind, one.name, ignore)]
    return tuple(sorted(kept, key=lambda d: (KINDS.index(d.kind), d.name)))


def compared(expected: Catalog, actual: Catalog, kinds: Iterable[str] = KINDS, ignore: Sequence[str] = ()) -> int:
    """How many objects of these kinds a comparison looks at: those of either side, each once.

    What belongs to a table that only one side has is not looked at, nor is what ``ignore`` names: a pattern that
    takes everything leaves 0, which proves nothing.
    """
    wanted, found = _by_key(expected), _by_key(actual)
    alone = _owners(wanted, found) | _owners(found, wanted)
    chosen = set(kinds)
    return sum(
        kind in chosen and one.parent not in alone and not _ignored(kind, name, ignore)
        for (kind, name, _), (_, one) in {**found, **wanted}.items()
    )


def closing_statements(differences: Iterable[Difference], schema: str) -> tuple[str, ...]:
    """The statements of ``closing_sql``, to be run one by one outside a transaction; comments are left out."""
    statements = in_order([step for difference in differences for step in difference.steps])
    if not statements:
        return ()
    # Bodies of functions may name what only a later statement makes.
    head = [f"SET search_path = {_identifier(schema)}", "SET check_function_bodies = off"]
    return tuple(statement for statement in (*head, *statements) if not statement.startswith("--"))


def closing_sql(differences: Iterable[Difference], schema: str) -> str:
    """A script that closes all differences, in an order that works; empty if there are none.

    Nothing is dropped that was not expected: those are comments. Indexes are built concurrently, so the
    script must not run inside a transaction.
    """
    listed = list(differences)
    statements = in_order([step for difference in listed for step in difference.steps])
    if not statements:
        return ""
    lines = [f"-- Brings schema {_identifier(schema)} to what the release expects; read it before you run it.", ""]
    lines += [f"-- {difference.detail}" for difference in listed]
    lines += ["", f"SET search_path = {_identifier(schema)};", "SET check_function_bodies = off;", ""]
    return "\n".join([*lines, *map(ended, statements)]) + "\n"


def fingerprint(catalog: Catalog) -> str:
    """SHA-256 in hex over what is compared; the same for the same schema, in whatever order it was made."""
    # A fact that is None is the same as one that is not there, as in a comparison.
    told = [(o, {name: fact for name, fact in o.facts.items() if fact is not None}) for o in catalog.objects]
    rows = sorted(json.dumps([o.kind, o.name, o.parent, facts], sort_keys=True) for o, facts in told)
    return hashlib.sha256("\n".join([catalog.schema, *rows]).encode()).hexdigest()


def _ignored(kind: str, name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(f"{kind}:{name}", pattern) for pattern in patterns)


def _by_key(catalog: Catalog) -> _Objects:
    return {
        (one.kind, one.name, one.parent if one.kind in _WITHIN else ""): (position, one)
        for position, one in enumerate(catalog.objects)
    }


def _owners(of: _Objects, without: _Objects) -> set[str]:
    """Names of tables and views that only one side has."""
    return {key[1] for key in of if key[0] in ("table", "view") and key not in without}


def _surroundings(expected: Catalog) -> schema_sql.Surroundings:
    children: dict[str, list[tuple[int, SchemaObject]]] = {}
    for position, one in enumerate(expected.objects):
        if one.parent:
            children.setdefault(one.parent, []).append((position, one))
    tables = {one.name: one for one in expected.objects if one.kind in ("table", "view")}
    return schema_sql.Surroundings(expected.schema, tables, children)


def _changed(wanted: SchemaObject, found: SchemaObject) -> list[str]:
    names = dict.fromkeys((*wanted.facts, *found.facts))
    changed = [name for name in names if wanted.facts.get(name) != found.facts.get(name)]
    if found.facts.get("populated"):  # a release may leave that to a job of its own
        changed = [name for name in changed if name != "populated"]
    return changed if wanted.parent == found.parent else ["table", *changed]


def _different(
    wanted: SchemaObject, found: SchemaObject, changed: list[str], position: int, around: schema_sql.Surroundings
) -> Difference:
    told = [name for name in changed if name != "ready" or found.facts.get("valid")]  # invalid says it already
    said = "; ".join(_said(wanted, found, name) for name in told)
    steps = tuple(schema_sql.for_different(wanted, found, changed, position, around))
    return Difference(wanted.kind, wanted.name, "different", f"{_title(wanted)}: {said}", steps)


def _title(one: SchemaObject) -> str:
    on = f" on {one.parent}" if one.kind == "index" else ""
    return f"{one.kind} {one.name}{on}"


def _missing(one: SchemaObject, expected: Catalog, actual: Catalog) -> str:
    others = actual.elsewhere.get(one.name, ()) if one.kind == "table" else ()
    if others:
        there = " and ".join(others)
        return (
            f"table {one.name} is missing in {expected.schema}; there is one in {there}: "
            "was the search_path another one?"
        )
    return f"{_title(one)}: missing"


def _said(wanted: SchemaObject, found: SchemaObject, name: str) -> str:
    """One fact that differs, in words."""
    if name == "table":
        return f"belongs to {found.parent or 'no table'}, expected {wanted.parent or 'none'}"
    have, want = found.facts.get(name), wanted.facts.get(name)
    if have is False and (wanted.kind, name) in _BROKEN:
        return _BROKEN[wanted.kind, name]
    if name == "definition" and "\n" in f"{have}{want}":
        return _first_line(str(have or ""), str(want or ""))
    if name == "mode":
        return f"{_MODES.get(str(have), have)}, expected: {_MODES.get(str(want), want)}"
    if name == "nullable":
        return "may be null, expected NOT NULL" if have else "NOT NULL, expected nullable"
    if isinstance(have, bool) or isinstance(want, bool):
        return f"{'' if have else 'not '}{name}, expected{'' if want else ' not'} {name}"
    words = "" if name in ("on", "definition") else f"{name} "
    return f"{words}{'on ' if name == 'on' else ''}{_short(have)}, expected {_short(want)}"


def _first_line(have: str, want: str) -> str:
    ours, theirs = have.splitlines(), want.splitlines()
    for number in range(max(len(ours), len(theirs))):
        left, right = ((side[number].strip() if number < len(side) else "") for side in (ours, theirs))
        if left != right:
            return f"differs in line {number + 1}: {_short(left)}, expected {_short(right)}"
    return "differs in white space alone"


def _short(value: Fact) -> str:
    text = "none" if value in (None, "") else " ".join(str(value).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
