"""Monitoring: somebody is told when a threshold of the playbook is crossed, and nobody is being told now."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.infra import alert_rules, alerts
from tests.infra.alert_rules import Seen, sent_labels
from tests.infra.alerts import ANSWERS, OWN, POLL_S

from gonogo import (
    EvidenceKeeper,
    Measure,
    Target,
    TargetError,
    ToolError,
    at_least,
    at_most,
    contains_all,
    empty,
    equals,
    is_true,
)
from gonogo.probes.alerting import Alertmanager, Routing, RoutingError, await_arrival
from gonogo.probes.monitoring import Prometheus, place

LASTS_S = 300.0
"""Our own alert ends by itself after so long, should we not live to end it."""
SUMMARY = "A test of the launch gates. Nothing is wrong, nothing needs to be done."
SEND_S = 30.0
"""Longest time for sending requests."""
TOLD = "an alert must reach a receiver that tells somebody"


Labels = Mapping[str, list[dict[str, str] | None]]
"""With what each alert would come to Alertmanager, by its name: one set for each series, ``None`` if dropped."""


@dataclass(frozen=True)
class Ways:
    """The labels that each alert would have, and the routes that they take."""

    routing: Routing
    labels: Labels


@pytest.mark.gate("monitoring.alerts")
def test_alerts(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """Each threshold has its alert, evaluated on figures that move, and the way to somebody is open."""
    plan = target.settings("monitoring")
    armed = plan.synthetic and target.armed("alerts")
    with alerts.clients(target) as (prometheus, alertmanager):
        seen = asked(measure, "Prometheus", lambda: alerts.settled(target, prometheus))
        if seen:
            judge_rules(target, measure, evidence, seen)
        labels = alert_labels(plan, seen)
        routing = asked(measure, "Alertmanager", alertmanager.routing)
        with own_alerts(measure, alertmanager, routing if armed else None, labels) as fired:
            judge_arrival(target, measure, evidence, fired)  # first: our own waiting must not count as its delay
            if seen:
                judge_movement(target, measure, prometheus)
                alerts.measure_firing(target, measure, seen)
                judge_link(target, measure, seen)
            if routing:
                judge_routes(target, measure, evidence, alertmanager, Ways(routing, labels))
    if plan.synthetic and not armed:
        raise ToolError(
            f"monitoring.alerts sends an alert of its own to the receivers of the target {target.name} (kind "
            f"{target.kind}), so it runs only when that is armed: give --gonogo-arm alerts, or write "
            f"synthetic = false in [targets.{target.name}.monitoring]"
        )


@pytest.mark.gate("monitoring.quiet")
def test_quiet(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """No alert fires, and that means something: the rules are evaluated, and all targets are up."""
    plan = target.settings("monitoring")
    with alerts.clients(target) as (prometheus, alertmanager):
        seen = asked(measure, "Prometheus", lambda: alerts.settled(target, prometheus))
        active = asked(measure, "Alertmanager", alertmanager.active)
    if seen:
        alerts.measure_targets(target, measure, seen)
        for subject in plan.alerts:
            if alert_rules.measure_evaluation(target, measure, seen, subject) is not None:
                alert_rules.measure_series(target, measure, seen, subject)
        evidence.json("alerts.json", [asdict(one) for one in seen.alerts])
    alerts.measure_firing(target, measure, seen, active or ())
    evidence.json("alertmanager-alerts.json", active)


def asked(measure: Measure, name: str, ask: Any) -> Any:
    """What a server answers; ``None``, measured as a failure, if it does not: it must not hide the others."""
    try:
        return ask()
    except TargetError as error:
        measure(f"{name} answers", str(error), is_true(ANSWERS))
        return None


def judge_rules(target: Target, measure: Measure, evidence: EvidenceKeeper, seen: Seen) -> None:
    """Targets and rules."""
    plan = target.settings("monitoring")
    evidence.json("targets.json", [asdict(one) for one in seen.targets])
    evidence.json("rules.json", [asdict(rule) for rule in seen.rules])
    evidence.json(
        "values.json", {subject: [asdict(one) for one in found] for subject, found in seen.values.items()}
    )
    alerts.measure_targets(target, measure, seen)
    for subject in plan.alerts:
        one = alert_rules.measure_evaluation(target, measure, seen, subject)
        if one is not None:
            alert_rules.measure_meaning(target, measure, seen, subject, one)


def judge_movement(target: Target, measure: Measure, prometheus: Prometheus) -> None:
    """The counters grow by what is sent to the target."""
    plan = target.settings("monitoring")
    try:
        statuses, grown = movement(target, prometheus)
    except TargetError as error:
        measure(f"figures move when GET {plan.traffic.path} is sent", str(error), is_true(ANSWERS))
        return
    n = len(statuses)
    bad = sum(status != 200 for status in statuses)
    measure("answers other than 200", bad, equals(0, target.source("monitoring.traffic")), n=n)
    moves = at_least(n, target.source("monitoring.moves"))
    for metric, by in grown.items():
        measure(f"{metric} grew with {n} requests by", by, moves, n=n)


def movement(target: Target, prometheus: Prometheus) -> tuple[Sequence[int], dict[str, float | str]]:
    """Send the planned traffic; its statuses, and by how much each counter grew within ``settle_s``.

    Raises:
        TargetError: target or Prometheus did not answer.
    """
    plan = target.settings("monitoring")
    before = {metric: counted(prometheus, plan, metric) for metric in plan.moves}
    ends = time.monotonic() + plan.settle_s
    if None in before.values():  # a counter with labels begins with the first request
        target.http().sample(plan.traffic.path, 1, budget_s=SEND_S)
        while None in before.values() and time.monotonic() < ends:
            time.sleep(POLL_S)
            before = {metric: counted(prometheus, plan, metric) for metric in plan.moves}
    statuses = target.http().sample(plan.traffic.path, plan.traffic.requests, budget_s=SEND_S).statuses
    ends = time.monotonic() + plan.settle_s
    while True:
        grown = {metric: grew(before[metric], counted(prometheus, plan, metric)) for metric in plan.moves}
        still = [by for by in grown.values() if isinstance(by, str) or by < len(statuses)]
        if not still or time.monotonic() >= ends:
            return statuses, grown
        time.sleep(POLL_S)


def counted(prometheus: Prometheus, plan: Any, metric: str) -> float | None:
    """Sum of a counter; ``None`` if it has no series."""
    found = prometheus.query(alerts.total(plan, metric))
    return found[0].value if found else None


def grew(before: float | None, now: float | None) -> float | str:
    """Growth of a counter, or why there is none."""
    return "no such series" if before is None or now is None else now - before


def judge_link(target: Target, measure: Measure, seen: Seen) -> None:
    """Prometheus sends its alerts to the Alertmanager whose routes are judged."""
    plan = target.settings("monitoring")
    known = (
        target.expand(plan.alertmanager_as) if plan.alertmanager_as else placed(target.expand(plan.alertmanager))
    )
    source = target.source("monitoring.alertmanager_as" if plan.alertmanager_as else "monitoring.alertmanager")
    if "*" in known:  # addresses that come and go, of pods for instance
        fitting = [one for one in seen.alertmanagers if fnmatchcase(one, known)]
        name = f"Alertmanagers like {known} among {', '.join(seen.alertmanagers) or 'none'} that Prometheus tells"
        measure(name, len(fitting), at_least(1, source))
        return
    measure("Alertmanagers that Prometheus tells", seen.alertmanagers, contains_all([known], source))


def placed(url: str) -> str:
    """Host, port and path of an address."""
    return place(url) + urlsplit(url).path.rstrip("/")


def alert_labels(plan: Any, seen: Seen | None) -> Labels:
    """With what each planned alert would come to Alertmanager."""
    found: dict[str, list[dict[str, str] | None]] = {}
    for subject, wanted in plan.alerts.items():
        found.setdefault(wanted.name, []).extend(sent_labels(plan, subject, seen))
    return found


def judge_routes(
    target: Target,
    measure: Measure,
    evidence: EvidenceKeeper,
    alertmanager: Alertmanager,
    ways: Ways,
) -> None:
    """Each alert reaches a receiver that tells somebody, and nothing swallows it on the way."""
    plan = target.settings("monitoring")
    silences = asked(measure, "Alertmanager's list of silences", alertmanager.silences) or []
    active = asked(measure, "Alertmanager's list of alerts", alertmanager.active) or []
    shown = {}
    for name, all_sets in ways.labels.items():
        sets = [each for each in all_sets if each is not None]
        try:
            reached = list(dict.fromkeys(one for each in sets for one in ways.routing.reached(each)))
            inhibited = sorted({one for each in sets for one in ways.routing.inhibitors(each, active)})
            silent = [one for one in silences if any(one.holds(each) for each in sets)]
        except RoutingError as error:
            measure(f"{name} is routed", f"Alertmanager's configuration: {error}", is_true(TOLD))
            continue
        told_by = {one.receiver: ways.routing.ways(one.receiver) for one in reached}
        shown[name] = told_by
        swallowed = [f"receiver {receiver} tells nobody" for receiver, how in told_by.items() if not how]
        swallowed += ["dropped by Prometheus' alert_relabel_configs"] * (len(sets) < len(all_sets))
        swallowed += [
            f"receiver {one.receiver} is quiet at {', '.join(one.muted_by)}" for one in reached if one.muted_by
        ]
        swallowed += [f"silenced until {one.ends} by {one.by}: {one.comment}" for one in silent]
        swallowed += [f"inhibited by {one}" for one in inhibited]
        unplanned = [one for one in told_by if plan.receivers and one not in plan.receivers]
        swallowed += [f"goes to receiver {one}, which is not planned" for one in unplanned]
        measure(f"{name} is swallowed", swallowed, empty(TOLD), n=len(all_sets))
    evidence.json("routes.json", shown)


@contextlib.contextmanager
def own_alerts(
    measure: Measure,
    alertmanager: Alertmanager,
    routing: Routing | None,
    labels: Labels,
) -> Iterator[dict[str, float]]:
    """Fire alerts under names of their own, one for each way that the planned ones take; end them at the end.

    Yields:
        when each was fired, on the monotonic clock, by its name; none without a routing.
    """
    fired: dict[str, tuple[dict[str, str], float]] = {}
    for alike in ways(routing, labels) if routing else ():
        # What nobody has seen makes a group of its own, so that no interval between two messages delays it.
        name = f"{OWN}{secrets.token_hex(4)}"
        own = routing.apart({**alike, "alertname": name}, name) if routing else {}
        fired_at = time.monotonic()
        if asked(
            measure, f"Alertmanager takes an alert like {alike['alertname']}, and", fire(alertmanager, own, LASTS_S)
        ):
            fired[name] = own, fired_at
    try:
        yield {name: fired_at for name, (_, fired_at) in fired.items()}
    finally:
        for own, _ in fired.values():
            with contextlib.suppress(TargetError):  # then it ends by itself
                fire(alertmanager, own, 0.0)()


def fire(alertmanager: Alertmanager, labels: Mapping[str, str], lasts_s: float) -> Callable[[], bool]:
    """What hands an alert in, and then returns True."""

    def done() -> bool:
        alertmanager.fire(labels, SUMMARY, lasts_s)
        return True

    return done


def ways(routing: Routing, labels: Labels) -> list[dict[str, str]]:
    """Labels of one alert for each set of receivers that tell somebody."""
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for sets in labels.values():
        for one in filter(None, sets):
            with contextlib.suppress(RoutingError):  # measured where the routes are judged
                reached = tuple(each.receiver for each in routing.reached(one))
                if any(routing.ways(receiver) for receiver in reached):
                    found.setdefault(reached, one)
    return list(found.values())


def judge_arrival(target: Target, measure: Measure, evidence: EvidenceKeeper, fired: Mapping[str, float]) -> None:
    """Our own alerts are seen where alerts arrive, in time."""
    plan = target.settings("monitoring")
    within = at_most(plan.arrives_s, target.source("monitoring.arrives_s"))
    seen = {}
    for name, fired_at in fired.items():
        try:
            arrival = await_arrival(
                target.expand(plan.received),
                name,
                fired_at,
                plan.arrives_s,
                ca_file=target.ca_file,
                connect_to=target.connect_to,
                timeout_s=plan.timeout_s,
            )
        except TargetError as error:
            measure(f"{name}, an alert of our own, arrived after", str(error), within, unit="s")
            continue
        after = "not seen at the receiver" if arrival.after_s is None else round(arrival.after_s, 3)
        measure(f"{name}, an alert of our own, arrived after", after, within, unit="s", n=arrival.looks)
        seen[name] = asdict(arrival)
    evidence.json("arrival.json", seen)
