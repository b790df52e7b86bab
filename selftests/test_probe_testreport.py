"""Counting tests in JUnit files of several programs, and refusing what is not of this run."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gonogo.errors import TargetError
from gonogo.probes.testreport import SuiteFacts, read, state, written

NOW = datetime.now(UTC)


def facts_of(folder: Path, *texts: str, since: datetime | None = None) -> SuiteFacts:
    paths = []
    for number, text in enumerate(texts):
        paths.append(folder / f"{number}.xml")
        paths[-1].write_text(text)
    return read(paths, since=since)


def suite(*cases: str, name: str = "s", **numbers: object) -> str:
    head = " ".join(f'{key}="{value}"' for key, value in numbers.items())
    return f'<testsuite name="{name}" {head}>{"".join(cases)}</testsuite>'


def case(name: str, inside: str = "", **more: str) -> str:
    head = " ".join(f'{key}="{value}"' for key, value in {"classname": "c", **more}.items())
    return f'<testcase name="{name}" {head}>{inside}</testcase>'


def test_pytest_itself(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_some(n): assert n == 1\n"
        "@pytest.mark.skip\n"
        "def test_left_out(): pass\n"
        "@pytest.fixture\n"
        "def broken(): raise OSError\n"
        "def test_breaks(broken): pass\n"
        "@pytest.fixture\n"
        "def untidy():\n    yield\n    raise OSError\n"
        "def test_fails_twice(untidy): assert False\n"
        "def test_parts(subtests):\n    for n in range(3):\n        with subtests.test(n=n): pass\n"
    )
    began = datetime.now(UTC)
    run = [sys.executable, "-m", "pytest", "-q", "--junit-xml=j.xml", "-c", os.devnull, "-p", "no:gonogo"]
    run.append("--rootdir=.")
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    facts = read([tmp_path / "j.xml"], since=began)

    assert done.returncode == 1, done.stdout
    assert facts.tests == 7 + 1  # what fails and then breaks while it tidies up stands there twice
    assert {name.rpartition("::")[2] for name in facts.failed} == {
        "test_some[2]",
        "test_breaks",
        "test_fails_twice",
    }
    assert [name.rpartition("::")[2] for name in facts.skipped] == ["test_left_out"]
    assert (facts.claims, facts.old) == ((), ())


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (f"<testsuites>{suite(case('a'), case('b'), tests=2)}</testsuites>", (2, 0, 0)),
        (suite(case("a"), tests=1), (1, 0, 0)),
        (f"<testsuites>{suite(suite(suite(case('a'))), case('b'))}</testsuites>", (2, 0, 0)),
        (suite(case("a", "<failure/>"), case("b", "<error/>"), case("c", "<skipped/>")), (3, 2, 1)),
        (suite(case("a", "<flakyFailure/>"), case("b", "<failure/><rerunFailure/>")), (2, 1, 0)),
        (suite(case("a", status="notrun"), case("b", status="run"), case("c", status="failed")), (3, 1, 1)),
        ("<testsuites/>", (0, 0, 0)),
        (f'<testsuites xmlns="urn:x">{suite(case("a", "<failure/>"))}</testsuites>', (1, 1, 0)),
        (suite(case("same"), case("same")), (2, 0, 0)),
    ],
)
def test_cases_are_counted_however_deep(tmp_path: Path, text: str, numbers: tuple[int, int, int]) -> None:
    facts = facts_of(tmp_path, text)

    assert (facts.tests, len(facts.failed), len(facts.skipped)) == numbers
    assert facts.claims == ()


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        (suite(case("a"), tests=1, failures=1), "0.xml: testsuite s says 1 failures and holds 0"),
        (
            f"<testsuites errors='2'>{suite(case('a'))}</testsuites>",
            "0.xml: testsuites says 2 failures and holds 0",
        ),
        (suite(case("a"), "<error message='could not be imported'/>"), "0.xml: testsuite s failed as a whole"),
    ],
)
def test_failures_without_a_case_are_told(tmp_path: Path, text: str, claim: str) -> None:
    assert facts_of(tmp_path, text).claims == (claim,)


def test_numbers_of_cases_are_told_beside_those_that_are_there(tmp_path: Path) -> None:
    facts = facts_of(
        tmp_path, suite(case("a"), tests=5), f"<testsuites>{suite(tests=2)}{suite(tests=1)}</testsuites>"
    )

    assert (facts.tests, facts.claimed, facts.claims) == (1, 8, ())


def test_a_case_in_two_files_counts_once_and_by_the_worst(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, suite(case("a"), case("b")), suite(case("a"), case("b", "<failure/>"), case("c")))

    assert facts.tests == 3
    assert facts.failed == ("c::b",)
    assert facts.passed == 2


@pytest.mark.parametrize(
    ("timestamp", "old"),
    [
        (NOW.isoformat(), False),
        ((NOW - timedelta(hours=1)).isoformat(), True),
        ((NOW - timedelta(hours=10)).replace(tzinfo=None).isoformat(), False),
        ((NOW - timedelta(hours=30)).replace(tzinfo=None).isoformat(), True),
        ("yesterday", False),
    ],
    ids=["now", "an hour ago", "in a zone ahead", "two days ago", "unreadable"],
)
def test_a_file_that_says_to_be_older_is_told(tmp_path: Path, timestamp: str, old: bool) -> None:
    facts = facts_of(tmp_path, suite(case("a"), timestamp=timestamp), since=NOW)

    assert facts.old == (("0.xml",) if old else ())


def test_a_file_with_an_old_date_is_told(tmp_path: Path) -> None:
    path = tmp_path / "j.xml"
    path.write_text(suite(case("a")))
    os.utime(path, (0, 0))

    assert read([path], since=NOW).old == ("j.xml",)


def test_only_files_that_were_written_count(tmp_path: Path) -> None:
    same, again, new = (tmp_path / f"{name}.xml" for name in ("same", "again", "new"))
    for path in (same, again):
        path.write_text("<testsuites/>")
    before = state([same, again, tmp_path / "gone.xml"])
    again.write_text("<testsuites/>")
    os.utime(again, ns=(1, 1))
    new.touch()

    assert written(before, state([same, again, new])) == [again, new]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is no JUnit file"),
        ("<testsuites><testsuite", "is no JUnit file"),
        ("<html/>", "begins with <html>"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><testsuites>&a;</testsuites>', "is no JUnit file"),
    ],
)
def test_what_is_no_junit_file_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(TargetError, match=sentence):
        facts_of(tmp_path, text)


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="can't be read"):
        read([tmp_path / "gone.xml"])


@pytest.mark.parametrize("status", ["fail", "broken", "timedout", "Error"])
def test_a_case_that_only_its_status_calls_bad(tmp_path: Path, status: str) -> None:
    assert facts_of(tmp_path, suite(case("a", status=status), case("b", status="run"))).failed == ("c::a",)


def test_folders_and_pipes_are_no_results(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "x.xml").touch()

    assert [path.name for path in state(tmp_path.iterdir())] == ["x.xml"]
