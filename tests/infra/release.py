"""What the gates of deployment and rollback share: which release runs where, and what a command said."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gonogo import Measure, Target, TargetError, ToolError, at_least, at_most, contains_all, empty, equals
from gonogo.probes.http import HttpProbe, lookup
from gonogo.probes.outage import WatchFacts

SERIES_S = 60.0
"""Longest time for one series of questions to the instances."""
POLL_S = 0.5
LATE_S = 2.0
"""A watch that is later than this has slept through what it should have seen."""
OVERTIME = 1.5
"""A command may take so many times its bound before it is ended: half a deployment is worse than a slow one."""
SHORTEST_COMMIT = 7
"""Digits to which a commit may be abbreviated, as git does by default."""
OUTPUT_RULE = "playbook: a deployment's output shows no errors"

ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
FAILED = re.compile(
    r"(?:[\[\d][\d:.,TZ+/\] -]*)?(?:"  # a time, perhaps
    r"[✗✘✖❌]"  # the opposite of the tick
    r"|\[(?:error|fatal)\]"
    r"|(?:error|fatal|panic)\s*:\s*(?!(?:0|no|none|null|false)\W*$)\S"
    r"|(?:\S+: )(?:error|fatal|panic): "  # psql: error: ..., file.sql:12: ERROR: ...
    r"|npm (?:err!|error)"
    r"|traceback \(most recent call last\))",
    re.IGNORECASE,
)
"""How a line begins that reports a failure; a line that merely mentions errors, "0 errors", does not."""


@dataclass(frozen=True)
class Answer:
    """What one answer of the health endpoint tells of the release; empty where it tells nothing."""

    status: int
    instance: str
    version: str
    commit: str
    document: Any

    @property
    def who(self) -> str:
        """The instance, for people."""
        return self.instance or "an instance without a name"


@dataclass(frozen=True)
class ReleaseFacts:
    """A series of answers, behind which all instances should stand."""

    asked: int
    answers: tuple[Answer, ...]

    @property
    def instances(self) -> list[str]:
        """Names of those that answered."""
        return sorted({answer.instance for answer in self.answers if answer.instance})

    @property
    def versions(self) -> list[str]:
        """Every version that was told."""
        return sorted({answer.version for answer in self.answers if answer.version})

    @property
    def by_instance(self) -> dict[str, list[str]]:
        """``version (commit)`` of every answer, by instance."""
        found: dict[str, set[str]] = {}
        for a in self.answers:
            found.setdefault(a.who, set()).add(f"{a.version or 'no version'} ({a.commit or 'no commit'})")
        return {who: sorted(releases) for who, releases in sorted(found.items())}

    def behind(self, version: str) -> list[str]:
        """Who runs something else, and what."""
        return sorted({f"{a.who}: {a.version or 'tells no version'}" for a in self.answers if a.version != version})

    def changed_since(self, before: ReleaseFacts) -> list[str]:
        """Who runs what it did not run before; of those not seen before, who runs what nobody did."""
        then, anywhere = before.by_instance, {one for told in before.by_instance.values() for one in told}
        return [
            f"{who}: {release}"
            for who, releases in self.by_instance.items()
            for release in releases
            if release not in then.get(who, anywhere)
        ]

    def built_otherwise(self, commit: str) -> list[str]:
        """Who was built from another commit, and which."""
        others = [a for a in self.answers if not same_commit(a.commit, commit)]
        return sorted({f"{a.who}: {a.commit or 'tells no commit'}" for a in others})


def running_releases(target: Target) -> ReleaseFacts:
    """Asks ``deploy.samples`` times who answers and which release that is.

    Every other request has a new connection: some load balancers choose an instance for each request,
    others for each connection.

    Raises:
        TargetError: there was no answer, or one that is not JSON.
    """
    samples, path = target.settings("deploy").samples, target.settings("http").health
    answers: list[Answer] = []
    ends = time.monotonic() + SERIES_S
    with target.client() as probe:  # the session's keeps connections, which all lead to one instance
        while len(answers) < samples and time.monotonic() < ends:
            facts = probe.get(path, headers={"Connection": "close"} if len(answers) % 4 < 2 else None)
            document = facts.json()
            answers.append(_answer(facts.status, document))
    return ReleaseFacts(samples, tuple(answers))


def settled(target: Target, holds: Callable[[ReleaseFacts], bool], within_s: float) -> ReleaseFacts:
    """The newest facts, once they hold or the time is over.

    Args:
        target: whom to ask.
        holds: whether there is nothing left to wait for.
        within_s: longest time to wait, in seconds.

    Raises:
        TargetError: at the end of the time there was still no answer.
    """
    ends = time.monotonic() + within_s
    while True:
        try:
            facts = running_releases(target)
        except TargetError:
            if time.monotonic() >= ends:
                raise
        else:
            if holds(facts) or time.monotonic() >= ends:
                return facts
        time.sleep(POLL_S)


def runs_everywhere(target: Target, facts: ReleaseFacts, version: str) -> bool:
    """Every instance answered, is healthy, and runs this version."""
    absent = set(target.settings("deploy").instances) - set(facts.instances)
    return not absent and not facts.behind(version) and all(is_healthy(target, one) for one in facts.answers)


def is_healthy(target: Target, answer: Answer) -> bool:
    """Status 200 and everything that ``http.health_expect`` asks for."""
    return answer.status == 200 and not _unexpected(target, answer.document)


def health_check(target: Target, probe: HttpProbe) -> Callable[[], bool]:
    """One question to health over a new connection, as a user's browser would begin; for a HealthWatch.

    The check raises TargetError with the reason if the answer is not a healthy one.
    """
    path = target.settings("http").health

    def check() -> bool:
        facts = probe.get(path, headers={"Connection": "close"})
        if facts.status != 200:
            raise TargetError(f"{path} answered {facts.status}")
        if unexpected := _unexpected(target, facts.json()):
            raise TargetError(f"{path} said {unexpected[0]}")
        return True

    return check


def judge_watch(facts: WatchFacts) -> None:
    """Refuses a watch that can't have seen everything.

    Raises:
        ToolError: checks began late although nothing was in their way.
    """
    if facts.late_s > LATE_S and not facts.failures:
        raise ToolError(
            f"health was not asked for {facts.late_s:.1f} s, over the {LATE_S:g} s allowed, because this machine "
            "was busy, so an outage could have gone unseen; run the gate on a machine with more room"
        )


def watch_facts(facts: WatchFacts) -> dict[str, Any]:
    """A watch as plain data, for evidence."""
    return {**asdict(facts), "longest_outage_s": facts.longest_outage_s}


def judge_release(
    target: Target, measure: Measure, facts: ReleaseFacts, version: str, source: str, *, when: str = ""
) -> None:
    """Holds what answered against one version; ``when`` begins the measurements' names."""
    deploy = target.settings("deploy")
    n = len(facts.answers)
    measure(f"{when}answers of instances", n, equals(facts.asked, target.source("deploy.samples")), n=facts.asked)
    bad = sorted({f"{a.who}: {a.status}" for a in facts.answers if a.status != 200})
    measure(f"{when}answers other than 200", bad, empty(target.source("http.health")), n=n)
    measure(f"{when}instances that do not run {version}", facts.behind(version), empty(source), n=n)
    if deploy.instances:
        required = contains_all(deploy.instances, target.source("deploy.instances"))
        measure(f"{when}instances that answered", facts.instances, required, n=n)
    else:
        one = at_least(1, "design: health tells the name of its instance")
        # A load balancer that keeps each client with one instance would hide the others.
        unnamed = f"{when}instances that answered (deploy.instances does not name those that must)"
        measure(unnamed, len(facts.instances), one, n=n)


def judge_commit(target: Target, measure: Measure, facts: ReleaseFacts, commit: str) -> None:
    """Holds what answered against the commit that must run."""
    others = facts.built_otherwise(commit)
    source = target.source("deploy.commit")
    measure(f"instances that were not built from {commit[:12]}", others, empty(source), n=len(facts.answers))


def judge_health(target: Target, measure: Measure, facts: ReleaseFacts, *, when: str = "") -> None:
    """Holds every answer against ``http.health_expect``."""
    for path, value in target.settings("http").health_expect.items():
        expected = equals(value, target.source("http.health_expect"))
        said = [lookup(answer.document, path) for answer in facts.answers]
        others = [one for one in said if not expected.judge(one, 1).ok]
        measure(f"{when}health: {path}", [*others, *said, None][0], expected, n=len(said))


def judge_command(
    measure: Measure, status: int | None, duration_s: float, bound: tuple[float, str], *, name: str
) -> None:
    """Holds a command's exit status and time against what is allowed.

    Args:
        measure: the gate's fixture.
        status: exit status; ``None`` if the command was ended because time was up.
        duration_s: how long it took, in seconds.
        bound: seconds that it may take, and where that was said.
        name: of the command, for people.
    """
    seen = f"none: it was ended after {duration_s:.0f} s" if status is None else status
    measure(f"exit status of the {name}", seen, equals(0, "POSIX: 0 is success"))
    measure(f"time of the {name}", round(duration_s, 3), at_most(*bound), unit="s")


def judge_output(target: Target, measure: Measure, output: str) -> None:
    """Holds a deployment's output against the lines that it must have."""
    expected = target.settings("deploy").expect
    lines = output_lines(output)
    absent = missing_lines(lines, expected)
    measure("expected lines that are missing", absent, empty(target.source("deploy.expect")), n=len(expected))
    measure("lines that report an error", error_lines(lines), empty(OUTPUT_RULE), n=len(lines))


def output_lines(output: str) -> list[str]:
    """Lines as a person sees them: no colours, progress lines one by one, blanks as one space, no empty ones."""
    plain = ESCAPES.sub("", output).replace("\ufe0f", "")  # which only says that a tick is to be coloured
    return [line for line in (" ".join(part.split()) for part in re.split(r"[\r\n]+", plain)) if line]


def missing_lines(lines: Sequence[str], expected: Sequence[str]) -> list[str]:
    """The texts that stand in no line after that of the text before them, in their order.

    A text that stands only further up is told to be out of order.
    """
    absent, after = [], 0
    for text in expected:
        wanted = " ".join(text.split())
        at = next((n for n in range(after, len(lines)) if wanted in lines[n]), None)
        if at is not None:
            after = at + 1
        elif any(wanted in line for line in lines):
            absent.append(f"{text} (out of order)")
        else:
            absent.append(text)
    return absent


def error_lines(lines: Sequence[str]) -> list[str]:
    """The lines that report a failure, whatever the exit status says; at most 20."""
    return [line[:300] for line in lines if FAILED.match(line)][:20]


def same_commit(told: str, expected: str) -> bool:
    """Whether two hashes name one commit; either may be abbreviated to seven digits or more."""
    one, other = told.lower(), expected.lower()
    return min(len(one), len(other)) >= SHORTEST_COMMIT and (one.startswith(other) or other.startswith(one))


def _unexpected(target: Target, document: Any) -> list[str]:
    """What health said instead of what it should, in words."""
    expected = target.settings("http").health_expect
    said = {path: lookup(document, path) for path in expected}
    return [
        f"{path} = {said[path]!r} instead of {value!r}"
        for path, value in expected.items()
        if not equals(value, "").judge(said[path], 1).ok
    ]


def _answer(status: int, document: Any) -> Answer:
    instance, version, commit = (_text(lookup(document, key)) for key in ("instance", "version", "commit"))
    return Answer(status, instance, version, commit, document)


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else "" if value is None else str(value)
