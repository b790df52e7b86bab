"""How the rules of a target's Prometheus are held against the plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from gonogo import Measure, Target, at_least, at_most, empty, equals, is_true
from gonogo.probes.alerting import relabelled
from gonogo.probes.monitoring import (
    AlertFacts,
    Meaning,
    RuleFacts,
    Sample,
    ScrapeFacts,
    Sending,
    SeriesKinds,
    reads,
)

LATE_S = 10.0
"""A busy moment may delay what happens every few seconds by so much."""
FRESH = "two intervals, and at least 10 s"
CLOSE = 1e-9
"""Relative difference of two numbers that mean the same, 0.1 / 100 and 0.001 for instance."""


@dataclass
class Seen:
    """Prometheus at one moment."""

    now: float
    targets: list[ScrapeFacts]
    rules: list[RuleFacts]
    alerts: list[AlertFacts]
    alertmanagers: list[str]
    kinds: SeriesKinds
    sending: Sending
    values: dict[str, list[Sample]] = field(default_factory=dict)
    """Present values of each planned alert's quantity, by subject."""
    watched: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    """Job and instance of the series that each planned alert reads, by subject."""
    expected: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    """Those that it should read, of subjects whose jobs serve others as well."""
    unseen: dict[str, list[str]] = field(default_factory=dict)
    """What it reads but there are no series of."""


@dataclass(frozen=True)
class Judged:
    """One rule held against one wanted alert."""

    rule: RuleFacts
    meaning: Meaning | None
    fires: str
    """Operator and number, as the rule has it."""
    otherwise: tuple[str, ...]
    """What else is not as planned."""


def overlooked(seen: Seen, subject: str) -> list[str]:
    """What an alert does not look at, though its series come from the planned jobs or others."""
    watched = seen.watched.get(subject, set())
    jobs = {job for job, _ in watched}
    ours = {one.job for one in seen.targets}
    if watched and not jobs & ours:
        return [
            f"it reads series of job {', '.join(sorted(jobs))}, not of {', '.join(sorted(ours)) or 'any target'}"
        ]
    up = {(one.job, one.instance) for one in seen.targets if one.health == "up" and one.job in jobs}
    expected = seen.expected.get(subject, up)
    return [f"it does not look at {instance} of job {job}" for job, instance in sorted(expected - watched)]


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

    def distance(one: Judged) -> int:
        late: bool = one.rule.for_s > wanted.for_s
        return (
            len(one.otherwise) + (one.fires != fires(operator, threshold)) + late + (one.rule.evaluated_at is None)
        )

    return min(found, key=distance, default=None)


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
    return Judged(rule, meaning, said, (*own, *differences(plan, subject, meaning, seen.kinds)))


def differences(plan: Any, subject: str, meaning: Meaning, kinds: SeriesKinds) -> Iterator[str]:
    """How a comparison differs from the plan, operator and number aside."""
    wanted = plan.alerts[subject]
    absent = [metric for metric in wanted.metrics if not reads(meaning, metric)]
    if absent:
        yield f"{meaning.text} does not read {', '.join(absent)}"
    quantile = plan.quantile(subject)
    if quantile is not None and not any(close(one, quantile) for one in meaning.quantiles):
        has = ", ".join(f"{one:g}" for one in meaning.quantiles) or "none"
        yield f"its quantile is {has}, planned is {quantile:g}"
    if wanted.ratio is not None and meaning.ratio != wanted.ratio:
        yield f"{meaning.value} is {'a' if meaning.ratio else 'no'} ratio, planned is the contrary"
    yield from changes(meaning, kinds, wanted.through)
    if meaning.lookback_s > wanted.lookback_s:
        yield f"it looks back {meaning.lookback_s:g} s, allowed are {wanted.lookback_s:g} s"
    if meaning.pinned:
        yield f"it looks at a fixed moment: {meaning.text}"
    if meaning.returns_bool:
        yield f"with bool it fires always: {meaning.text}"
    if meaning.narrowed != wanted.condition:
        yield f"its further condition is {meaning.narrowed or 'none'}, planned is {wanted.condition or 'none'}"


def changes(meaning: Meaning, kinds: SeriesKinds, allowed: Sequence[str]) -> Iterator[str]:
    """What a comparison makes of its series that should not be made of them."""
    raw = [name for name in meaning.instant if kinds.grows(name)]
    if raw:
        yield f"it compares {', '.join(raw)}, which only grows, without a rate"
    steady = [name for name in meaning.rated if kinds.gauge(name)]
    if steady:
        yield f"it takes the rate of {', '.join(steady)}, which is a gauge"
    bent = [one for one in meaning.through if one not in allowed]
    if bent:
        yield f"its quantity goes through {', '.join(bent)}, which the plan's key through does not name"


def fires(operator: str, threshold: float | None) -> str:
    """When a rule fires, in words."""
    if not operator:
        return "whenever the series exist"
    return f"{operator} {'no constant number' if threshold is None else f'{threshold:.12g}'}"


def close(one: float, other: float) -> bool:
    """Whether two numbers mean the same."""
    return abs(one - other) <= CLOSE * max(abs(one), abs(other))


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
    if wanted.series:
        otherwise += [f"there is no {query} now (series = 0 allows that)" for query in seen.unseen.get(subject, ())]
    if wanted.among and not seen.expected.get(subject):
        otherwise += [f"no series have the labels {wanted.among} that the plan's key among names"]
    measure(f"{wanted.name} differs otherwise", otherwise, empty(target.source(key)))
    waits = "launch.toml" if "for_s" in wanted.model_fields_set else "default"
    measure(f"{wanted.name} waits", judged.rule.for_s, at_most(wanted.for_s, f"{waits}: {key}.for_s"), unit="s")
    measure_series(target, measure, seen, subject)


def measure_series(target: Target, measure: Measure, seen: Seen, subject: str) -> None:
    """There is something that the rule of one subject speaks of."""
    wanted = target.settings("monitoring").alerts[subject]
    written = "launch.toml" if "series" in wanted.model_fields_set else "default"
    there = at_least(wanted.series, f"{written}: monitoring.alerts.{subject}.series")
    measure(f"{wanted.name} has series to look at", len(seen.values.get(subject, ())), there)


def sent_labels(plan: Any, subject: str, seen: Seen | None) -> list[dict[str, str] | None]:
    """With what an alert comes to Alertmanager: labels for each series, ``None`` for one that is dropped."""
    wanted = plan.alerts[subject]
    judged = best(plan, subject, seen) if seen else None
    own = {**(judged.rule.labels if judged else wanted.labels), "alertname": wanted.name}
    if seen is None:
        return [own]
    series = [sample.labels for sample in seen.values.get(subject, ())] or [{}]
    plain = [{k: v for k, v in labels.items() if k != "__name__"} for labels in series]
    return [relabelled({**seen.sending.external, **labels, **own}, seen.sending.relabel) for labels in plain]
