"""What a target's Prometheus shows of the plan."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.infra.alert_rules import FRESH, LATE_S, Judged, Seen, best, sent_labels

from gonogo import Measure, Target, TargetError, at_least, empty
from gonogo.probes.alerting import Alertmanager
from gonogo.probes.monitoring import Prometheus, query_for, reads, selector

POLL_S = 0.25
ANSWERS = "nobody is warned by a monitoring that can't be asked"
OWN = "GonogoSynthetic"
"""Beginning of the names of our own alerts."""


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


def settled(target: Target, prometheus: Prometheus) -> Seen:
    """What Prometheus shows, once everything planned was looked at at least once, or ``settle_s`` is over.

    Only what is still to come is waited for; what is down, failing or firing is so at once.

    Args:
        target: whose monitoring it is.
        prometheus: a client for it.

    Raises:
        TargetError: Prometheus does not answer.
    """
    plan = target.settings("monitoring")
    ends = time.monotonic() + plan.settle_s
    while True:
        seen = look(target, prometheus)
        if not _to_come(plan, seen) or time.monotonic() >= ends:
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
        kinds=prometheus.kinds(),
        sending=prometheus.sending(),
        now=prometheus.now(),  # last, so that nothing it is compared with is newer
    )
    for subject in plan.alerts:
        judged = best(plan, subject, seen)
        if judged is not None and judged.meaning is not None:
            with contextlib.suppress(TargetError):  # no value then, which is measured
                seen.values[subject] = prometheus.query(judged.meaning.value)
                look_at_series(plan, subject, seen, judged, prometheus)
    return seen


def look_at_series(plan: Any, subject: str, seen: Seen, judged: Judged, prometheus: Prometheus) -> None:
    """Which series of the planned names an alert reads, and which it should.

    Raises:
        TargetError: Prometheus does not answer.
    """
    wanted = plan.alerts[subject]
    watched, unseen = set[tuple[str, str]](), list[str]()
    for metric in wanted.metrics:
        for query in reads(judged.meaning, metric) if judged.meaning else ():
            found = places(prometheus, query)
            watched |= found or set()
            unseen += [query] if found is None else []
    seen.watched[subject], seen.unseen[subject] = watched, unseen
    if wanted.among:
        ours = [places(prometheus, query_for(selector(metric), **wanted.among)) for metric in wanted.metrics]
        seen.expected[subject] = set().union(*(found or set() for found in ours))


def places(prometheus: Prometheus, query: str) -> set[tuple[str, str]] | None:
    """Job and instance of some series; empty where they name none, ``None`` where there are no series."""
    found = [sample.labels for sample in prometheus.query(f"group by (job, instance) ({query})")]
    return (
        {(one["job"], one["instance"]) for one in found if one.get("job") and one.get("instance")}
        if found
        else None
    )


def _to_come(plan: Any, seen: Seen) -> bool:
    counts = [sum(one.job == job for one in seen.targets) >= wanted for job, wanted in plan.jobs.items()]
    asked = all(one.health != "unknown" for one in seen.targets)
    names = {alert.name for alert in plan.alerts.values()}
    evaluated = all(rule.evaluated_at is not None for rule in seen.rules if rule.name in names)
    # A rate has a value from the second scrape on.
    valued = all(len(found) >= plan.alerts[subject].series for subject, found in seen.values.items())
    return not (all(counts) and asked and evaluated and valued and seen.alertmanagers)


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
    firing = (
        [{**seen.sending.external, **one.labels} for one in seen.alerts if one.state == "firing"] if seen else []
    )
    names = {one.get("alertname", "without a name"): where(one) for one in [*others, *firing] if ours(plan, one)}
    bad = [f"{name}{at}" for name, at in sorted(names.items()) if name not in allowed and not name.startswith(OWN)]
    measure("alerts that fire now", bad, empty(target.source("monitoring.allow_firing")))
    if plan.only and seen:
        sets = {alert.name: sent_labels(plan, subject, seen) for subject, alert in plan.alerts.items()}
        left_out = [name for name, found in sets.items() if not any(one and ours(plan, one) for one in found)]
        if not any(one and plan.only.items() <= one.items() for found in sets.values() for one in found):
            left_out = list(sets)  # nothing has such labels, so alerts without a plan would all be overlooked
        measure("planned alerts that would not count as ours", left_out, empty(target.source("monitoring.only")))


def ours(plan: Any, labels: Mapping[str, str]) -> bool:
    """Whether an alert concerns this target; a planned one may lack labels that its expression does not keep."""
    if labels.get("alertname") in {alert.name for alert in plan.alerts.values()}:
        return all(labels.get(name, value) == value for name, value in plan.only.items())
    return all(labels.get(name) == value for name, value in plan.only.items())


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
