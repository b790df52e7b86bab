"""Writing the reports: all or nothing each, errors in one sentence, and a PDF from a real browser."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gonogo.errors import LedgerError
from gonogo.model import Verdict
from gonogo.report import facts, text, why, write_pdf, write_reports
from sample_state import all_go, holding, sample

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NAMES = {"go-no-go.html", "go-no-go.json", "go-no-go.md", "junit.xml"}


def test_all_four_are_written_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "reports"
    paths = write_reports(sample(), folder, folder / "ledger")

    assert {p.name for p in folder.iterdir()} == NAMES
    assert paths.html == folder / "go-no-go.html"
    assert all("REHEARSAL" in p.read_text() for p in (paths.html, paths.markdown, paths.junit))
    assert '"rehearsal": true' in paths.json.read_text()


def test_reports_can_be_read_by_others(tmp_path: Path) -> None:
    """A CI job's upload step often runs as somebody else: the umask decides, not a temp file's 0600."""
    paths = write_reports(sample(), tmp_path, tmp_path / "ledger")
    plain = tmp_path / "plain"
    plain.touch()

    assert stat.S_IMODE(paths.html.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_a_later_write_replaces_the_earlier(tmp_path: Path) -> None:
    write_reports(sample(), tmp_path, tmp_path / "ledger")
    paths = write_reports(all_go(), tmp_path, tmp_path / "ledger")

    assert {p.name for p in tmp_path.iterdir()} == NAMES
    assert "REHEARSAL" not in paths.junit.read_text()


def test_a_folder_that_cannot_be_one_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file")

    with pytest.raises(LedgerError, match=r"^the reports can't be written to .*reports: File exists; free some"):
        write_reports(sample(), tmp_path / "reports", tmp_path / "ledger")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_a_sentence_and_leaves_the_old_report(tmp_path: Path) -> None:
    paths = write_reports(all_go(), tmp_path, tmp_path / "ledger")
    before = paths.html.read_bytes()
    draft = tmp_path / f".go-no-go.html.{os.getpid()}.tmp"
    draft.symlink_to("/dev/full")

    with pytest.raises(LedgerError, match="No space left on device; free some space"):
        write_reports(sample(), tmp_path, tmp_path / "ledger")
    assert paths.html.read_bytes() == before
    assert not draft.is_symlink()


def test_importing_the_reports_does_not_import_jinja() -> None:
    code = "import sys, gonogo.report; sys.exit('jinja2' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_browser_that_is_not_there_makes_no_pdf(tmp_path: Path) -> None:
    paths = write_reports(sample(), tmp_path, tmp_path / "ledger")
    old = tmp_path / "go-no-go.pdf"
    old.write_bytes(b"%PDF-of another state")

    assert not write_pdf(paths.html, old, str(tmp_path / "no-such-browser"))
    assert not old.exists()


def test_a_browser_that_fails_or_writes_nonsense_makes_no_pdf(tmp_path: Path) -> None:
    paths = write_reports(sample(), tmp_path, tmp_path / "ledger")
    pdf = tmp_path / "go-no-go.pdf"
    for name, body in {"failing": "exit 3", "silent": "exit 0"}.items():
        browser = tmp_path / name
        browser.write_text(f"#!/bin/sh\n{body}\n")
        browser.chmod(0o755)
        assert not write_pdf(paths.html, pdf, str(browser)), name
    assert not pdf.exists()


def test_a_browser_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gonogo.report.pdf.TIME_LIMIT_S", 0.3)
    browser = tmp_path / "hanging"
    browser.write_text("#!/bin/sh\nsleep 60\n")
    browser.chmod(0o755)
    start = time.monotonic()

    assert not write_pdf(tmp_path / "x.html", tmp_path / "x.pdf", str(browser))
    assert time.monotonic() - start < 10


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_real_browser_prints_it(tmp_path: Path) -> None:
    paths = write_reports(sample(), tmp_path, tmp_path / "ledger")

    assert write_pdf(paths.html, tmp_path / "go-no-go.pdf", CHROMIUM or "")
    assert (tmp_path / "go-no-go.pdf").read_bytes().startswith(b"%PDF-")
    assert {p.name for p in tmp_path.iterdir()} == NAMES | {"go-no-go.pdf"}


def test_the_sentences_of_the_verdicts() -> None:
    assert why(sample()) == (
        "NO-GO: 1 gate failed: tls.certificate at T-3: "
        "days left: -1 d; required >= 21 d (launch.toml: tls.min_days)"
    )
    assert why(all_go()).startswith("GO: all 7 gates passed in 3 phases")
    assert why(holding()).startswith("HOLD: no gate failed, but 1 gate measured too little (ramp.errors at T-1)")
    assert why(sample(verdict=Verdict.ROLLBACK)).startswith("ROLLBACK: 1 gate failed: tls.certificate")
    assert why(sample(phases=(), problems=(), verdict=Verdict.HOLD)).startswith(
        "HOLD: no gate failed, but no reason"
    )


def test_what_blocks_starts_with_the_failures_and_groups_the_blocked() -> None:
    found = facts.obstacles(sample())

    assert [o.word for o in found[:3]] == ["FAIL", "LEDGER", "ERROR"]
    (blocked,) = (o for o in found if o.word == "BLOCKED")
    assert len(blocked.gates) == 6
    assert facts.obstacles(all_go()) == ()


@pytest.mark.parametrize(
    ("phase", "label"),
    [("t3", "T-3"), ("phase1", "Phase 1"), ("hours2_4", "Hours 2-4"), ("day2_7", "Day 2-7"), ("odd", "odd")],
)
def test_phase_labels(phase: str, label: str) -> None:
    assert text.phase_label(phase) == label


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.123, "0.12 s"), (42, "42.0 s"), (185, "3 min 05 s"), (7800, "2 h 10 min"), (float("nan"), "—")],
)
def test_durations(seconds: float, words: str) -> None:
    assert text.took(seconds) == words
