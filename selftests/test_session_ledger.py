"""What sessions leave in the ledger, and what becomes of it when they are killed or meddled with."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import permutations
from pathlib import Path

import pytest

from plugin_example import BAD, GOOD, SETTINGS, Launch, Seen, gate

SLOW = "import pathlib, time\npathlib.Path('begun').touch()\ntime.sleep(30)"


def launched(pytester: pytest.Pytester, second: str = GOOD) -> Launch:
    """Three gates in two phases; the second has the body given."""
    launch = Launch(pytester)
    launch.playbook(t3="a.first a.second", t1="a.third")
    launch.module("tests/infra/test_a.py", gate("a.first"), gate("a.second", second), gate("a.third"))
    return launch


def stopped_by(launch: Launch, what: signal.Signals) -> Seen:
    """Run until the slow gate is under way, then send a signal."""
    begun = launch.root / "begun"
    with subprocess.Popen(
        launch.command(), cwd=launch.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        until = time.monotonic() + 40
        while not begun.exists() and child.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        child.send_signal(what)
        out, err = child.communicate(timeout=40)
    assert begun.exists(), out + err
    return Seen(child.returncode, out, err)


def test_an_interrupt_in_the_middle_of_a_gate_seals_the_run_and_writes_the_reports(
    pytester: pytest.Pytester,
) -> None:
    launch = launched(pytester, SLOW)

    seen = stopped_by(launch, signal.SIGINT)

    assert seen.status == 2
    assert "Traceback" not in seen.err
    (run,) = launch.runs()
    assert run.name.split(".")[1] == hashlib.sha256(run.read_bytes()).hexdigest()
    assert [entry["type"] for entry in launch.entries()] == ["begin", "result", "end"]
    assert launch.outcomes == {"a.first@t3": "PASS", "a.second@t3": "MISSING", "a.third@t1": "MISSING"}
    assert {"go-no-go.html", "go-no-go.md", "junit.xml"} <= {path.name for path in launch.reports.iterdir()}


def test_a_killed_run_reads_as_incomplete_until_a_later_run_makes_up_for_it(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    launch = launched(pytester)
    assert launch.run().status == 0
    launch.module("tests/infra/test_a.py", gate("a.first"), gate("a.second", SLOW), gate("a.third"))

    assert stopped_by(launch, signal.SIGKILL).status == -signal.SIGKILL

    seen = launch.gonogo(capsys, "verdict")
    assert seen.status == 20
    killed = launch.runs()[-1].name.split(".")[0]
    assert f"MISSING a.second@t3: run {killed} was to measure it and ended before it did" in seen.out
    assert "MISSING a.third@t1" in seen.out
    assert "a.first@t3" not in seen.out  # its result was on disk before the kill

    launch.module("tests/infra/test_a.py", gate("a.first"), gate("a.second"), gate("a.third"))
    assert launch.run("-k", "not a.first").status == 0
    assert launch.gonogo(capsys, "verdict").status == 0


def test_every_result_is_written_before_the_next_gate_begins(pytester: pytest.Pytester) -> None:
    body = 'import pathlib\nseen = pathlib.Path("reports/ledger").glob("*.open.jsonl")\n'
    body += 'measure("written", next(seen).read_text().count(\'"result"\'), at_least(1, "here"))'
    launch = launched(pytester, body)

    assert launch.run().status == 0


def test_runs_add_up_in_one_ledger(pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    launch = launched(pytester)

    assert launch.run("-m", "t3").status == 0
    assert launch.gonogo(capsys, "verdict").status == 20
    assert launch.run("-m", "t1").status == 0

    assert len(launch.runs()) == 2
    assert launch.gonogo(capsys, "verdict").status == 0
    assert launch.report["verdict"] == "GO"


def test_the_launch_file_may_put_the_ledger_elsewhere(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    launch = launched(pytester)
    launch.write("launch.toml", SETTINGS.replace("[launch]", '[launch]\nledger = "shared/ours"'))

    assert launch.run().status == 0

    assert not launch.ledger.exists()
    assert len(list((launch.root / "shared/ours").glob("*.jsonl"))) == 1
    assert launch.gonogo(capsys, "verdict").status == 0


def test_ledgers_merge_by_copying_whatever_the_order(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    launch = launched(pytester, BAD)
    assert launch.run("-m", "t3", "--gonogo-reports", "laptop").status == 1
    launch.module("tests/infra/test_a.py", gate("a.first"), gate("a.second"), gate("a.third"))
    assert launch.run("-k", "a.second", "--gonogo-reports", "ci").status == 20
    assert launch.run("-m", "t1", "--gonogo-reports", "colleague").status == 0

    for number, order in enumerate(permutations(("laptop", "ci", "colleague"))):
        merged = launch.root / f"merged{number}"
        for part in order:
            shutil.copytree(launch.root / part / "ledger", merged / "ledger", dirs_exist_ok=True)
        assert launch.gonogo(capsys, "verdict", "--reports", str(merged)).status == 0

    for alone, status in (("laptop", 1), ("ci", 20), ("colleague", 20)):
        assert launch.gonogo(capsys, "verdict", "--reports", str(launch.root / alone)).status == status


def take_run_away(launch: Launch) -> None:
    launch.runs()[0].unlink()


def change_run(launch: Launch) -> None:
    (run,) = launch.runs()
    run.chmod(0o644)
    run.write_text(run.read_text().replace('"actual": 3', '"actual": 4'))


def rename_run(launch: Launch) -> None:
    (run,) = launch.runs()
    run.rename(run.with_name("notes.jsonl"))


def take_evidence_away(launch: Launch) -> None:
    shutil.rmtree(launch.ledger / "evidence" / launch.runs()[0].name.split(".")[0])


def reseal_run(launch: Launch) -> None:
    (run,) = launch.runs()
    text = run.read_text().replace('"actual": 3', '"actual": 2').replace('"ok": true', '"ok": false')
    run.unlink()
    digest = hashlib.sha256(text.encode()).hexdigest()
    run.with_name(f"{run.name.split('.')[0]}.{digest}.jsonl").write_text(text)


@pytest.mark.parametrize(
    ("meddle", "sentence"),
    [
        (take_run_away, "left evidence, but its ledger file is gone; put the file back"),
        (change_run, "was changed after its run; its content no longer has that digest"),
        (rename_run, "ledger file notes.jsonl has no name that a run gives"),
        (take_evidence_away, "has no evidence folder; copy evidence/"),
    ],
)
def test_a_ledger_that_was_meddled_with_holds_the_launch_and_says_why(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str], meddle: object, sentence: str
) -> None:
    launch = launched(pytester)
    assert launch.run().status == 0
    assert callable(meddle)
    meddle(launch)

    seen = launch.gonogo(capsys, "verdict")

    assert seen.status == 20
    assert any("  ledger: " in line and sentence in line for line in seen.out.splitlines())
    again = launch.run()
    assert again.status == 20
    assert sentence in again.out


def test_a_pass_without_measurements_behind_it_is_not_believed(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    launch = launched(pytester)
    assert launch.run().status == 0
    reseal_run(launch)

    assert launch.gonogo(capsys, "verdict").status == 1


def test_evidence_of_one_gate_is_kept_beside_its_run_under_its_key(pytester: pytest.Pytester) -> None:
    launch = Launch(pytester)
    launch.playbook(t3="a.one", t1="a.one")
    body = f"{GOOD}\nevidence.text('a note.txt', 'first')\nevidence.json('a note.txt', {{'second': 2}})"
    launch.module("tests/infra/test_a.py", gate("a.one", body, uses="measure, evidence"))

    assert launch.run().status == 0

    for key in ("a.one@t3", "a.one@t1"):
        first, second = launch.gates[key]["evidence"]
        files = [next(launch.root.rglob(Path(kept["path"]).name)) for kept in (first, second)]
        assert files[0].name != files[1].name
        kept = launch.ledger / "evidence" / launch.runs()[0].name.split(".")[0] / key
        assert (kept / files[0].name).read_text() == "first"
        assert hashlib.sha256(b"first").hexdigest() == first["sha256"]


def test_a_ledger_that_is_no_folder_is_one_sentence(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    launch.write("reports/ledger", "in the way")

    seen = launch.run()

    assert seen.status == 3
    assert "ledger can't be written: Not a directory" in seen.sentence("can't be written")


def test_reports_that_can_not_be_written_are_one_sentence(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    (launch.reports / "go-no-go.json" / "in the way").mkdir(parents=True)

    seen = launch.run()

    assert seen.status == 3
    assert "the reports can't be written to" in seen.sentence("can't be written")
    assert [entry["type"] for entry in launch.entries()][-1] == "end"  # the ledger comes before any report


def on_tmpfs(launch: Launch, options: str) -> Seen:
    """Run with the ledger on a small or read-only file system that goes away with the process."""
    launch.ledger.mkdir(parents=True)
    mount = f"mount -t tmpfs -o {options} none {launch.ledger}"
    if not shutil.which("unshare") or subprocess.run(["unshare", "-m", "sh", "-c", mount], check=False).returncode:
        pytest.skip("needs the right to mount")
    command = ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh", sys.executable, "-m", "pytest"]
    done = subprocess.run(command, cwd=launch.root, capture_output=True, text=True, timeout=60, check=False)
    return Seen(done.returncode, done.stdout, done.stderr)


@pytest.mark.skipif(os.name != "posix", reason="needs mount")
@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("ro", "Read-only file system"),
        ("size=4k", "No space left on device"),
        ("size=64k", "No space left on device"),
    ],
)
def test_a_disk_that_is_full_or_read_only_is_one_sentence(
    pytester: pytest.Pytester, options: str, why: str
) -> None:
    launch = launched(pytester)
    body = f"{GOOD}\nevidence.bytes('big', b'x' * 200_000)"
    launch.module(
        "tests/infra/test_a.py",
        gate("a.first"),
        gate("a.second", body, uses="measure, evidence"),
        gate("a.third"),
    )

    seen = on_tmpfs(launch, options)

    assert seen.status == 3, seen.words
    assert f"can't be written: {why}" in seen.words
    assert "Traceback" not in seen.words
    assert "INTERNALERROR" not in seen.words
