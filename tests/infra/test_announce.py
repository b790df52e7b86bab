"""Messages of the launch: drafted without gaps, sent once, and proven to have arrived where that can be asked."""

from __future__ import annotations

import pytest
from tests.infra.announcing import address, drafts, look_over, on_exercise
from tests.infra.sending import announce

from gonogo import EvidenceKeeper, Measure, Outbox, Target, ToolError, contains_all, is_true
from gonogo.probes.notify import kind_of, usable

OCCASIONS = ("preparation", "go-live", "rollback")


@pytest.mark.gate("announce.drafts")
def test_drafts(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """Every message of the launch is written, without gaps, its links and channels are right; nothing is sent."""
    notify = target.settings("notify")
    for name in notify.channels:
        fits = usable(address(target, "channels", name)) or True
        measure(f"channel {name} is an address of Apprise", fits, is_true("launch.toml: notify.channels"))
    found = drafts(target, *OCCASIONS)
    judge_ways(target, measure)
    look_over(target, measure, evidence, found)


@pytest.mark.gate("announce.preparation")
def test_preparation(target: Target, measure: Measure, evidence: EvidenceKeeper, outbox: Outbox) -> None:
    """The launch channel was told, once, that preparation begins."""
    found = drafts(target, "preparation")
    fit = look_over(target, measure, evidence, found)
    announce(target, measure, evidence, outbox, found, fit=fit)


@pytest.mark.gate("announce.go-live")
def test_go_live(target: Target, measure: Measure, evidence: EvidenceKeeper, outbox: Outbox) -> None:
    """The launch was announced, once, in the chat and by mail."""
    found = drafts(target, "go-live")
    fit = judge_ways(target, measure) & look_over(target, measure, evidence, found)
    # What everybody was told can't be taken back. A rehearsal may be tried in any state.
    failed = () if target.kind == "disposable" else outbox.failed
    announce(target, measure, evidence, outbox, found, fit=fit, failed=failed)


@pytest.mark.gate("announce.rollback")
def test_rollback(target: Target, measure: Measure, evidence: EvidenceKeeper, outbox: Outbox) -> None:
    """The messages of a rollback reach their channel, as an exercise and marked as such."""
    notify = target.settings("notify")
    found = drafts(target, "rollback")
    fit = look_over(target, measure, evidence, found)
    marked = on_exercise(found, notify.exercise, notify.exercise_mark)
    if not marked:
        raise ToolError(
            f"launch.toml: targets.{target.name}.notify.exercise names no channel of a rollback's messages; "
            "name one that takes them as an exercise, such as the launch channel, or scope the box out"
        )
    announce(target, measure, evidence, outbox, marked, fit=fit)


def judge_ways(target: Target, measure: Measure) -> bool:
    """Measure on which ways the launch is announced."""
    notify = target.settings("notify")
    told = {name for message in notify.messages if message.when == "go-live" for name in message.to}
    ways = sorted({kind_of(address(target, "channels", name)) for name in told})
    bound = contains_all(notify.go_live, target.source("notify.go_live"))
    return measure("ways on which the launch is announced", ways, bound).ok is True
