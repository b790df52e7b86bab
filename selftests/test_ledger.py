"""The ledger: written line by line, sealed by its digest, and honest about what is wrong with it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gonogo.errors import LedgerError
from gonogo.ledger import Redactor, RunWriter, read_ledger
from gonogo.model import Ask, GateInfo, Measurement, Outcome, Result, RunInfo

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
ASK = Ask("tls.certificate", "t3")
TAKEN = Measurement("days left", 90.5, "d", ">= 21", "launch.toml: tls.min_days", True, 1, 3.3)


OPENED: list[RunWriter] = []


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    """Close what a test left open, as the end of a killed process would."""
    yield
    while OPENED:
        with suppress(OSError):  # the device that is always full
            OPENED.pop()._file.close()


def _open(folder: Path) -> RunWriter:
    OPENED.append(RunWriter(folder, NOW))
    return OPENED[-1]


def _begin(folder: Path) -> RunWriter:
    writer = _open(folder)
    info = RunInfo(writer.run, NOW, None, "rehearsal", faults=("slow-health",), versions={"python": "3.11"})
    writer.begin(info, "1.0", (ASK,), (ASK,), {ASK.gate: GateInfo("A title", ("infra",))})
    return writer


def _result(writer: RunWriter, ask: Ask = ASK) -> Result:
    return Result(
        ask=ask,
        outcome=Outcome.PASS,
        reason="",
        run=writer.run,
        target="rehearsal",
        version="1.0",
        ask_digest="d",
        started_at=NOW,
        finished_at=NOW + timedelta(seconds=2),
        duration_s=2.0,
        title="A title",
        measurements=(TAKEN,),
        evidence=(writer.keep(ask, "chain.pem", b"PEM"),),
    )


def _whole_run(folder: Path) -> Path:
    writer = _begin(folder)
    writer.result(_result(writer))
    return writer.end(NOW + timedelta(minutes=1), "done")


def test_what_is_written_reads_back_equal(tmp_path: Path) -> None:
    writer = _begin(tmp_path)
    result = _result(writer)
    writer.result(result)
    sealed = writer.end(NOW + timedelta(minutes=1), "done")
    (record,) = read_ledger(tmp_path).runs
    assert record.results == (result,)
    assert record.info.finished_at == NOW + timedelta(minutes=1)
    assert record.info.faults == ("slow-health",)
    assert record.planned == record.asked == (ASK,)
    assert record.gates == {ASK.gate: GateInfo("A title", ("infra",))}
    assert read_ledger(tmp_path).problems == ()
    assert not os.access(sealed, os.W_OK) or os.geteuid() == 0


def test_a_run_that_was_killed_keeps_its_results_and_reads_as_unfinished(tmp_path: Path) -> None:
    writer = _begin(tmp_path)
    writer.result(_result(writer))
    with next(tmp_path.glob("*.open.jsonl")).open("a") as file:
        file.write('{"type": "result", "resu')  # cut off in the middle of a line
    (record,) = read_ledger(tmp_path).runs
    assert record.info.finished_at is None
    assert len(record.results) == 1


def test_a_run_killed_before_its_first_line_is_no_run(tmp_path: Path) -> None:
    _open(tmp_path)
    assert read_ledger(tmp_path).runs == ()
    assert read_ledger(tmp_path).problems == ()


def test_no_ledger_is_an_empty_one(tmp_path: Path) -> None:
    assert read_ledger(tmp_path / "nowhere").runs == ()


def _change(sealed: Path) -> None:
    sealed.chmod(0o644)
    sealed.write_text(sealed.read_text().replace("PASS", "FAIL"))


def _rename(sealed: Path) -> None:
    sealed.rename(sealed.with_name("mine.jsonl"))


def _drop_evidence(sealed: Path) -> None:
    folder = sealed.parent / "evidence" / sealed.name.partition(".")[0]
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (_change, "was changed after its run"),
        (_rename, "has no name that a run gives"),
        (Path.unlink, "left evidence, but its ledger file is gone"),
        (_drop_evidence, "has no evidence folder; copy evidence/"),
    ],
)
def test_harm_to_the_files_is_said(tmp_path: Path, harm: Callable[[Path], None], sentence: str) -> None:
    harm(_whole_run(tmp_path))
    assert any(sentence in problem for problem in read_ledger(tmp_path).problems)


def test_ledgers_merge_by_copying_files(tmp_path: Path) -> None:
    first, second, merged = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    for folder in (first, second):
        _whole_run(folder)
        for path in folder.rglob("*"):
            if path.is_file():
                copy = merged / path.relative_to(folder)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
    records = read_ledger(merged)
    assert records.problems == ()
    assert {r.info.id for r in records.runs} == {
        r.info.id for folder in (first, second) for r in read_ledger(folder).runs
    }


def test_evidence_keeps_its_name_inside_its_folder_whatever_it_is_called(tmp_path: Path) -> None:
    writer = _begin(tmp_path)
    for name in ("../../escape", "a b/c", "", "..", "chain.pem", "chain.pem"):
        kept = writer.keep(Ask("a.b", "t1", "staging"), name, b"x")
        path = (tmp_path / kept.path).resolve()
        assert path.is_relative_to(writer.evidence_folder.resolve())
        assert path.read_bytes() == b"x"
    assert len(list((writer.evidence_folder / "a.b@t1-staging").iterdir())) == 6


def test_secrets_reach_no_file(tmp_path: Path) -> None:
    writer = _begin(tmp_path)
    writer.redact.add('p"w-secret')
    writer.keep(ASK, "log.txt", b'url=x:p"w-secret@y')
    writer.result(Result(**{**_result(writer).__dict__, "reason": 'refused p"w-secret'}))
    writer.end(NOW, "done")
    stored = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert b"w-secret" not in stored
    assert stored.count(b"[redacted]") == 2


@pytest.mark.parametrize(
    "password", ["tls.certificate", "certificate", "rehearsal", "result", "PASS", "days", "true"]
)
def test_a_password_that_is_an_ordinary_word_damages_no_result(tmp_path: Path, password: str) -> None:
    writer = _begin(tmp_path)
    writer.redact.add(password)
    writer.result(_result(writer))
    writer.end(NOW, "done")
    records = read_ledger(tmp_path)
    assert records.problems == ()
    ((read,),) = [run.results for run in records.runs]
    assert (read.ask, read.outcome, read.target, read.measurements[0].ok) == (ASK, Outcome.PASS, "rehearsal", True)


def test_a_secret_of_three_letters_is_no_secret() -> None:
    redactor = Redactor()
    redactor.add("abc")
    redactor.add(None)
    assert redactor.text("abcd") == "abcd"


def test_a_time_without_a_zone_is_refused(tmp_path: Path) -> None:
    sealed = _whole_run(tmp_path)
    lines = sealed.read_text().replace("2026-11-23T12:00:00+00:00", "2026-11-23T12:00:00")
    (tmp_path / sealed.name.replace(sealed.name.split(".")[1], "open")).write_text(lines)
    sealed.unlink()
    (problem,) = read_ledger(tmp_path).problems
    assert "has no zone" in problem


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    writer = _open(tmp_path)
    writer._file.close()
    writer._file = Path("/dev/full").open("w", buffering=1)
    with pytest.raises(LedgerError, match="can't be written: No space left on device; free space or"):
        writer.begin(RunInfo(writer.run, NOW, None, "rehearsal"), "1.0", (), (), {})


def test_a_ledger_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text("")
    with pytest.raises(LedgerError, match="can't be written"):
        RunWriter(tmp_path / "ledger", NOW)
    with pytest.raises(LedgerError, match="can't be read"):
        read_ledger(tmp_path / "ledger")


def test_lines_are_json_that_other_tools_can_read(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in _whole_run(tmp_path).read_text().splitlines()]
    assert [line["type"] for line in lines] == ["begin", "result", "end"]
    assert lines[1]["result"]["ask"] == "tls.certificate@t3"
