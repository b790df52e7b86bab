"""Which dump is the launch's backup, what is remembered of it, and how its copy is held against the source."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gonogo import Scratch, Target, TargetError, ToolError
from gonogo.probes.dump import RestoreFacts, restore_dump
from gonogo.probes.rows import RowFacts, TableRows

KEPT_DUMPS = 3
"""Dumps of a target that the gate made itself and leaves on disk."""
KEPT_RECORDS = 20
"""Dumps of a target of which sizes and counts are remembered."""


@dataclass(frozen=True)
class Record:
    """What is remembered of one dump: counts, digests and sizes, no data."""

    target: str
    file: str
    sha256: str
    size_bytes: int
    created_at: str
    full_rows: int
    """Tables up to this size were digested whole."""
    before: RowFacts
    """The source's rows when the dump began."""
    after: RowFacts
    """And when it had ended; the same as ``before`` where both saw one snapshot."""
    too_small: bool = False
    """It failed for its size, so that later dumps are not held against it."""


def fresh_dump(target: Target) -> Path:
    """The newest dump, by ``backup.files`` or, without it, among those that the gate made itself.

    Raises:
        TargetError: there is none.
    """
    found = dumps_of(target)
    if not found:
        backup = target.settings("backup")
        folder = folder_of(target)
        inside = folder.relative_to(target.root) if folder.is_relative_to(target.root) else folder
        where = f"backup.files = {backup.files!r}" if backup.files else f"the folder {inside}"
        raise TargetError(
            f"there is no backup of {target.name} in {where}; a backup job, or the gate backup.created, makes one"
        )
    return found[-1]


def restore(target: Target, scratch: Scratch, environment: Mapping[str, str], path: Path) -> RestoreFacts:
    """Restore a dump into the scratch database that ``environment`` names, within ``backup.restore_s``."""
    return restore_dump(
        path,
        environment=environment,
        pg_restore=scratch.tool("pg_restore"),
        psql=scratch.tool("psql"),
        timeout_s=target.settings("backup").restore_s,
    )


def dumps_of(target: Target) -> list[Path]:
    """All dumps of a target, newest last."""
    backup = target.settings("backup")
    if backup.files:
        return target.files(backup.files)
    own = re.compile(re.escape(target.name) + r"-\d{8}T\d{12}Z\.dump")
    return sorted(path for path in folder_of(target).glob("*.dump") if own.fullmatch(path.name))


def new_dump(target: Target) -> Path:
    """Where a dump that the gate makes now belongs."""
    return folder_of(target) / f"{target.name}-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}.dump"


def folder_of(target: Target) -> Path:
    """The folder ``backup.folder``, made so that only its owner may enter.

    Raises:
        ToolError: it can't be made.
    """
    named = target.settings("backup").folder
    folder: Path = target.root / named if named else target.reports / "backups"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ToolError(f"backup.folder {folder} can't be used: {error.strerror}; name another one") from None
    return folder


def remember(target: Target, record: Record) -> None:
    """Write down what a dump is to be compared with; forgets what is older than the newest 20."""
    folder = folder_of(target)
    path = folder / f"{record.sha256}.json"
    path.touch(0o600)
    path.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
    for old in records_of(target)[:-KEPT_RECORDS]:
        (folder / f"{old.sha256}.json").unlink(missing_ok=True)


def recall(target: Target, sha256: str) -> Record | None:
    """What was written down of the dump with this digest; ``None`` if nobody saw it being made."""
    return next((record for record in records_of(target) if record.sha256 == sha256), None)


def records_of(target: Target) -> list[Record]:
    """What is remembered of a target's dumps, newest last."""
    found = [_read(path) for path in folder_of(target).glob("*.json")]
    own = [record for record in found if record is not None and record.target == target.name]
    return sorted(own, key=lambda record: record.created_at)


def earlier_sizes(target: Target, dump: Path, sha256: str) -> list[int]:
    """Bytes of the target's other dumps, those remembered and those on disk, each once."""
    records = records_of(target)
    remembered = [record for record in records if record.sha256 != sha256]
    known = {record.file for record in remembered}
    this = dump.resolve()
    others = {path.resolve() for path in dumps_of(target) if path.name not in known}  # a link is no dump of its own
    on_disk = [path.stat().st_size for path in others if path != this and path.is_file()]
    refused = {record.size_bytes for record in records if record.too_small}  # twins share one record
    sizes = [record.size_bytes for record in remembered if not record.too_small]
    return sizes + [size for size in on_disk if size not in refused]


def forget_old_dumps(target: Target) -> None:
    """Delete all but the newest 3 dumps that the gate itself made of this target."""
    if target.settings("backup").files is None:
        for old in dumps_of(target)[:-KEPT_DUMPS]:
            old.unlink(missing_ok=True)


def still(before: RowFacts, after: RowFacts, volatile: Collection[str] = ()) -> list[str]:
    """Tables that are the same in both, so that anything in between must equal them."""
    return [
        name
        for name, table in before.tables.items()
        if name not in volatile and after.tables.get(name) == table and after.tables[name].rows == table.rows
    ]


def wrong_counts(
    before: RowFacts,
    after: RowFacts,
    copy: RowFacts,
    *,
    exact: Collection[str],
    volatile: Collection[str],
    drift: float,
) -> list[str]:
    """Tables whose number of rows is not that of the source.

    Args:
        before: the source's rows when the dump began.
        after: and when it had ended.
        copy: the restored rows.
        exact: tables that must have just as many.
        volatile: tables whose rows are not compared; they must be there.
        drift: share of a table's rows by which any other may lie outside of the two counts.
    """
    wrong = []
    for name in sorted(before.tables.keys() & after.tables.keys()):
        low, high = sorted((before.tables[name].rows, after.tables[name].rows))
        slack = 0 if name in exact else math.ceil(drift * high)
        found = copy.tables.get(name)
        if found is None:
            wrong.append(f"{name}: the table is missing, the source has {high} rows")
        elif name not in volatile and not low - slack <= found.rows <= high + slack:
            expected = f"{low}" if low == high else f"{low} to {high}"
            wrong.append(f"{name}: {found.rows} rows, the source has {expected}" + (f" ± {slack}" if slack else ""))
    return wrong


def wrong_rows(source: RowFacts, copy: RowFacts, exact: Collection[str]) -> list[str]:
    """Tables that have as many rows as the source, and other values in them."""
    return [
        f"{name}: the values of its rows differ ({copy.tables[name].sampled} compared)"
        for name in sorted(exact)
        if name in copy.tables
        and copy.tables[name].rows == source.tables[name].rows
        and copy.tables[name].digest != source.tables[name].digest
    ]


def sampled(facts: RowFacts, names: Collection[str]) -> int:
    """Rows behind the digests of these tables."""
    return sum(facts.tables[name].sampled for name in names if name in facts.tables)


def wrong_sequences(source: RowFacts, copy: RowFacts, *, witnessed: bool) -> list[str]:
    """Sequences that would give out numbers again which the source has given out, or which are in use.

    Args:
        source: the source's facts when the dump began.
        copy: the restored facts.
        witnessed: the source was looked at before the dump, so that the copy must have come at least as far.
    """
    wrong = []
    for name in sorted(source.sequences):
        last, used = source.sequences[name], copy.used.get(name)
        at = "missing" if name not in copy.sequences else f"at {copy.sequences[name]}"
        if name not in copy.sequences or (witnessed and copy.is_behind(name, last)):
            wrong.append(f"{name}: {at}, the source was at {last}")
        elif copy.is_behind(name, used) and not source.is_behind(name, source.used.get(name)):
            wrong.append(f"{name}: {at}, but {used} is in use")
    return wrong


def short(lines: Sequence[str], limit: int = 20) -> list[str]:
    """The first lines, and how many more there are: a verdict must stay readable."""
    if len(lines) <= limit:
        return list(lines)
    return [*lines[:limit], f"and {len(lines) - limit} more"]


def _read(path: Path) -> Record | None:
    """A record from its file; ``None`` if it is none, and with that nothing to compare with."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Record(**{**raw, "before": _rows(raw["before"]), "after": _rows(raw["after"])})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _rows(raw: dict[str, Any]) -> RowFacts:
    return RowFacts(
        tables={name: TableRows(**table) for name, table in raw["tables"].items()},
        sequences=raw["sequences"],
        used=raw["used"],
        falling=tuple(raw["falling"]),
    )
