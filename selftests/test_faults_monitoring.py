"""Every fault of the monitoring, told by the gates that should tell it, with real Prometheus and Alertmanager."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fleet import Fleet, fleet
from fleetboard.faults import FAULTS
from fleetboard.faults import monitoring as domain
from gate_calls import Called, call, target_at
from gate_runs import ROOT
from gonogo.model import Outcome
from gonogo.probes.monitoring import Prometheus
from gonogo.target import Target
from watched import Watched, watched

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra import test_monitoring as gates

ALERTS, QUIET = "monitoring.alerts", "monitoring.quiet"
GATES: dict[str, Callable[..., None]] = {ALERTS: gates.test_alerts, QUIET: gates.test_quiet}
RULES = (
    "alert-missing",
    "alert-wrong-threshold",
    "alert-too-late",
    "alert-overlooks-instance",
    "alert-never-evaluated",
    "alert-firing",
)
WAY = ("scrape-target-down", "alert-not-routed", "alert-silenced")
"""Faults that spoil lines of different names, so that one Prometheus can have several."""
DELIVERY = ("alert-not-delivered", "alertmanager-unknown")
IN_APPLICATION = ("metrics-frozen",)


def up(prometheus: str) -> bool:
    """Whether everything was scraped twice, and Alertmanager was found."""
    with contextlib.closing(Prometheus(prometheus)) as client:
        targets = client.targets()
        asked = targets and all(one.health != "unknown" for one in targets)
        return bool(asked and client.alertmanagers() and client.query("rate(fleet_http_requests_total[1m])"))


def await_up(*prometheus: str) -> None:
    end = time.monotonic() + 30
    while not all(up(one) for one in prometheus) and time.monotonic() < end:
        time.sleep(0.2)
    assert all(up(one) for one in prometheus)


@pytest.fixture(scope="module")
def spoilt() -> Iterator[dict[str, Any]]:
    """Three monitorings with faults, and the whole target without: its start is time for the others to settle."""
    with contextlib.ExitStack() as closing:
        found: dict[str, Any] = {}
        for faults in (RULES, WAY, DELIVERY):
            found |= dict.fromkeys(faults, closing.enter_context(watched(*faults)))
        found[""] = closing.enter_context(fleet(without="inboxes,cache,source"))
        yield found


@pytest.fixture(scope="module")
def whole(spoilt: dict[str, Any]) -> Fleet:
    """The target without a fault, looked at by its Prometheus."""
    found: Fleet = spoilt[""]
    await_up(found.info["env"]["FLEETBOARD_PROMETHEUS"])
    return found


@pytest.fixture(scope="module")
def called(spoilt: dict[str, Any]) -> dict[tuple[str, str], Called]:
    """What both gates say of each monitoring; one that has several faults is asked once."""
    several = {id(one): one for one in spoilt.values() if one is not spoilt[""]}
    await_up(*(one.info["env"]["FLEETBOARD_PROMETHEUS"] for one in several.values()))
    with ThreadPoolExecutor() as threads:
        asked = {
            (key, gate): threads.submit(ask, GATES[gate], one) for key, one in several.items() for gate in GATES
        }
    answers = {key: one.result() for key, one in asked.items()}
    return {(fault, gate): answers[id(one), gate] for fault, one in spoilt.items() if fault for gate in GATES}


def at(one: Fleet | Watched, **monitoring: Any) -> Target:
    """The rehearsal's target with this monitoring; what is wrong stays so, and is not waited for."""
    return target_at(one.info, monitoring={"settle_s": 2.0, "arrives_s": 1.5, **monitoring})


def ask(run: Callable[..., None], one: Fleet | Watched | Target, **monitoring: Any) -> Called:
    """Call a gate, and close the connections that it leaves to its session."""
    target = one if isinstance(one, Target) else at(one, **monitoring)
    try:
        return call(run, target)
    finally:
        target.close()


SAYS: dict[str, dict[str, tuple[str, str]]] = {
    "alert-missing": {
        ALERTS: ("FleetCpu is loaded", "no rule of that name; there are: FleetDiskFull, FleetErrorRate"),
        QUIET: ("FleetCpu is loaded", "no rule of that name; there are: FleetDiskFull, FleetErrorRate"),
    },
    "alert-wrong-threshold": {ALERTS: ("FleetErrorRate fires when error_rate", "> 0.01")},
    "alert-too-late": {ALERTS: ("FleetSlow waits", "3600")},
    "alert-overlooks-instance": {
        ALERTS: ("FleetPoolFull differs otherwise", "it does not look at 127.0.0.1:"),
        QUIET: ("FleetPoolFull has series to look at", "1"),
    },
    "alert-never-evaluated": {
        ALERTS: ("FleetMemory was evaluated ago", "never"),
        QUIET: ("FleetMemory was evaluated ago", "never"),
    },
    "alert-firing": {
        ALERTS: ("alerts that fire now", "FleetDiskFull"),
        QUIET: ("alerts that fire now", "FleetDiskFull"),
    },
    "scrape-target-down": {
        ALERTS: ("targets of job fleet that are not up", "127.0.0.1:9 is down: "),
        QUIET: ("targets of job fleet that are not up", "127.0.0.1:9 is down: "),
    },
    "alert-not-routed": {ALERTS: ("FleetErrorRate is swallowed", "receiver nobody tells nobody")},
    "alert-silenced": {ALERTS: ("FleetInstanceDown is swallowed", "by somebody: too loud last week")},
    "alertmanager-unknown": {ALERTS: ("Alertmanagers that Prometheus tells", "127.0.0.1:9")},
    "alert-not-delivered": {ALERTS: ("an alert of our own, arrived after", "not seen at the receiver")},
}


def test_every_fault_of_the_monitoring_is_tried_by_name() -> None:
    assert set(SAYS) | set(IN_APPLICATION) == {fault.name for fault in domain.FAULTS}
    assert set(SAYS) == {*RULES, *WAY, *DELIVERY}
    for fault, lines in SAYS.items():
        assert set(lines) == set(FAULTS[fault].gates), fault


@pytest.mark.parametrize("fault", SAYS)
def test_a_fault_is_told_by_its_gates(fault: str, called: dict[tuple[str, str], Called]) -> None:
    for gate, (line, words) in SAYS[fault].items():
        one = called[fault, gate]
        assert one.outcome is Outcome.FAIL, (one.outcome, one.reason)
        measured = one[line]
        assert measured.ok is False
        assert words in str(measured.actual), measured.actual
        assert line in one.reason or len(one.bad) > 3


def test_nothing_else_is_red_beside_the_faults(called: dict[tuple[str, str], Called]) -> None:
    assert set(called["alert-missing", ALERTS].bad) == {
        "FleetCpu is loaded",
        "FleetErrorRate fires when error_rate",
        "FleetSlow waits",
        "FleetPoolFull differs otherwise",
        "FleetPoolFull has series to look at",
        "FleetMemory was evaluated ago",
        "FleetMemory differs otherwise",  # an hour is too long an interval, too
        "alerts that fire now",
    }
    critical = ("FleetErrorRate", "FleetSlow", "FleetPoolFull", "FleetInstanceDown")
    assert set(called["alert-silenced", ALERTS].bad) - {"alerts that fire now"} == {
        "targets of job fleet that are not up",
        *(f"{name} has series to look at" for name in ("FleetPoolFull", "FleetMemory", "FleetCpu")),
        *(f"{name} is swallowed" for name in critical),
    }
    delivery = called["alertmanager-unknown", ALERTS].bad
    assert {name.split(",")[-1].strip() for name in delivery} == {
        "Alertmanagers that Prometheus tells",
        "arrived after",
    }
    # These two do not concern what fires now.
    assert called["alertmanager-unknown", QUIET].outcome is Outcome.PASS, called[
        "alertmanager-unknown", QUIET
    ].reason


def test_figures_that_do_not_move_are_told(whole: Fleet) -> None:
    with whole.faults("metrics-frozen"):
        time.sleep(1.2)  # until the frozen figures are scraped: a restart sets counters back to 0 as well
        one = ask(gates.test_alerts, whole, settle_s=1.5)

    assert one.outcome is Outcome.FAIL
    assert one["fleet_http_requests_total grew with 20 requests by"].actual == 0.0
    assert all("grew" in name for name in one.bad), one.bad


def test_the_healthy_target_passes_each_time_and_quickly(whole: Fleet) -> None:
    for _ in range(2):
        begun = time.monotonic()
        one = ask(gates.test_alerts, whole, settle_s=10.0, arrives_s=10.0)
        assert one.outcome is Outcome.PASS, one.reason
        assert time.monotonic() - begun < 4
        assert {"rules.json", "targets.json", "routes.json", "arrival.json"} <= set(one.evidence)
        assert ask(gates.test_quiet, whole).outcome is Outcome.PASS


def test_a_prometheus_that_is_gone_hides_nothing_else(whole: Fleet) -> None:
    one = ask(gates.test_alerts, whole, prometheus="http://127.0.0.1:9")

    assert one.outcome is Outcome.FAIL
    assert list(one.bad) == ["Prometheus answers"]
    assert "http://127.0.0.1:9/api/v1/targets" in one.reason
    assert one["arrived after"].ok
    assert one["FleetErrorRate is swallowed"].ok


def test_what_is_no_prometheus_is_told(whole: Fleet) -> None:
    url = whole.info["env"]["FLEETBOARD_ALERTMANAGER"]
    one = ask(gates.test_quiet, whole, prometheus=url)

    assert one.outcome is Outcome.FAIL
    assert "is no Prometheus: it answered 404" in one.reason


def test_a_firing_alert_may_be_allowed_with_a_reason(spoilt: dict[str, Any]) -> None:
    allowed = [{"name": "FleetDiskFull", "reason": "known, the disk is replaced on Monday"}]
    one = ask(gates.test_quiet, spoilt["alert-firing"], allow_firing=allowed, settle_s=0.0)

    assert "alerts that fire now" not in one.bad


def test_another_target_needs_to_be_armed(whole: Fleet) -> None:
    class Production(Target):
        def armed(self, what: str) -> bool:
            return what != "alerts"

    target = at(whole)
    target.__class__ = Production
    one = ask(gates.test_alerts, target)

    assert one.outcome is Outcome.ERROR
    assert "give --gonogo-arm alerts" in one.reason
    assert all(taken.ok for taken in one.measurements)
    assert not [taken.name for taken in one.measurements if "of our own" in taken.name]

    target = at(whole, synthetic=False)
    target.__class__ = Production
    assert ask(gates.test_alerts, target).outcome is Outcome.PASS
