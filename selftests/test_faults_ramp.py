"""The ramp on the embedded target: what holds goes on, each fault takes the share back, and production is left alone."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet import Fleet, fleet
from gate_calls import Called, call, closed, kept, target_at  # noqa: F401 - closed is a fixture
from gate_runs import ROOT
from gonogo.model import Outcome
from gonogo.target import Target
from servers import answer, serve

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra import test_ramp as ramp_gates
from tests.infra.shifting import Progress, controller

pytestmark = pytest.mark.slow

GATES = {10: ramp_gates.test_ten_percent, 50: ramp_gates.test_half, 100: ramp_gates.test_everybody}
# Enough to see a fault on a machine that does other things beside; a proof takes what launch.toml has.
QUICK: dict[str, Any] = {
    "rps": 50.0,
    "hold_s": 3.0,
    "look_s": 0.4,
    "settle_s": 1.5,
    "samples": 60,
    "tolerance": 0.15,
    "drain_s": 0.2,
    "steps": [{"share": 10, "proven_error_rate": 0.3}, {"share": 50, "proven_error_rate": 0.05}, {"share": 100}],
}


@pytest.fixture(scope="module")
def up() -> Iterator[Fleet]:
    with fleet("--earlier") as running:
        yield running


def target_of(up: Fleet, folder: Path, held: int = 0, **ramp: Any) -> Target:
    target = kept(target_at(up.info, monitoring=None, ramp={**QUICK, **ramp}))
    target.reports = folder
    for share in (10, 50):
        if share <= held:
            Progress(target).held(share)
    return target


@contextlib.contextmanager
def all_to_the_new_release(target: Target) -> Iterator[None]:
    """Whatever a step did, the next test begins where a deployment ends."""
    try:
        yield
    finally:
        controller(target).set(1.0)


def step(target: Target, share: int) -> Called:
    with all_to_the_new_release(target):
        return call(GATES[share], target)


def rolled_back(called: Called, *names: str, beside: str = "no other") -> None:
    """The share went back, for these reasons, and ``beside`` at most."""
    assert called.outcome is Outcome.FAIL, called.reason
    back = "ROLLBACK of 1.0.0: the share was set back to 0 %, 60 new connections came to the earlier release"
    assert called.reason.startswith(back), called.reason
    bad = [taken.name for taken in called.measurements if taken.ok is False][1:]
    assert [name for name in bad if not any(word in name for word in (*names, beside))] == [], called.bad
    for word in names:
        assert any(word in name for name in bad), (word, bad)


@pytest.mark.alone
def test_a_step_that_holds_passes_and_leaves_its_evidence(up: Fleet, tmp_path: Path) -> None:
    called = step(target_of(up, tmp_path, held=10, slack_ms=100.0), 50)

    assert (called.outcome, called.bad) == (Outcome.PASS, {}), called.reason
    assert called["share of new connections"].actual == pytest.approx(0.5, abs=0.1)
    assert called["live connections lost"].n == called["opened since then"].n == 3
    assert called["pool in use"].n >= 3
    assert len([one for one in called.measurements if "growth of its memory" in one.name]) == 2
    told = json.loads(called.evidence["ramp.json"])
    assert told["new"]["requests"] + told["earlier"]["requests"] == pytest.approx(150, abs=2)
    assert json.loads((tmp_path / "ramp" / "rehearsal.json").read_text())["held"] == [10, 50]


def test_too_few_requests_are_no_pass_and_the_gate_says_how_long_it_takes(up: Fleet, tmp_path: Path) -> None:
    target = target_of(up, tmp_path, held=50, hold_s=2.0)
    called = step(target, 100)

    assert called.outcome is Outcome.INCONCLUSIVE, called.reason
    assert called.reason.startswith("the share stays at 100 %, and this is not proven: error rate")
    assert "s more at this pace" in called.reason
    assert "more samples at 0 hits" in called["error rate"].note
    assert json.loads((tmp_path / "ramp" / "rehearsal.json").read_text())["held"] == [10, 50]


def test_no_step_is_tried_before_the_one_before_it_was_held(up: Fleet, tmp_path: Path) -> None:
    for share, before in ((50, 10), (100, 50)):
        called = call(GATES[share], target_of(up, tmp_path))

        assert called.outcome is Outcome.INCONCLUSIVE
        assert called.reason.startswith(f"not tried: ramp.{before} was not held")
        assert called.measurements == []


def test_on_production_the_users_requests_are_judged_as_haproxy_counts_them(up: Fleet, tmp_path: Path) -> None:
    target = target_of(up, tmp_path, held=10)
    target.kind, target._armed = "production", frozenset({"ramp"})  # type: ignore[assignment]
    called = step(target, 50)

    rate = called["error rate"]
    assert rate.name == "error rate of the new release (users' requests, as HAProxy counts)"
    assert rate.actual == 0
    assert rate.n >= 60  # ours are among them, and so are questions to the statistics


def test_an_error_of_ours_takes_the_share_back_as_well(up: Fleet, tmp_path: Path) -> None:
    target = target_of(up, tmp_path, haproxy={**_haproxy(), "new": ["a", "green"]})
    called = call(GATES[10], target)

    assert called.outcome is Outcome.ERROR
    assert "has no server green" in called.reason
    assert "THE SHARE COULD NOT BE TAKEN BACK, do it by hand" in called.reason


def _haproxy() -> dict[str, Any]:
    return {"api": "$FLEETBOARD_TRAFFIC", "backend": "app", "new": ["a", "b"], "old": ["earlier"]}


# Faults of the new release


@pytest.mark.alone
def test_new_release_slower(tmp_path: Path) -> None:
    with fleet("--earlier", "--fault", "new-release-slower") as up:
        called = step(target_of(up, tmp_path, held=10, rps=80.0, hold_s=4.0, slack_ms=20.0), 50)

        rolled_back(called, "the same against the earlier release's")
        assert 380 < called["p95 of the new release"].actual < 480
        # Nobody goes on from here.
        assert call(GATES[100], target_of(up, tmp_path)).outcome is Outcome.INCONCLUSIVE


@pytest.mark.alone
def test_new_release_errors(up: Fleet, tmp_path: Path) -> None:
    with up.faults("new-release-errors"):
        # At a real rate, or the one in a hundred would hardly come; stopped once it is certain.
        called = step(target_of(up, tmp_path, held=10, rps=120.0, hold_s=8.0), 50)

    # The one in a hundred may be the one that comes while the share is being set: then nothing is held any more.
    switch = "requests lost in the switch"
    lost = [taken for taken in called.measurements if switch in taken.name and taken.ok is False]
    rolled_back(called, *([] if lost else ["the same against what the launch promises"]), beside=switch)
    assert lost or "x HTTP 500" in called["error rate"].name


@pytest.mark.alone
def test_new_release_throttles(up: Fleet, tmp_path: Path) -> None:
    with up.faults("new-release-throttles"):
        called = step(target_of(up, tmp_path, held=10, rps=100.0, hold_s=4.0), 50)

    # One that comes while the share is being set is lost in the switch, and nothing is held any more.
    switch = "requests lost in the switch"
    lost = [taken for taken in called.measurements if switch in taken.name and taken.ok is False]
    rolled_back(called, *([] if lost else ["throttled", "against what the launch promises"]), beside=switch)
    assert lost or re.search(r"throttled \(429, or 503 with Retry-After\): \d+ x HTTP 429", called.reason)
    assert called["error rate of the new release (our own requests)"].actual in (0, None)  # throttled is not broken


@pytest.mark.alone
def test_memory_leak(up: Fleet, tmp_path: Path) -> None:
    with up.faults("memory-leak"):
        called = step(target_of(up, tmp_path, held=10, hold_s=4.0, look_s=0.25), 50)

    rolled_back(called, "growth of its memory")


def test_pool_leak(up: Fleet, tmp_path: Path) -> None:
    with up.faults("pool-leak"):
        begun = time.monotonic()
        called = step(target_of(up, tmp_path, held=10, hold_s=20.0), 50)

    rolled_back(called, "pool in use")
    assert called["pool in use"].actual >= 80
    assert time.monotonic() - begun < 20  # it is certain long before


# Faults of the load balancer


def test_lb_ignores_weight(tmp_path: Path) -> None:
    with fleet("--earlier", "--fault", "lb-ignores-weight") as up:
        called = call(GATES[10], target_of(up, tmp_path))

    assert called.outcome is Outcome.FAIL
    assert called["share of new connections"].actual == 1.0
    # It ignores the way back as well, and the gate says so.
    assert "THE SHARE WAS SET TO 0 %, YET 60 of 60 new connections came to 1.0.0" in called.reason


def test_ws_dropped_at_switch(tmp_path: Path) -> None:
    with fleet("--earlier", "--fault", "ws-dropped-at-switch") as up:
        called = step(target_of(up, tmp_path), 10)

    rolled_back(called, "live connections lost since the switch")
    assert len(called["live connections lost"].actual) == 3


# Who may be led anywhere


@pytest.mark.parametrize(("kind", "way"), [("production", "give --gonogo-arm ramp"), ("staging", "targets only")])
def test_an_unarmed_run_sends_nothing(kind: str, way: str, tmp_path: Path) -> None:
    with serve(answer(b"{}")) as sink:
        info = {"base_url": sink.url, "env": {"FLEETBOARD_TRAFFIC": str(tmp_path / "none.sock")}}
        for share, gate in GATES.items():
            target = target_at(info, ramp=QUICK)
            target.kind = kind  # type: ignore[assignment]
            target.reports = tmp_path
            called = call(gate, target)

            assert called.outcome is Outcome.ERROR, share
            assert way in called.reason
        assert sink.accepted == []
    assert list(tmp_path.iterdir()) == []


def test_a_header_that_tells_no_release_is_our_own_fault_and_nobody_is_moved(up: Fleet, tmp_path: Path) -> None:
    called = call(GATES[10], target_of(up, tmp_path, release_header="X-Nothing"))

    assert called.outcome is Outcome.ERROR
    assert "name the header that does as ramp.release_header" in called.reason
    assert called.measurements == []
