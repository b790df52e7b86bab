"""The gates of the release's source and of the plan, where it is not a fault of the target that decides."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gate_calls import Called, call
from gate_runs import ROOT
from gonogo.launchfile import load_launch_file
from gonogo.model import Outcome
from gonogo.target import Target
from source_target import target_with

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra import test_change as gates
from tests.infra import test_plan as plan_gates

TODAY = datetime.now(UTC).date()


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, timeout=30)


def suite_of(number: int, **more: Any) -> dict[str, Any]:
    """The plan's tests, as a program that writes so many cases."""
    code = (
        "import pathlib; p = pathlib.Path('{repository}/build'); p.mkdir(exist_ok=True); "
        f"(p / 'j.xml').write_text('<testsuite>' + ''.join(f'<testcase name=\"{{n}}\"/>' for n in range({number}))"
        " + '</testsuite>')"
    )
    return {"command": ["{python}", "-c", code], "junit": "build/*.xml", **more}


def audit_of(findings: list[str], *, status: int = 0, allow: Any = (), **more: Any) -> dict[str, Any]:
    """The plan's audit, as a program that has found these."""
    vulns = [{"id": one, "aliases": [], "fix_versions": []} for one in findings]
    printed = json.dumps({"dependencies": [{"name": "x", "version": "1", "vulns": vulns}]})
    code = f"print({printed!r}); raise SystemExit({status})"
    return {"command": ["{python}", "-c", code], "format": "pip-audit", "allow": list(allow), **more}


def allowing(name: str, until: date) -> dict[str, Any]:
    return {"id": name, "reason": "not reachable", "until": until}


# release.freeze


def test_files_that_may_change_do_not_matter(tmp_path: Path) -> None:
    called = call(gates.test_freeze, target_with(tmp_path, "dirty-tree", allow_dirty=["distances.py", "hot*"]))

    assert called.outcome is Outcome.PASS, called.reason
    assert called["changed and new files"].name.endswith("(2 more are allowed)")


def test_another_commit_than_the_plans(tmp_path: Path) -> None:
    called = call(gates.test_freeze, target_with(tmp_path, commit="0badc0ffee00"))

    assert list(called.bad) == ["commit that is checked out, against the plan's"]
    assert called.outcome is Outcome.FAIL


@pytest.mark.parametrize("text", ["", "main", "abc"])
def test_a_commit_that_is_none_is_our_error(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEASED", text)
    called = call(gates.test_freeze, target_with(tmp_path, commit={"env": "RELEASED"}))

    assert called.outcome is Outcome.ERROR
    assert "it must be 7 to 64 hexadecimal digits" in called.reason


def test_a_tag_of_another_release(tmp_path: Path) -> None:
    target = target_with(tmp_path, tag="final", remote=None)
    git(tmp_path / "source", "tag", "final")

    assert list(call(gates.test_freeze, target).bad) == ["the tag final names release 1.0.0"]


@pytest.mark.parametrize(("hours", "outcome"), [(-1, Outcome.FAIL), (1, Outcome.PASS)])
def test_commits_after_the_freeze(tmp_path: Path, hours: int, outcome: Outcome) -> None:
    called = call(gates.test_freeze, target_with(tmp_path, frozen_at=datetime.now(UTC) + timedelta(hours=hours)))

    assert called.outcome is outcome, called.reason
    assert len(called["commits after the freeze"].actual) == (2 if hours < 0 else 0)


def test_a_shallow_clone_holds_the_launch_and_says_what_to_do(tmp_path: Path) -> None:
    target = target_with(tmp_path, remote=None)
    git(tmp_path, "clone", "-q", "--depth=1", "--no-tags", f"file://{tmp_path}/source", "clone")
    Path(tmp_path / "source").rename(tmp_path / "elsewhere")
    (tmp_path / "clone").rename(tmp_path / "source")

    called = call(gates.test_freeze, target)

    assert called.outcome is Outcome.INCONCLUSIVE
    assert "the clone is shallow" in called.reason
    assert "git fetch --unshallow --tags" in called.reason


def test_a_remote_that_is_gone_is_our_error_after_everything_else_was_measured(tmp_path: Path) -> None:
    target = target_with(tmp_path)
    (tmp_path / "source-remote.git").rename(tmp_path / "gone")

    called = call(gates.test_freeze, target)

    assert called.outcome is Outcome.ERROR
    assert "the remote origin could not be asked" in called.reason
    assert len(called.measurements) == 4
    assert called.bad == {}


# release.tests


def test_the_number_of_the_last_good_run_is_remembered(tmp_path: Path) -> None:
    target = target_with(tmp_path, tests=suite_of(9))
    first = call(gates.test_tests, target)
    second = call(gates.test_tests, target)

    assert first.outcome is Outcome.INCONCLUSIVE
    assert "9 tests were counted, and nobody knows how many there should be" in first.reason
    assert second.outcome is Outcome.PASS
    (tmp_path / "b").mkdir()
    fewer = target_with(tmp_path / "b", tests=suite_of(8))
    fewer.reports = target.reports
    for _ in range(2):  # a bad run is not remembered
        called = call(gates.test_tests, fewer)
        assert called.outcome is Outcome.FAIL
        assert "beside the 9 of the last good run" in called.reason


def test_tests_that_may_go(tmp_path: Path) -> None:
    target = target_with(tmp_path, tests=suite_of(8, max_fewer=1, min_tests=8))
    target.reports.mkdir()
    (target.reports / "tests.json").write_text(
        '{"rehearsal": {"tests": 9, "at": "2026-11-01", "version": "0.9.0"}}'
    )

    assert call(gates.test_tests, target).outcome is Outcome.PASS


@pytest.mark.parametrize("text", ["{", "[]", '{"rehearsal": {"tests": "many"}}'])
def test_a_broken_memory_is_no_first_run(tmp_path: Path, text: str) -> None:
    target = target_with(tmp_path, tests=suite_of(8))
    target.reports.mkdir()
    (target.reports / "tests.json").write_text(text)

    called = call(gates.test_tests, target)

    assert called.outcome is Outcome.ERROR
    assert "tests.json can't be read" in called.reason


def test_no_test_at_all(tmp_path: Path) -> None:
    called = call(gates.test_tests, target_with(tmp_path, tests=suite_of(0, min_tests=1)))

    assert called.outcome is Outcome.FAIL
    assert called.bad["tests"] == 0


def test_a_status_that_is_bad_over_good_results(tmp_path: Path) -> None:
    tests = suite_of(3, min_tests=3)
    tests["command"][2] += "; print('no space left'); raise SystemExit(2)"

    called = call(gates.test_tests, target_with(tmp_path, tests=tests))

    assert called.bad == {"exit status of the tests, which said at last: no space left": 2}


@pytest.mark.parametrize("table", ["tests", "audit"])
def test_a_table_that_is_missing_is_our_error(tmp_path: Path, table: str) -> None:
    gate = gates.test_tests if table == "tests" else gates.test_audit
    called = call(gate, target_with(tmp_path, **{table: None}))

    assert called.outcome is Outcome.ERROR
    assert f"[targets.rehearsal.change.{table}] is missing" in called.reason


@pytest.mark.parametrize(("tag", "names"), [("v{}", True), ("rel/{}-lts", True), ("v1{}", False), ("{}.1", False)])
def test_a_tag_that_holds_more_digits_is_another_release(tmp_path: Path, tag: str, names: bool) -> None:
    target = target_with(tmp_path)
    tag = tag.format(target.version)
    target = target_with(tmp_path / "named", tag=tag)

    assert call(gates.test_freeze, target)[f"the tag {tag} names"].ok is names


# release.audit


def audited(folder: Path, audit: dict[str, Any], at: datetime | None = None) -> Called:
    target = target_with(folder, audit=audit)
    target.at = at
    return call(gates.test_audit, target)


def test_a_finding_is_allowed_for_some_time_and_shown_with_its_reason(tmp_path: Path) -> None:
    called = audited(tmp_path, audit_of(["CVE-1"], status=1, allow=[allowing("cve-1", TODAY)]))

    assert called.outcome is Outcome.PASS, called.reason
    assert called["findings, allowed are"].name.endswith(f"x until {TODAY}: not reachable")


@pytest.mark.parametrize(("until", "at"), [(-1, None), (5, 10)])
def test_an_allowance_that_ends_before_the_launch_is_none(tmp_path: Path, until: int, at: int | None) -> None:
    launch = datetime.now(UTC) + timedelta(days=at) if at else None
    ends = TODAY + timedelta(days=until)
    called = audited(tmp_path, audit_of(["CVE-1"], status=1, allow=[allowing("CVE-1", ends)]), launch)

    assert called.bad == {
        "findings": ["x 1 CVE-1"],
        "allowances that end too early": [f"CVE-1 until {ends}: not reachable"],
    }


@pytest.mark.parametrize(
    ("audit", "outcome", "reason"),
    [
        (audit_of([], status=1), Outcome.FAIL, "exit status of the audit, 0 findings: 1"),
        (audit_of(["CVE-1"]), Outcome.FAIL, "findings: x 1 CVE-1"),
        (audit_of([], min_packages=2), Outcome.FAIL, "packages audited: 1"),
        (audit_of([], report="audit.json"), Outcome.ERROR, "wrote no file audit.json"),
        ({"command": ["true"], "format": "npm"}, Outcome.ERROR, "printed no JSON of npm"),
        ({"command": ["true"], "format": "status"}, Outcome.ERROR, "printed nothing"),
        ({"command": ["echo", "clean"], "format": "status"}, Outcome.PASS, ""),
        ({"command": ["ls", "/nonexistent"], "format": "status"}, Outcome.FAIL, "No such file"),
        (
            {"command": ["echo", '{"dependencies": []}'], "format": "pip-audit"},
            Outcome.INCONCLUSIVE,
            "packages audited",
        ),
        ({"command": ["sleep", "9"], "format": "npm", "max_s": 0.2}, Outcome.FAIL, "did not end within 0.2 s"),
        ({"command": ["no-such-audit"], "format": "npm"}, Outcome.ERROR, "no-such-audit does not exist"),
    ],
)
def test_an_audit_says_what_it_must(tmp_path: Path, audit: dict[str, Any], outcome: Outcome, reason: str) -> None:
    audit = {"min_packages": None, **audit} if "min_packages" not in audit else audit
    called = audited(tmp_path, {key: value for key, value in audit.items() if value is not None})

    assert called.outcome is outcome, called.reason
    assert reason in called.reason


def test_a_report_that_the_audit_writes_is_read(tmp_path: Path) -> None:
    audit = audit_of(["CVE-1"], report="audit.json")
    audit["command"][2] = audit["command"][2].replace("print(", "open('{repository}/audit.json', 'w').write(")

    assert audited(tmp_path, audit).bad == {"findings": ["x 1 CVE-1"]}


# plan.complete


def plan_target(folder: Path, kind: str, at: datetime | None, **launch: str) -> Target:
    """A target of a plan of its own, of which everything that it names is there."""
    (folder / "PLAYBOOK.md").write_text(
        "# x\n\n## T-3 <!-- phase: t3 owner: QA -->\n\n- [ ] y <!-- gate: a.b -->\n"
    )
    (folder / "launch.toml").write_text(
        f'[launch]\nproject = "Desk"\nversion = "1.0"\nat = {at.isoformat() if at else chr(34) + "TBD" + chr(34)}\n'
        f'[targets.desk]\nkind = "{kind}"\nbase_url = "https://desk.fleet.test"\n[people.QA]\nname = "Ada"\n'
        f'contact = "{launch.get("contact", "ada@fleet.test")}"\n'
    )
    plan = load_launch_file(folder / "launch.toml")
    return Target("desk", plan.targets["desk"], {}, "1.0", root=folder, plan=plan)


def test_a_production_plan_without_gaps(tmp_path: Path) -> None:
    called = call(
        plan_gates.test_complete, plan_target(tmp_path, "production", datetime.now(UTC) + timedelta(days=3))
    )

    assert called.outcome is Outcome.PASS, called.reason
    assert called["time until the launch"].actual == pytest.approx(72, abs=0.1)
    assert called["roles without a person"].n == 1


@pytest.mark.parametrize(
    ("days", "contact", "bad"),
    [
        (None, "ada@fleet.test", "launch.at: TBD"),
        (-1, "ada@fleet.test", "time until the launch"),
        (3, "[Phone]", "people.QA.contact: [Phone]"),
    ],
)
def test_a_production_plan_with_a_gap_is_refused(tmp_path: Path, days: int | None, contact: str, bad: str) -> None:
    at = datetime.now(UTC) + timedelta(days=days) if days else None
    called = call(plan_gates.test_complete, plan_target(tmp_path, "production", at, contact=contact))

    assert called.outcome is Outcome.FAIL
    assert bad in called.reason
    assert len(called.bad) == 1


def test_on_a_rehearsal_gaps_are_shown(tmp_path: Path) -> None:
    called = call(plan_gates.test_complete, plan_target(tmp_path, "staging", None, contact="[Phone]"))

    assert called.outcome is Outcome.PASS, called.reason
    line = called["on production these 2 would be refused"]
    assert "launch.at: TBD" in line.name
    assert "people.QA.contact: [Phone]" in line.name
    assert line.actual > 5
