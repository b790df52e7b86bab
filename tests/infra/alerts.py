"""What a target's Prometheus shows, and how its rules are held against the plan."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gonogo import Measure, Target, TargetError, at_least, at_most, empty, equals, is_true
from gonogo.probes.alerting import Alertmanager
from gonogo.probes.monitoring import AlertFacts, Meaning, Prometheus, RuleFacts, Sample, ScrapeFacts

POLL_S = 0.25
LATE_S = 10.0
"""A busy moment may delay what happens every few seconds by so much."""
FRESH = "two intervals, and at least 10 s"
ANSWERS = "nobody is warned by a monitoring that can't be asked"
CLOSE = 1e-9
"""Relative difference of two numbers that mean the same, 0.1 / 100 and 0.001 for instance."""
OWN = "GonogoSynthetic"
"""Beginning of the names of our own alerts."""


@dataclass
class Seen:
    """Prometheus at one moment."""

    now: float
    targets: list[ScrapeFacts]
    rules: list[RuleFacts]
    alerts: list[AlertFacts]
    alertmanagers: list[str]
    counters: set[str]
    external: dict[str, str]
    values: dict[str, list[Sample]] = field(default_factory=dict)
    """Present values of each planned alert's quantity, by subject."""
    watched: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    """Job and instance of the series that each planned alert reads, by subject."""


@dataclass(frozen=True)
class Judged:
    """One rule held against one wanted alert."""

    rule: RuleFacts
    meaning: Meaning | None
    fires: str
    """Operator and number, as the rule has it."""
    otherwise: tuple[str, ...]
    """What else is not as planned."""


@contextlib.contextmanager
def clients(target: Target) -> Iterator[tuple[Prometheus, Alertmanager]]:
    """Clients for both servers, closed at the end."""
    plan = target.settings("monitoring")
    options: dict[str, Any] = {
        "ca_file": target.ca_file,
        "connect_to": target.connect_to,
        "token": target.expand(plan.token) if plan.token else None,
        "timeout_s": plan.timeout_s,
    }
    with (
        contextlib.closing(Prometheus(target.expand(plan.prometheus), **options)) as prometheus,
        contextlib.closing(Alertmanager(target.expand(plan.alertmanager), **options)) as alertmanager,
    ):
        yield prometheus, alertmanager


def settled(target: Target, prometheus: Prometheus, *, values: bool = True) -> Seen:
    """What Prometheus shows, once everything planned was looked at at least once, or ``settle_s`` is over.

    Only what is still to come is waited for; what is down, failing or firing is so at once.

    Args:
        target: whose monitoring it is.
        prometheus: a client for it.
        values: whether to wait until the quantities of the alerts have values.

    Raises:
        TargetError: Prometheus does not answer.
    """
    plan = target.settings("monitoring")
    ends = time.monotonic() + plan.settle_s
    while True:
        seen = look(target, prometheus)
        if not _to_come(plan, seen, values=values) or time.monotonic() >= ends:
            return seen
        time.sleep(POLL_S)


def look(target: Target, prometheus: Prometheus) -> Seen:
    """What Prometheus shows now.

    Raises:
        TargetError: Prometheus does not answer.
    """
    plan = target.settings("monitoring")
    seen = Seen(
        targets=[one for one in prometheus.targets() if one.job in plan.jobs],
        rules=prometheus.rules(),
        alerts=prometheus.alerts(),
        alertmanagers=prometheus.alertmanagers(),
        counters=prometheus.counters(),
        external=prometheus.external_labels(),
        now=prometheus.now(),  # last, so that nothing it is compared with is newer
    )
    for subject in plan.alerts:
        judged = best(plan, subject, seen)
        if judged is not None and judged.meaning is not None:
            with contextlib.suppress(TargetError):  # no value then, which is measured
                seen.values[subject] = prometheus.query(judged.meaning.value)
                seen.watched[subject] = places(prometheus, judged.meaning, plan.alerts[subject].metrics)
    return seen


def places(prometheus: Prometheus, meaning: Meaning, metrics: Sequence[str]) -> set[tuple[str, str]]:
    """Job and instance of the series of these names that an alert reads; empty where the series name none."""
    found = set()
    for name, selector in meaning.watches:
        if name in metrics:
            labels = [sample.labels for sample in prometheus.query(f"group by (job, instance) ({selector})")]
            found |= {(one["job"], one["instance"]) for one in labels if one.get("job") and one.get("instance")}
    return found


def overlooked(seen: Seen, subject: str) -> list[str]:
    """What an alert does not look at, though its series come from the planned jobs or others."""
    watched = seen.watched.get(subject, set())
    jobs = {job for job, _ in watched}
    ours = {one.job for one in seen.targets}
    if watched and not jobs & ours:
        return [
            f"it reads series of job {', '.join(sorted(jobs))}, not of {', '.join(sorted(ours)) or 'any target'}"
        ]
    return [
        f"it does not look at {one.instance} of job {one.job}"
        for one in seen.targets
        if one.health == "up" and one.job in jobs and (one.job, one.instance) not in watched
    ]


def _to_come(plan: Any, seen: Seen, *, values: bool) -> bool:
    counts = [sum(one.job == job for one in seen.targets) >= wanted for job, wanted in plan.jobs.items()]
    asked = all(one.health != "unknown" for one in seen.targets)
    names = {alert.name for alert in plan.alerts.values()}
    evaluated = all(rule.evaluated_at is not None for rule in seen.rules if rule.name in names)
    # A rate has a value from the second scrape on.
    valued = all(len(found) >= plan.alerts[subject].series for subject, found in seen.values.items() if values)
    return not (all(counts) and asked and evaluated and valued and seen.alertmanagers)


def best(plan: Any, subject: str, seen: Seen) -> Judged | None:
    """The rule that comes closest to a planned alert; ``None`` if no rule has its name and labels."""
    wanted = plan.alerts[subject]
    rules = [
        rule
        for rule in seen.rules
        if rule.name == wanted.name and wanted.labels.items() <= dict(rule.labels).items()
    ]
    found = [judge(plan, subject, rule, meaning, seen) for rule in rules for meaning in rule.meanings or (None,)]
    operator, threshold, _ = plan.bound(subject)
    return min(found, key=lambda one: len(one.otherwise) + (one.fires != fires(operator, threshold)), default=None)


def judge(plan: Any, subject: str, rule: RuleFacts, meaning: Meaning | None, seen: Seen) -> Judged:
    """Hold what one rule means against the plan."""
    own = []
    if rule.health != "ok":
        own.append(f"its health is {rule.health}{f': {rule.error}' if rule.error else ''}")
    if rule.interval_s > plan.interval_s:
        own.append(f"it is evaluated every {rule.interval_s:g} s, allowed are {plan.interval_s:g} s")
    if meaning is None:
        return Judged(rule, None, "not understood", (*own, f"{rule.expression}: {rule.unread}"))
    operator, threshold, _ = plan.bound(subject)
    said = fires(meaning.operator, meaning.threshold)
    if meaning.operator == operator and meaning.threshold is not None and close(meaning.threshold, threshold):
        said = fires(operator, threshold)
    return Judged(rule, meaning, said, (*own, *differences(plan, subject, meaning, seen.counters)))


def differences(plan: Any, subject: str, meaning: Meaning, counters: set[str]) -> Iterator[str]:
    """How a comparison differs from the plan, operator and number aside."""
    wanted = plan.alerts[subject]
    absent = [name for name in wanted.metrics if name not in meaning.metrics]
    if absent:
        yield f"{meaning.text} does not read {', '.join(absent)}"
    quantile = plan.quantile(subject)
    if quantile is not None and not any(close(one, quantile) for one in meaning.quantiles):
        has = ", ".join(f"{one:g}" for one in meaning.quantiles) or "none"
        yield f"its quantile is {has}, planned is {quantile:g}"
    if wanted.ratio is not None and meaning.ratio != wanted.ratio:
        yield f"{meaning.value} is {'a' if meaning.ratio else 'no'} ratio, planned is the contrary"
    raw = [name for name in meaning.instant if name in counters]
    if raw:
        yield f"it compares {', '.join(raw)}, which only grows, without a rate"
    if meaning.lookback_s > wanted.lookback_s:
        yield f"it looks back {meaning.lookback_s:g} s, allowed are {wanted.lookback_s:g} s"
    if meaning.pinned:
        yield f"it looks at a fixed moment: {meaning.text}"
    if meaning.returns_bool:
        yield f"with bool it fires always: {meaning.text}"
    if meaning.narrowed != wanted.condition:
        yield f"its further condition is {meaning.narrowed or 'none'}, planned is {wanted.condition or 'none'}"


def fires(operator: str, threshold: float | None) -> str:
    """When a rule fires, in words."""
    if not operator:
        return "whenever the series exist"
    return f"{operator} {'no constant number' if threshold is None else f'{threshold:.12g}'}"


def close(one: float, other: float) -> bool:
    """Whether two numbers mean the same."""
    return abs(one - other) <= CLOSE * max(abs(one), abs(other))


def measure_targets(target: Target, measure: Measure, seen: Seen) -> None:
    """Every target of the planned jobs is up, and was asked a moment ago."""
    plan = target.settings("monitoring")
    source = target.source("monitoring.jobs")
    for job, wanted in plan.jobs.items():
        there = [one for one in seen.targets if one.job == job]
        measure(f"targets of job {job}", len(there), at_least(wanted, source))
        down = [f"{one.instance} is {one.health}{f': {one.error}' if one.error else ''}" for one in there]
        down = [said for one, said in zip(there, down, strict=True) if one.health != "up"]
        measure(f"targets of job {job} that are not up", down, empty(source), n=max(1, len(there)))
        if there:
            old = [
                f"{one.instance} {age(one.scraped_at, seen.now)}"
                for one in there
                if one.scraped_at is None or seen.now - one.scraped_at > max(2 * one.interval_s, LATE_S)
            ]
            measure(f"targets of job {job} not asked for long", old, empty(FRESH), n=len(there))


def measure_evaluation(target: Target, measure: Measure, seen: Seen, subject: str) -> Judged | None:
    """The rule of one subject is there, and was evaluated a moment ago; returns it."""
    plan = target.settings("monitoring")
    wanted = plan.alerts[subject]
    source = target.source(f"monitoring.alerts.{subject}")
    judged = best(plan, subject, seen)
    if judged is None:
        there = ", ".join(sorted({rule.name for rule in seen.rules})) or "none"
        with_labels = f" with {wanted.labels}" if wanted.labels else ""
        measure(
            f"{wanted.name} is loaded", f"no rule of that name{with_labels}; there are: {there}", is_true(source)
        )
        return None
    rule = judged.rule
    ago = "never" if rule.evaluated_at is None else max(0.0, round(seen.now - rule.evaluated_at, 3))
    recent = at_most(max(2 * rule.interval_s, LATE_S), FRESH)
    measure(f"{wanted.name} was evaluated ago", ago, recent, unit="s")
    return judged


def measure_meaning(target: Target, measure: Measure, seen: Seen, subject: str, judged: Judged) -> None:
    """The rule of one subject means what the plan says, and there is something that it speaks of."""
    plan = target.settings("monitoring")
    wanted = plan.alerts[subject]
    key = f"monitoring.alerts.{subject}"
    operator, threshold, source = plan.bound(subject)
    measure(f"{wanted.name} fires when {subject}", judged.fires, equals(fires(operator, threshold), source))
    otherwise = [*judged.otherwise, *overlooked(seen, subject)]
    measure(f"{wanted.name} differs otherwise", otherwise, empty(target.source(key)))
    waits = "launch.toml" if "for_s" in wanted.model_fields_set else "default"
    measure(f"{wanted.name} waits", judged.rule.for_s, at_most(wanted.for_s, f"{waits}: {key}.for_s"), unit="s")
    there = at_least(
        wanted.series, f"launch.toml: {key}.series" if wanted.series != 1 else f"default: {key}.series"
    )
    measure(f"{wanted.name} has series to look at", len(seen.values.get(subject, ())), there)


def measure_firing(
    target: Target, measure: Measure, seen: Seen | None, others: Sequence[Mapping[str, str]] = ()
) -> None:
    """No alert of this target fires, but for those that the plan allows.

    Args:
        target: whose alerts.
        measure: the gate's fixture.
        seen: what Prometheus shows.
        others: labels of alerts that Alertmanager has.
    """
    plan = target.settings("monitoring")
    allowed = {one.name for one in plan.allow_firing}
    firing = [one.labels for one in seen.alerts if one.state == "firing"] if seen else []
    names = {
        one.get("alertname", "without a name"): where(one)
        for one in [*others, *firing]
        if plan.only.items() <= dict(one).items()
    }
    bad = [f"{name}{at}" for name, at in sorted(names.items()) if name not in allowed and not name.startswith(OWN)]
    measure("alerts that fire now", bad, empty(target.source("monitoring.allow_firing")))


def where(labels: Mapping[str, str]) -> str:
    """The instance of an alert, in words."""
    return f" at {labels['instance']}" if labels.get("instance") else ""


def age(moment: float | None, now: float) -> str:
    """How long ago something was, in words."""
    return "never" if moment is None else f"{now - moment:.0f} s ago"


def total(plan: Any, metric: str) -> str:
    """A query for the sum of a counter over the planned jobs."""
    if "{" in metric:
        return f"sum({metric})"
    jobs = json.dumps("|".join(re.escape(job) for job in plan.jobs))
    return f"sum({metric}{{job=~{jobs}}})"
