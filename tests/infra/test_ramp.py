"""The ramp: users come to the new release step by step, and go back at once if it does not hold."""

from __future__ import annotations

import time

import pytest
from tests.infra import watching
from tests.infra.held import Finding, Held, Watch
from tests.infra.shifting import Progress, controller, own_traffic, require_armed, settled, taken_back

from gonogo import EvidenceKeeper, InconclusiveError, Measure, Target, TargetError, ToolError, empty
from gonogo.probes.ramping import Traffic
from gonogo.probes.traffic import Controller

# Each step has limits of its own, which follow from launch.toml; a general one would cut the playbook's five
# minutes, and leave users where they are.


@pytest.mark.timeout(0)
@pytest.mark.destructive
@pytest.mark.gate("ramp.10")
def test_ten_percent(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """With 10 % of the traffic the new release holds: share, errors, times, live connections, resources, alerts."""
    run_step(target, measure, evidence, 10)


@pytest.mark.timeout(0)
@pytest.mark.destructive
@pytest.mark.gate("ramp.50")
def test_half(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """With half of the traffic the new release holds, beside the earlier one."""
    run_step(target, measure, evidence, 50)


@pytest.mark.timeout(0)
@pytest.mark.destructive
@pytest.mark.gate("ramp.100")
def test_everybody(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """With all of the traffic the new release holds, and the promised error rate is proven."""
    run_step(target, measure, evidence, 100)


def run_step(target: Target, measure: Measure, evidence: EvidenceKeeper, share: int) -> None:
    """Shift traffic, hold it, judge it; take it back if anything is wrong.

    Raises:
        TargetError: it did not hold; the users are back at the earlier release.
        InconclusiveError: too little came to judge by, or the step before was not held; nothing was taken back.
        ToolError: we could not measure; the users are back at the earlier release.
    """
    require_armed(target)
    progress, control = Progress(target), controller(target)
    progress.require_before(share)
    with own_traffic(target) as traffic:
        progress.begin(share)
        try:
            watch = shift(target, control, traffic, share)
            if not watch.misled:  # then there is nothing to hold
                watch.hold()
            findings = watch.findings()
        except BaseException as error:
            progress.taken_back()
            became = taken_back(target, control, traffic)
            if isinstance(error, TargetError):
                raise TargetError(f"ROLLBACK of {target.version}: {error}; {became}") from None
            if isinstance(error, ToolError):
                raise ToolError(f"{error}; {became}") from None
            error.add_note(became)
            raise
        bad = [finding for finding in findings if finding.bad]
        if bad:
            progress.taken_back()
        became = taken_back(target, control, traffic) if bad else ""
        evidence.json("ramp.json", watch.evidence())
    state(target, measure, findings, became)
    if not bad:
        conclude(target, progress, watch, findings, share)


def shift(target: Target, control: Controller, traffic: Traffic, share: int) -> Watch:
    """Set the share and wait until new connections come as planned; the watch of what follows."""
    plan = target.settings("ramp")
    now = time.monotonic()
    held = Held(
        share, switched=now, began=now, ends=now, lasting=frozenset(one.number for one in traffic.sockets())
    )
    control.set(share / 100)
    held.came = settled(target, traffic, share)
    held.began = held.ends = time.monotonic()
    for _ in range(plan.sockets if target.has("websocket") else 0):
        traffic.add_socket()
    return Watch(target, traffic, control, held)


def state(target: Target, measure: Measure, findings: list[Finding], became: str) -> None:
    """State what was found; that the share was taken back comes first, as it is what people must know."""
    if became:
        bad = [one.name for one in findings if one.bad]
        name = f"ROLLBACK of {target.version}: {became}; what does not hold"
        measure(name, bad, empty("playbook: a release that does not hold is taken back"), n=len(findings))
    for one in findings:
        measure(one.name, one.actual, one.bound, unit=one.unit, n=one.n)


def conclude(target: Target, progress: Progress, watch: Watch, findings: list[Finding], share: int) -> None:
    """Remember that the step was held.

    Raises:
        InconclusiveError: something is not proven; the share stays.
    """
    open_ones = [one for one in findings if not one.good]
    if not open_ones:
        progress.held(share)
        watching.mark(target, f"ramp.{share} held")
        return
    missing_s = watch.missing_s()
    more = f"; the error rate needs {missing_s:.0f} s more at this pace" if missing_s else ""
    names = ", ".join(one.name for one in open_ones)
    raise InconclusiveError(f"the share stays at {share} %, and this is not proven: {names}{more}")
