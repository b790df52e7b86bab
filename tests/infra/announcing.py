"""What the gates about messages share: drafting, looking over, sending once, and asking the receiver."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tests.infra.visiting import measure_visit, visited

from gonogo import EvidenceKeeper, Letter, Measure, Outbox, Target, TargetError, ToolError, empty, equals, is_true
from gonogo.probes.http import HttpProbe
from gonogo.probes.notify import Delivery, Draft, copies, fill, gaps, links, scheme_of, send, usable

ACTIVE = "playbook: documentation links are active"
FILLED_IN = "playbook: a message says where, and has no gaps"
TAKEN = "launch.toml: notify.channels"
ARRIVES = "launch.toml: notify.receipts"
ONCE = "a message is sent once in a launch"
ASK_EVERY_S = 0.1


@dataclass
class Errand:
    """One message to one channel."""

    draft: Draft
    channel: str
    letter: Letter
    """As it is in the outbox, or as it would be put there."""
    known: bool
    """Whether an earlier attempt is on record."""

    @property
    def title(self) -> str:
        """In words."""
        return f"{self.draft.id} to {self.channel}"


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
    written = getattr(target.settings("notify"), key)[name]
    if isinstance(written, str):
        return target.expand(written)
    value = target.environment.get(written.env)
    if not value:
        raise ToolError(
            f"launch.toml: notify.{key}.{name} is read from {written.env}, which is not set; export that "
            "environment variable"
        )
    return value


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


def announce(
    target: Target, measure: Measure, evidence: EvidenceKeeper, outbox: Outbox, found: Sequence[Draft], *, fit: bool
) -> None:
    """Send what was not sent yet, if it is fit and the launch is armed, and prove all of it.

    Raises:
        ToolError: nothing was sent, since the launch is not armed or a channel can't be used; or one may
            have been sent, and a person must look.
    """
    errands = [_errand(target, outbox, draft, channel) for draft in found for channel in draft.to]
    waiting = [errand for errand in errands if not errand.known]
    if waiting and not fit:
        titles = [errand.title for errand in waiting]
        measure("messages held back, as they are not fit to be sent", titles, empty(FILLED_IN))
        return
    if waiting:
        _require_arming(target, waiting)
    urls = _usable_channels(target, waiting)
    for errand in waiting:
        errand.letter = replace(errand.letter, before=_received(target, errand) or 0)
    doubts = []
    for errand in errands:
        if errand.known:
            doubts += _earlier(target, measure, outbox, errand)
        elif errand.letter.before and target.kind != "disposable":
            doubts.append(
                f"{errand.title}: the receiver has this message already, though no record of it is in "
                f"{outbox.folder}; if a colleague's run sent it, copy the ledger of that run here"
            )
        else:
            doubts += _deliver(target, measure, outbox, errand, urls[errand.channel])
    _prove_arrival(target, measure, evidence, errands)
    if doubts:
        raise ToolError("; ".join(doubts))


def _errand(target: Target, outbox: Outbox, draft: Draft, channel: str) -> Errand:
    # A rehearsal's receivers are new in each run, and so is the launch that it plays.
    launch = [target.project, target.version, target.name]
    launch += [outbox.run] if target.kind == "disposable" else []
    name = outbox.name(draft.id, channel, *launch)
    letter = outbox.find(name)
    new = Letter(name, draft.id, channel, draft.subject, draft.text, state="", run=outbox.run, at="")
    return Errand(draft, channel, letter or new, known=letter is not None)


def _require_arming(target: Target, waiting: Sequence[Errand]) -> None:
    if target.armed("announce"):
        return
    way = (
        "goes out only when the launch is armed: give --gonogo-arm announce"
        if target.kind == "production"
        else "goes out for production and disposable targets only; announce.drafts looks the messages over"
    )
    titles = ", ".join(errand.title for errand in waiting)
    raise ToolError(f"nothing was sent: {titles}, on behalf of {target.name} (kind {target.kind}), {way}")


def _usable_channels(target: Target, waiting: Sequence[Errand]) -> dict[str, str]:
    """Addresses of the channels; all of them are looked at before the first message leaves."""
    urls = {errand.channel: address(target, "channels", errand.channel) for errand in waiting}
    if useless := {name: why for name, url in urls.items() if (why := usable(url))}:
        name, why = next(iter(useless.items()))
        raise ToolError(f"nothing was sent: launch.toml: notify.channels.{name} is no address of Apprise: {why}")
    return urls


def _earlier(target: Target, measure: Measure, outbox: Outbox, errand: Errand) -> list[str]:
    """Judge a message that is on record; returns what a person must look into."""
    letter, path = errand.letter, outbox.path(errand.letter.name)
    if not letter.sent and isinstance(shown := _arrived(target, errand), int) and shown > 0:
        errand.letter = letter = outbox.sent(letter)
    if not letter.sent:
        doubt = (
            f"{errand.title} may have been sent at {letter.at} by run {letter.run}, which did not learn how it "
            f'ended, so it was not sent again: look into the channel, then write "sent" for "{letter.state}" in '
            f"{path} if it is there, or remove that file if it is not"
        )
        return [doubt]
    worded = "" if letter.text == errand.draft.text else ", in other words than today's template"
    record = f"the record of run {letter.run}, {letter.at}"
    measure(f"{errand.title}: sent earlier{worded}, and not again", letter.state, equals("sent", record))
    return []


def _deliver(target: Target, measure: Measure, outbox: Outbox, errand: Errand, url: str) -> list[str]:
    """Send one message; returns what a person must look into."""
    errand.letter = outbox.claim(errand.letter)
    done: Delivery = send(url, errand.draft.subject, errand.draft.text, target.settings("notify").send_s)
    asked = errand.channel in target.settings("notify").receipts
    name = errand.title if asked else f"{errand.title} (whether it arrived can't be asked)"
    doubt = "; it may have left all the same" if done.in_doubt else ""
    measure(f"{name}: the server takes it", done.accepted or done.reason + doubt, is_true(TAKEN))
    if done.accepted:
        errand.letter = outbox.sent(errand.letter)
        return []
    if not done.in_doubt:
        outbox.refused(errand.letter)
    return []


def _prove_arrival(target: Target, measure: Measure, evidence: EvidenceKeeper, errands: Sequence[Errand]) -> None:
    """Wait until the receivers show what was sent, and count it."""
    notify = target.settings("notify")
    open_, counts = [e for e in errands if e.letter.sent and e.channel in notify.receipts], dict[str, int | str]()
    ends = time.monotonic() + notify.receipt_s
    while True:
        for errand in open_:
            counts[errand.title] = _arrived(target, errand)
        late = [errand for errand in open_ if counts[errand.title] == 0]
        if not late or time.monotonic() >= ends:
            break
        time.sleep(ASK_EVERY_S)
    for errand in open_:
        measure(f"{errand.title}: copies that arrived", counts[errand.title], equals(1, f"{ARRIVES}; {ONCE}"))
    letters = [{**_plain(e.letter), "arrived": counts.get(e.title, "can't be asked")} for e in errands]
    evidence.json("sent.json", letters)


def _plain(letter: Letter) -> Mapping[str, str]:
    return {
        "message": letter.message,
        "channel": letter.channel,
        "state": letter.state or "not sent",
        "at": letter.at,
    }


def _arrived(target: Target, errand: Errand) -> int | str:
    try:
        return (_received(target, errand) or 0) - errand.letter.before
    except TargetError as error:
        return str(error)


def _received(target: Target, errand: Errand) -> int | None:
    """How often the receiver shows a message; ``None`` if it can't be asked.

    Raises:
        TargetError: the receiver does not answer with a list.
    """
    notify = target.settings("notify")
    if errand.channel not in notify.receipts:
        return None
    url = address(target, "receipts", errand.channel)
    with HttpProbe(url, timeout_s=notify.link_s) as probe:
        try:
            found = probe.get(url)
            if found.status == 200:
                return copies(found.json(), errand.letter.text)
            why = f"it answered {found.status}"
        except (TargetError, ValueError) as error:
            why = str(error).replace(url, "its address")
    raise TargetError(f"the list of what arrived in {errand.channel} can't be read: {why}")


def on_exercise(found: Sequence[Draft], channels: Sequence[str], mark: str) -> list[Draft]:
    """The messages marked as an exercise, to those of their channels that take one."""
    marked = [draft.marked(mark) for draft in found]
    own = [replace(d, id=f"exercise-{d.id}", to=tuple(c for c in d.to if c in channels)) for d in marked]
    return [draft for draft in own if draft.to]
