"""What the gates about messages share before anything is sent: drafting, and looking over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.infra.visiting import measure_visit, visited

from gonogo import EvidenceKeeper, Measure, Target, ToolError, empty
from gonogo.probes.notify import Draft, fill, gaps, links, scheme_of

ACTIVE = "playbook: documentation links are active"
FILLED_IN = "playbook: a message says where, and has no gaps"


def drafts(target: Target, *occasions: str) -> list[Draft]:
    """The plan's messages for these occasions, filled in.

    Raises:
        ToolError: a variable is not set, or there is no message for one of the occasions.
    """
    notify = target.settings("notify")
    values = _values(target)
    for occasion in occasions:
        if not any(message.when == occasion for message in notify.messages):
            raise ToolError(
                f'launch.toml: targets.{target.name}.notify.messages has none with when = "{occasion}"; add it, or '
                "scope the box out"
            )
    return [
        Draft(one.id, one.to, fill(one.subject, values), fill(one.text, values))
        for one in notify.messages
        if one.when in occasions
    ]


def _values(target: Target) -> dict[str, str]:
    at = f"{target.at:%Y-%m-%d %H:%M} UTC" if target.at else "TBD"
    values = {
        "project": target.project,
        "version": target.version,
        "target": target.name,
        "base_url": target.base_url,
        "at": at,
    }
    own = target.settings("notify").values
    return values | {name: fill(target.expand(text), values) for name, text in own.items()}


def address(target: Target, key: str, name: str) -> str:
    """The address of a channel or a receiver's list; may hold a token, never store it.

    Raises:
        ToolError: it stands in a variable that is not set.
    """
    return target.secret(getattr(target.settings("notify"), key)[name], f"notify.{key}.{name}")


def look_over(target: Target, measure: Measure, evidence: EvidenceKeeper, found: Sequence[Draft]) -> bool:
    """Keep each draft as it would be sent, measure gaps and links; returns whether all are fit to be sent."""
    notify, fit = target.settings("notify"), True
    pointed = {link: draft.id for draft in reversed(found) for link in links(draft.whole)}
    behind, left_out = visited(target, list(pointed), notify.link_s, notify.unasked)
    for draft in found:
        to = ", ".join(f"{name} ({scheme_of(address(target, 'channels', name))})" for name in draft.to)
        subject = f"Subject: {draft.subject}\n" if draft.subject else ""
        evidence.text(f"{draft.id}.txt", f"To: {to}\n{subject}\n{draft.text}\n")
        fit &= measure(f"gaps in {draft.id}", gaps(draft.whole), empty(FILLED_IN)).ok is True
    for link, message in pointed.items():
        if link in behind:
            fit &= measure_visit(measure, f"link in {message}: {link}", behind[link], ACTIVE)
    if left_out:
        evidence.json("links-not-asked.json", left_out)
    return fit


def on_exercise(found: Sequence[Draft], channels: Sequence[str], mark: str) -> list[Draft]:
    """The messages marked as an exercise, to those of their channels that take one."""
    marked = [draft.marked(mark) for draft in found]
    own = [replace(d, id=f"exercise-{d.id}", to=tuple(c for c in d.to if c in channels)) for d in marked]
    return [draft for draft in own if draft.to]
