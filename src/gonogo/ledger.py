"""The ledger: every run of one launch, one immutable file a run.

While a run goes on, its lines are appended to ``<run>.open.jsonl`` and flushed one by one, so a killed
run loses nothing and reads as incomplete. When it ends, the file is renamed to ``<run>.<sha256>.jsonl``:
the name seals the content. Each run also has a folder ``evidence/<run>/``; a folder whose run file is
gone shows that something was taken away. Ledgers merge by copying files together.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from gonogo.errors import LedgerError
from gonogo.model import Ask, Evidence, GateInfo, Measurement, Outcome, Records, Result, RunInfo, RunRecord

SCHEMA = 1
_SEALED = re.compile(r"(?P<run>[0-9TZ]+-[0-9a-f]{8})\.(?P<sha256>[0-9a-f]{64})\.jsonl")
_OPEN = re.compile(r"(?P<run>[0-9TZ]+-[0-9a-f]{8})\.open\.jsonl")
_MARK = "run.json"
_REFERENCES = ("ask", "asked", "planned", "extra", "gates", "run", "id", "target", "version", "markers")
_NAMES = frozenset((*_REFERENCES, "ask_digest", "plan_digest", "path", "sha256"))
"""Fields that a password such as ``load`` must not damage; no password can stand in them."""


class Redactor:
    """Replaces secrets by value, before anything is stored."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def add(self, secret: str | None) -> None:
        """Keep a secret out of everything that is stored from now on."""
        if secret and len(secret) >= 4:
            self._secrets.add(secret)
            self._secrets.add(json.dumps(secret)[1:-1])

    def text(self, text: str) -> str:
        """The text without the secrets."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "[redacted]")
        return text

    def fields(self, value: Any) -> Any:
        """Plain data without the secrets in its texts; names by which the ledger is read back stay whole."""
        if isinstance(value, Mapping):
            return {key: found if key in _NAMES else self.fields(found) for key, found in value.items()}
        if isinstance(value, list | tuple):
            return [self.fields(entry) for entry in value]
        return self.text(value) if type(value) is str else value

    def data(self, data: bytes) -> bytes:
        """The bytes without the secrets."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            data = data.replace(secret.encode(), b"[redacted]")
        return data


class RunWriter:
    """Writes one run, line by line.

    Raises:
        LedgerError: the folder can't be written (read-only, full, locked); one sentence with the path.
    """

    def __init__(self, folder: Path, now: datetime) -> None:
        self.folder = folder
        self.run = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        self.redact = Redactor()
        self._path = folder / f"{self.run}.open.jsonl"
        self.evidence_folder = folder / "evidence" / self.run
        try:
            self.evidence_folder.mkdir(parents=True)
            (self.evidence_folder / _MARK).write_text(json.dumps({"schema": SCHEMA, "run": self.run}) + "\n")
            # A lone surrogate (bytes of a tool that are no UTF-8) becomes the JSON escape that it reads back as.
            self._file = self._path.open("x", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            _refuse(folder, error)

    def begin(
        self,
        info: RunInfo,
        version: str,
        planned: Iterable[Ask],
        asked: Iterable[Ask],
        gates: Mapping[str, GateInfo],
        *,
        extra: Iterable[Ask] = (),
    ) -> None:
        """Write the head: what this run sets out to do, on what, and under which plan."""
        self._write(
            "begin",
            schema=SCHEMA,
            info=asdict(info),
            version=version,
            planned=[ask.key for ask in planned],
            asked=[ask.key for ask in asked],
            extra=[ask.key for ask in extra],
            gates={gate: asdict(g) for gate, g in gates.items()},
        )

    def result(self, result: Result) -> None:
        """Write one result; on disk before this returns."""
        self._write("result", result={**asdict(result), "ask": result.ask.key})

    def keep(self, ask: Ask, name: str, data: bytes) -> Evidence:
        """Keep a file as evidence of one ask; a second file of the same name gets a number."""
        safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "evidence"
        folder = self.evidence_folder / re.sub(r"[^A-Za-z0-9._@-]+", "-", ask.key)
        data = self.redact.data(data)
        try:
            folder.mkdir(exist_ok=True)
            path, number = folder / safe, 2
            while path.exists():
                path = folder / f"{Path(safe).stem}-{number}{Path(safe).suffix}"
                number += 1
            path.write_bytes(data)
        except OSError as error:
            _refuse(folder, error)
        return Evidence(name, path.relative_to(self.folder).as_posix(), hashlib.sha256(data).hexdigest())

    def end(self, now: datetime, why: str) -> Path:
        """Seal the run: the file gets its digest as a name and is read-only from then on."""
        try:
            self._write("end", finished_at=now, why=why)
            os.fsync(self._file.fileno())
            self._file.close()
            sealed = self.folder / f"{self.run}.{_sha256(self._path)}.jsonl"
            self._path.rename(sealed)
            sealed.chmod(0o444)
        except OSError as error:
            _refuse(self.folder, error)
        finally:
            with suppress(OSError):  # a full disk refuses to close as well
                self._file.close()
        return sealed

    def abandon(self) -> None:
        """Take back a run that set out to do nothing: no trace of it stays."""
        with suppress(OSError):
            self._file.close()
            self._path.unlink()
            (self.evidence_folder / _MARK).unlink()
            self.evidence_folder.rmdir()

    def _write(self, kind: str, **fields: Any) -> None:
        line = json.dumps({"type": kind, **self.redact.fields(fields)}, ensure_ascii=False, default=_plain)
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except (OSError, ValueError) as error:
            _refuse(self.folder, error)


def read_ledger(folder: Path) -> Records:
    """Read all runs; whatever is wrong with the files is said in ``problems`` and holds the launch.

    Raises:
        LedgerError: the folder itself can't be read.
    """
    if not folder.exists():
        return Records()
    try:
        names = sorted(p.name for p in folder.iterdir())
        marks = sorted(p.name for p in (folder / "evidence").iterdir()) if (folder / "evidence").exists() else []
    except OSError as error:
        raise LedgerError(f"the ledger {folder} can't be read: {error.strerror}; check its permissions") from None
    runs: dict[str, RunRecord] = {}
    problems: list[str] = []
    for name in names:
        match = _SEALED.fullmatch(name) or _OPEN.fullmatch(name)
        if not match:
            if name.endswith(".jsonl"):
                problems.append(f"ledger file {name} has no name that a run gives; remove it or put its name back")
            continue
        record = _read_run(folder / name, match.groupdict().get("sha256"), problems)
        if record and (match["run"] not in runs or record.info.finished_at):
            runs[match["run"]] = record
    seen = {match["run"] for name in names if (match := _SEALED.fullmatch(name) or _OPEN.fullmatch(name))}
    problems += [
        f"run {run} left evidence, but its ledger file is gone; put the file back"
        for run in marks
        if run not in seen
    ]
    problems += [
        f"run {run} has no evidence folder; copy evidence/{run} as well" for run in sorted(seen - set(marks))
    ]
    return Records(tuple(runs.values()), tuple(problems))


def _read_run(path: Path, sha256: str | None, problems: list[str]) -> RunRecord | None:
    try:
        data = path.read_bytes()
    except OSError as error:
        problems.append(f"ledger file {path.name} can't be read: {error.strerror}; check its permissions")
        return None
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        problems.append(f"ledger file {path.name} was changed after its run; its content no longer has that digest")
        return None
    try:
        return _parse_run(data, sealed=sha256 is not None)
    except (ValueError, KeyError, TypeError) as error:
        problems.append(f"ledger file {path.name} can't be understood ({error}); put the original back")
        return None


def _parse_run(data: bytes, *, sealed: bool) -> RunRecord | None:
    lines = data.decode().split("\n")
    entries = [json.loads(line) for line in lines[:-1]]  # a line without its end was cut off while written
    if not entries:
        return None
    head = entries[0]
    if head["type"] != "begin" or head["schema"] != SCHEMA:
        raise ValueError(f"it begins with {head.get('type')!r}, schema {head.get('schema')!r}")
    end = entries[-1] if entries[-1]["type"] == "end" else None
    if sealed and end is None:
        raise ValueError("it is sealed and has no end")
    raw = head["info"]
    info = RunInfo(
        **{
            **raw,
            "faults": tuple(raw["faults"]),
            "started_at": _time(raw["started_at"]),
            "finished_at": _time(end["finished_at"]) if end else None,
        }
    )
    return RunRecord(
        info=info,
        version=head["version"],
        planned=tuple(map(Ask.parse, head["planned"])),
        asked=tuple(map(Ask.parse, head["asked"])),
        extra=tuple(map(Ask.parse, head.get("extra", ()))),
        gates={gate: GateInfo(g["title"], tuple(g["markers"])) for gate, g in head["gates"].items()},
        results=tuple(_result(entry["result"]) for entry in entries if entry["type"] == "result"),
    )


def _result(raw: dict[str, Any]) -> Result:
    return Result(
        **{
            **raw,
            "ask": Ask.parse(raw["ask"]),
            "outcome": Outcome(raw["outcome"]),
            "started_at": _time(raw["started_at"]),
            "finished_at": _time(raw["finished_at"]),
            "measurements": tuple(Measurement(**m) for m in raw["measurements"]),
            "evidence": tuple(Evidence(**e) for e in raw["evidence"]),
            "faults": tuple(raw["faults"]),
        }
    )


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"the time {text!r} has no zone")
    return moment.astimezone(UTC)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, set | frozenset | tuple):
        return sorted(value, key=str)
    return str(value)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _refuse(folder: Path, error: Exception) -> NoReturn:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    raise LedgerError(
        f"the ledger {folder} can't be written: {why}; free space or mend permissions, or name another folder "
        f"in launch.toml: [launch] ledger"
    ) from None
