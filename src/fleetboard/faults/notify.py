"""Faults of messages and documentation."""

from __future__ import annotations

from fleetboard.faults.fault import Fault

_POINTED_TO = ("docs.links", "announce.drafts", "announce.go-live")
_CHAT = ("announce.preparation", "announce.go-live", "announce.rollback")

FAULTS: tuple[Fault, ...] = (
    Fault("mail-refused", ("announce.go-live",), "the mail server answers 550 to every recipient"),
    Fault("mail-lost", ("announce.go-live",), "the mail server takes messages and loses them"),
    Fault("webhook-500", _CHAT, "the chat answers HTTP 500 to every message"),
    Fault("message-lost", _CHAT, "the chat answers 200 and loses the message"),
    Fault("message-doubled", _CHAT, "the chat shows every message twice"),
    Fault(
        "doc-link-404",
        _POINTED_TO,
        "the user guide, to which the announcement points, is not there",
    ),
    Fault(
        "doc-link-not-found-200",
        _POINTED_TO,
        "in place of the user guide there is a page that says 'not found', with HTTP 200",
    ),
    Fault("doc-anchor-missing", _POINTED_TO, "the support page has lost the section that links point to"),
)
