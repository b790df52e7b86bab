"""What the gates about messages share: sending each message once, and asking the receivers what arrived."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tests.infra.announcing import FILLED_IN, address

from gonogo import EvidenceKeeper, Letter, Measure, Outbox, Target, TargetError, ToolError, empty, equals, is_true
from gonogo.probes.http import HttpProbe
from gonogo.probes.notify import Draft, copies, send, usable

TAKEN = "launch.toml: notify.channels"
ARRIVES = "launch.toml: notify.receipts; a message is sent once in a launch"
GO = "playbook: we launch when every phase is GO"
ASK_EVERY_S = 0.1


def announce(
    target: Target,
    measure: Measure,
    evidence: EvidenceKeeper,
    outbox: Outbox,
    found: Sequence[Draft],
    *,
    fit: bool,
    failed: Sequence[str] = (),
) -> None:
    """Send what was not sent yet, if it is fit, nothing ``failed`` and the launch is armed, and prove all of it.

    Raises:
        ToolError: nothing was sent, since the launch is not armed or a channel can't be used; or one may
            have been sent, and a person must look.
        TargetError: nothing was sent, since a receiver does not say what it has.
    """
    with HttpProbe(target.base_url, timeout_s=target.settings("notify").link_s) as receivers:
        sending = Sending(target, measure, outbox, receivers)
        errands = [sending.errand(draft, channel) for draft in found for channel in draft.to]
        titles = [errand.title for errand in errands if not errand.known]
        if titles and failed:
            measure(f"failed gates, so that these were held back: {', '.join(titles)}", list(failed), empty(GO))
            return
        if titles and not fit:
            measure("messages held back, as they are not fit to be sent", titles, empty(FILLED_IN))
            return
        sending.prepare([errand for errand in errands if not errand.known])
        for errand in errands:
            if errand.known:
                sending.earlier(errand)
            else:
                sending.deliver(errand)
        evidence.json("sent.json", sending.prove_arrival(errands))
    if sending.doubts:
        raise ToolError("; ".join(sending.doubts))


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


@dataclass
class Sending:
    """One gate's messages on their way."""

    target: Target
    measure: Measure
    outbox: Outbox
    receivers: HttpProbe
    doubts: list[str] = field(default_factory=list)
    """What a person must look into."""
    _urls: dict[str, str] = field(default_factory=dict)

    def errand(self, draft: Draft, channel: str) -> Errand:
        """One message to one channel, with what the outbox knows of it."""
        target = self.target
        # A rehearsal's receivers are new in each run, and so is the launch that it plays.
        launch = [target.project, target.version, target.name]
        launch += [self.outbox.run] if target.kind == "disposable" else []
        name = self.outbox.name(draft.id, channel, *launch)
        letter = self.outbox.find(name)
        new = Letter(name, draft.id, channel, draft.subject, draft.text, state="", run=self.outbox.run, at="")
        return Errand(draft, channel, letter or new, known=letter is not None)

    def prepare(self, waiting: Sequence[Errand]) -> None:
        """See that everything may and can be sent, before the first message leaves.

        Raises:
            ToolError: it is not armed, or an address is none.
            TargetError: a receiver does not say what it has.
        """
        if waiting:
            self._require_arming(waiting)
        for errand in waiting:
            url = self._urls[errand.channel] = address(self.target, "channels", errand.channel)
            if why := usable(url):
                raise ToolError(
                    f"nothing was sent: launch.toml: notify.channels.{errand.channel} is no address of Apprise: "
                    f"{why}"
                )
            errand.letter = replace(errand.letter, before=self._received(errand) or 0)

    def earlier(self, errand: Errand) -> None:
        """Judge a message that is on record; it is not sent again, whatever the record says."""
        letter = errand.letter
        if not letter.sent and isinstance(shown := self._arrived(errand), int) and shown > 0:
            errand.letter = letter = self.outbox.sent(letter)
        if not letter.sent:
            self.doubts.append(
                f"{errand.title} may have been sent at {letter.at} by run {letter.run}, which did not learn how it "
                f"ended, so it was not sent again: look into the channel; if it is there, let state say sent in "
                f"{self.outbox.path(letter.name)}, and if it is not, remove that file"
            )
            return
        worded = "" if letter.text == errand.draft.text else ", in other words than today's template"
        record = f"the record of run {letter.run}, {letter.at}"
        self.measure(f"{errand.title}: sent earlier{worded}, and not again", letter.state, equals("sent", record))

    def deliver(self, errand: Errand) -> None:
        """Send one message, unless its receiver has it already."""
        notify = self.target.settings("notify")
        if errand.letter.before and self.target.kind != "disposable":
            self.doubts.append(
                f"{errand.title}: the receiver has this message already, though no record of it is in "
                f"{self.outbox.folder}; if a colleague's run sent it, copy the ledger of that run here"
            )
            return
        try:
            errand.letter = self.outbox.claim(errand.letter)
        except ToolError as error:  # another run is faster; the messages before this one are proven all the same
            self.doubts.append(str(error))
            return
        done = send(self._urls[errand.channel], errand.draft.subject, errand.draft.text, notify.send_s)
        told = errand.title if errand.channel in notify.receipts else f"{errand.title} (arrival can't be asked)"
        doubt = "; it may have left all the same" if done.in_doubt else ""
        self.measure(f"{told}: the server takes it", done.accepted or done.reason + doubt, is_true(TAKEN))
        if done.accepted:
            errand.letter = self.outbox.sent(errand.letter)
        elif not done.in_doubt:
            self.outbox.refused(errand.letter)

    def prove_arrival(self, errands: Sequence[Errand]) -> list[dict[str, object]]:
        """Wait until the receivers show what was sent, and count it; returns what became of each message."""
        notify, counts = self.target.settings("notify"), dict[str, int | str]()
        asked = [errand for errand in errands if errand.letter.sent and errand.channel in notify.receipts]
        ends = time.monotonic() + notify.receipt_s
        while True:
            counts |= {errand.title: self._arrived(errand) for errand in asked}
            late = any(count == 0 or isinstance(count, str) for count in counts.values())
            if not late or time.monotonic() >= ends:
                break
            time.sleep(ASK_EVERY_S)
        for errand in asked:
            self.measure(f"{errand.title}: copies that arrived", counts[errand.title], equals(1, ARRIVES))
        return [
            {
                "message": errand.draft.id,
                "channel": errand.channel,
                "state": errand.letter.state or "not sent",
                "at": errand.letter.at,
                "arrived": counts.get(errand.title, "not asked"),
            }
            for errand in errands
        ]

    def _require_arming(self, waiting: Sequence[Errand]) -> None:
        if self.target.armed("announce"):
            return
        way = (
            "go out only when the launch is armed: give --gonogo-arm announce"
            if self.target.kind == "production"
            else "go out for production and disposable targets only; announce.drafts looks the messages over"
        )
        titles = ", ".join(errand.title for errand in waiting)
        raise ToolError(
            f"nothing was sent: messages on behalf of {self.target.name} (kind {self.target.kind}) {way} ({titles})"
        )

    def _arrived(self, errand: Errand) -> int | str:
        try:
            return (self._received(errand) or 0) - errand.letter.before
        except TargetError as error:
            return str(error)

    def _received(self, errand: Errand) -> int | None:
        """How often the receiver shows a message; ``None`` if it can't be asked.

        Raises:
            TargetError: the receiver does not answer with a list.
        """
        if errand.channel not in self.target.settings("notify").receipts:
            return None
        url = address(self.target, "receipts", errand.channel)
        try:
            found = self.receivers.get(url)
            if found.status == 200:
                return copies(found.json(), errand.letter.text)
            why = f"it answered {found.status}"
        except (TargetError, ValueError) as error:
            why = str(error).replace(url, "its address")
        raise TargetError(f"the list of what arrived in {errand.channel} can't be read: {why}")
