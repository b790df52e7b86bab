"""The release's source: frozen at its tag, tested as a whole, without known holes in what it depends on."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from tests.infra import change as shared
from tests.infra.change import files_of, filled, repository_of, short, table_of

from gonogo import (
    EvidenceKeeper,
    InconclusiveError,
    Measure,
    Target,
    TargetError,
    ToolError,
    at_least,
    at_most,
    empty,
    equals,
    is_true,
    one_of,
)
from gonogo.probes import audit as audits
from gonogo.probes import testreport as reports
from gonogo.probes.repository import FULL_CLONE, RepositoryFacts, look

LAUNCHED = "launch.toml: launch.version"
FROZEN = "playbook: code freeze"
ALL_PASS = "playbook: all tests pass (100 %)"
BACKED = "each number in a result file must be backed by its cases"
THIS_RUN = "results of another run say nothing about this one"
CLEAN = "playbook: security audit completed"
COMMIT = re.compile(r"[0-9a-f]{7,64}")
LAST_WORDS = 200
KEPT_FILES = 20
"""Result files that are kept as evidence; what all of them said is in ``tests.json``."""


@pytest.mark.gate("release.freeze")
def test_freeze(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The tag of this release is checked out, clean, and nothing came after it."""
    change = target.settings("change")
    tag = change.tag.replace("{version}", target.version)
    commit = planned_commit(target)
    facts = look(
        repository_of(target),
        tag=tag,
        branch=change.branch,
        frozen_at=change.frozen_at,
        remote=change.remote,
        environment=target.environment,
        timeout_s=change.timeout_s,
    )
    evidence.text("git.txt", "\n".join(facts.asked))
    judge_tree(target, measure, facts)
    judge_tag(target, measure, facts, tag)
    if commit is not None:
        key, wanted = commit
        measure(
            "commit that is checked out, against the plan's", facts.head.hash[: len(wanted)], equals(wanted, key)
        )
    judge_after(target, measure, facts, tag)
    judge_remote(target, measure, facts, tag)
    if facts.unknown:
        raise InconclusiveError(f"{'; '.join(facts.unknown)}: {FULL_CLONE}, or mend change.branch")


def planned_commit(target: Target) -> tuple[str, str] | None:
    """Source and hash of the commit that the plan names for this release; ``None`` if it names none.

    Raises:
        ToolError: what it names is no commit, or stands in a variable that is not set.
    """
    written = target.settings("change").commit
    if written is not None:
        text = target.expand(written if isinstance(written, str) else f"${{{written.env}}}").strip().lower()
        if not COMMIT.fullmatch(text):
            raise ToolError(f"launch.toml: change.commit is {text!r}; it must be 7 to 64 hexadecimal digits")
        return target.source("change.commit"), text
    try:
        return "deploy.commit", target.commit
    except ToolError:
        if target.has("deploy") and target.settings("deploy").commit is not None:
            raise  # it is named, and can't be read
        return None


def judge_tree(target: Target, measure: Measure, facts: RepositoryFacts) -> None:
    """Nothing in the working tree differs from what was committed."""
    allowed = target.settings("change").allow_dirty
    changed = [line for line in facts.changed if not any(fnmatchcase(line[3:].strip('"'), one) for one in allowed)]
    aside = f" ({len(facts.changed) - len(changed)} more are allowed)" if len(changed) < len(facts.changed) else ""
    clean = empty(target.source("change.allow_dirty"))
    measure(f"changed and new files in the working tree{aside}", short(changed), clean)
    if facts.submodules is not None:
        measure("submodules at another commit", short(facts.submodules), empty(FROZEN))


def judge_tag(target: Target, measure: Measure, facts: RepositoryFacts, tag: str) -> None:
    """HEAD is the tag, and the tag is this release's."""
    source = target.source("change.tag")
    if facts.tag is not None:
        found = measure(f"commit of the tag {tag}", facts.tag.hash[:12], equals(facts.head.hash[:12], "HEAD"))
        if not found.ok:
            measure("what is checked out instead", str(facts.head), equals(str(facts.tag), f"the tag {tag}"))
    elif not facts.shallow:
        measure(f"the tag {tag}", "there is no such tag", is_true(source))
    if "{version}" not in target.settings("change").tag:
        # 1.2 is part of v11.2 and of 1.2.3, and is neither.
        whole = re.search(rf"(?<!\d)(?<!\d\.){re.escape(target.version)}(?!\.?\d)", tag)
        measure(f"the tag {tag} names release {target.version}", whole is not None, is_true(LAUNCHED))


def judge_after(target: Target, measure: Measure, facts: RepositoryFacts, tag: str) -> None:
    """Nothing was committed or merged after the freeze."""
    change = target.settings("change")
    if facts.tag is not None and facts.branches and not facts.unknown:
        where = ", ".join(facts.branches)
        after = short(facts.after_tag)
        measure(f"commits of {where} after {tag}", after, empty(FROZEN), n=len(facts.branches))
    if change.frozen_at is not None:
        name = f"commits after the freeze of {change.frozen_at:%Y-%m-%d %H:%M} UTC"
        measure(name, short(facts.after_freeze), empty(target.source("change.frozen_at")))


def judge_remote(target: Target, measure: Measure, facts: RepositoryFacts, tag: str) -> None:
    """The remote has the same tag, and no more on the branch.

    Raises:
        ToolError: the remote could not be asked.
    """
    remote, source = facts.remote, target.source("change.remote")
    if remote is None:
        return
    if remote.problem:
        raise ToolError(f"the remote {remote.name} could not be asked: {remote.problem}")
    there = (remote.tag or "there is no such tag")[: 12 if remote.tag else None]
    measure(f"commit of the tag {tag} at {remote.name}", there, equals(facts.head.hash[:12], f"HEAD; {source}"))
    if remote.branch is not None and remote.ahead is not None:
        ahead = f"no, it is at {remote.branch[:12]}" if remote.ahead else True
        name = f"{target.settings('change').branch} at {remote.name} has nothing that {tag} has not"
        measure(name, ahead, is_true(FROZEN))


# The team's commands have limits of their own, which follow from launch.toml.
@pytest.mark.timeout(0)
@pytest.mark.gate("release.tests")
def test_tests(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """All tests pass, their results are of this run, and none has gone missing."""
    tests = table_of(target, "tests")
    last = shared.recall(target)
    before = reports.state(files_of(target, tests.junit))
    began = datetime.now(UTC)
    done = target.run(filled(target, tests.command), timeout_s=tests.max_s)
    evidence.text("output.txt", f"$ {done.command}\n{done.output}\nstatus {done.status}, {done.duration_s:.1f} s\n")
    held = [
        measure(
            f"exit status of the tests{said_at_last(done.status, done.output)}",
            done.status,
            equals(0, target.source("change.tests.command")),
        ),
        measure("time", done.duration_s, at_most(tests.max_s, target.source("change.tests.max_s")), unit="s"),
    ]
    after = reports.state(files_of(target, tests.junit))
    new = reports.written(before, after)
    for number, path in enumerate(new[:KEPT_FILES], 1):
        evidence.bytes(f"junit-{number}-{path.name}", path.read_bytes())
    stale = len(after) - len(new)
    aside = f" ({stale} are there from before, and do not count)" if stale else ""
    measure(f"result files that this run wrote{aside}", len(new), at_least(1, target.source("change.tests.junit")))
    if not new:
        return
    facts = reports.read(new, since=began)
    evidence.json("tests.json", asdict(facts))
    held += judge_results(target, measure, facts)
    held += judge_number(target, measure, facts, last)
    if all(one.ok for one in held):
        shared.remember(target, facts.tests)
        if last is None and tests.min_tests is None:
            raise InconclusiveError(
                f"{facts.tests} tests were counted, and nobody knows how many there should be: if these are all, "
                f"write min_tests = {facts.tests} below [targets.{target.name}.change.tests], or run this once more"
            )


def said_at_last(status: int | None, output: str) -> str:
    """The end of a command's output, where the command went wrong."""
    if status == 0:
        return ""
    last = next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "nothing")
    return f", which said at last: {last[:LAST_WORDS]}"


def judge_results(target: Target, measure: Measure, facts: reports.SuiteFacts) -> list[Any]:
    """No test failed, none was left out, and the files are true."""
    tests = target.settings("change").tests
    flaky = f" ({len(facts.flaky)} passed only when repeated)" if facts.flaky else ""
    skipped = f" ({', '.join(short(facts.skipped))})" if facts.skipped else ""
    few = at_most(tests.max_skipped, target.source("change.tests.max_skipped"))
    return [
        measure("result files older than the run", short(facts.old), empty(THIS_RUN), n=len(facts.files)),
        measure("failures without a case", short(facts.claims), empty(BACKED), n=len(facts.files)),
        measure(f"failed tests{flaky}", short(facts.failed), empty(ALL_PASS), n=facts.tests),
        measure(f"skipped tests{skipped}", len(facts.skipped), few, n=facts.tests),
    ]


def judge_number(
    target: Target, measure: Measure, facts: reports.SuiteFacts, last: shared.LastRun | None
) -> list[Any]:
    """There are as many tests as the plan wants, and as many as in the last good run."""
    tests = target.settings("change").tests
    told = f" (cases; the files' own numbers say {facts.claimed})" if facts.claimed > facts.tests else ""
    held = [
        measure(
            f"tests{told}", facts.tests, at_least(tests.min_tests or 1, target.source("change.tests.min_tests"))
        )
    ]
    if last is not None:
        name = f"tests, beside the {last.tests} of the last good run ({last.version}, {last.at[:16]} UTC)"
        kept = at_least(max(last.tests - tests.max_fewer, 1), target.source("change.tests.max_fewer"))
        held.append(measure(name, facts.tests, kept))
    return held


@pytest.mark.timeout(0)
@pytest.mark.gate("release.audit")
def test_audit(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The audit of the dependencies looked at them, and found nothing that nobody has allowed."""
    audit = table_of(target, "audit")
    before = reports.state(files_of(target, audit.report)) if audit.report else {}
    done = target.run(filled(target, audit.command), timeout_s=audit.max_s)
    evidence.text("output.txt", f"$ {done.command}\n{done.output}\nstatus {done.status}, {done.duration_s:.1f} s\n")
    measure("time", done.duration_s, at_most(audit.max_s, target.source("change.audit.max_s")), unit="s")
    source = target.source("change.audit.command")
    if done.status is None:
        raise TargetError(f"the audit did not end within {audit.max_s:g} s; raise change.audit.max_s or mend it")
    if audit.format == "status":
        if not done.output.strip():
            raise ToolError("the audit printed nothing, so nobody can tell what it looked at; let it print that")
        measure(f"exit status of the audit{said_at_last(done.status, done.output)}", done.status, equals(0, source))
        return
    text = written_report(target, before) if audit.report else done.output
    facts = audits.read(text, audit.format)
    judge_findings(target, measure, evidence, facts)
    # Both tools end with 1 if they have found something, and know nothing of what the team allows.
    expected = one_of((0, 1) if facts.findings else (0,), source)
    measure(f"exit status of the audit, {len(facts.findings)} findings", done.status, expected)


def written_report(target: Target, before: reports.State) -> str:
    """Text of the file that the audit has written.

    Raises:
        ToolError: it has written none.
    """
    pattern = target.settings("change").audit.report
    new: list[Path] = reports.written(before, reports.state(files_of(target, pattern)))
    if not new:
        raise ToolError(
            f"launch.toml: change.audit.report: the audit wrote no file {pattern}; name the one it writes"
        )
    return new[-1].read_text(encoding="utf-8", errors="replace")


def judge_findings(target: Target, measure: Measure, evidence: EvidenceKeeper, facts: audits.AuditFacts) -> None:
    """What was found and is not allowed, or no longer."""
    audit = target.settings("change").audit
    today = datetime.now(UTC).date()
    needed = max(today, target.at.date()) if target.at else today
    ended = [f"{one.id} until {one.until}: {one.reason}" for one in audit.allow if one.until < needed]
    in_force = [one for one in audit.allow if one.until >= needed]
    evidence.json("audit.json", {**asdict(facts), "allowed": [one.model_dump(mode="json") for one in audit.allow]})
    least = at_least(audit.min_packages, target.source("change.audit.min_packages"))
    left_out = f" ({len(facts.not_audited)} could not be)" if facts.not_audited else ""
    measure(f"packages audited{left_out}", facts.packages, least, n=facts.packages)
    mild = facts.below(audit.level)
    counting = [found for found in facts.findings if found not in mild]
    bad = audits.without_allowed(counting, [one.id for one in in_force])
    accepted = [found for found in counting if found not in bad]
    aside = f", {len(mild)} milder than {audit.level} left out" if mild else ""
    if accepted:
        terms = {one.id.casefold(): f"until {one.until}: {one.reason}" for one in in_force}
        why = [f"{f.package} {next(terms[i.casefold()] for i in f.ids if i.casefold() in terms)}" for f in accepted]
        aside += f", allowed are {'; '.join(short(why))}"
    measure(f"findings{aside}", short(bad), empty(CLEAN), n=facts.packages)
    if audit.allow:
        bound = empty(f"change.audit.allow must last until {needed}")
        measure("allowances that end too early", short(ended), bound, n=len(audit.allow))
