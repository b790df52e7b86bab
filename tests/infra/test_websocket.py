"""The live channel: opened as the standard asks, messages both ways, held, closed and opened again."""

from __future__ import annotations

import re
import secrets

import pytest
from tests.infra.answers import reachable
from tests.infra.channel import auth, opened

from gonogo import EvidenceKeeper, Measure, Target, TargetError, at_least, at_most, empty, is_true, one_of
from gonogo.probes.leaks import find, redacted
from gonogo.probes.websocket import LateError, Listener, RefusedError

CLOSED = "RFC 6455, 5.5.1: a close frame is answered with one"
PONG = "RFC 6455, 5.5.2 and 5.5.3: a ping is answered with its own payload"
NO_LEAKS = "playbook: no secret and no stack trace leaves the service; http.allowed_in_bodies"
PING_BYTES = 16
MOST_CHARACTERS = 2_000
"""Of each message that is kept as evidence."""


@pytest.mark.gate("websocket.live")
def test_live(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The live channel carries messages both ways, stays open, ends in order and comes back.

    That it opens proves little: a proxy can open it for a service that is gone. The first connection meets
    the server cold, as the first user does.
    """
    socket = target.settings("websocket")
    said: list[str] = []
    with opened(target, socket.path) as listener:
        try:
            said.append(greeted(target, listener, "first connection", measure))
            said += exchanged(target, listener, measure)
            pinged(target, listener, measure)
            said += held_open(target, listener, measure)
            measure("our close is answered", listener.close(), is_true(CLOSED))
        except TargetError as error:
            measure("the conversation goes through", str(error), is_true(target.source("websocket.path")))
    evidence.text("messages.txt", redacted("\n\n".join(message[:MOST_CHARACTERS] for message in said)))
    found = {str(leak.kind): None for message in said for leak in find(message)}
    measure("secrets and traces in messages", list(found), empty(NO_LEAKS), n=len(said))
    measure(f"{socket.wrong_path} is refused", refused(target), is_true(target.source("websocket.wrong_path")))
    opens(target, "opened again", None, measure)
    for ip in reachable(target, measure):
        if ip != target.addresses[0]:
            opens(target, ip, ip, measure)


def opens(target: Target, which: str, ip: str | None, measure: Measure) -> None:
    """Open the channel once more, perhaps at another address, up to its first message."""
    socket = target.settings("websocket")
    try:
        with opened(target, socket.path, ip) as listener:
            greeted(target, listener, which, measure)
    except TargetError as error:
        measure(which, str(error), is_true(target.source("websocket.path")))


def greeted(target: Target, listener: Listener, which: str, measure: Measure) -> str:
    """Say who we are, wait for the first message, measure how it went; returns the message."""
    socket = target.settings("websocket")
    in_time = at_most(socket.timeout_s, target.source("websocket.timeout_s"))
    measure(f"{which}: handshake", round(listener.handshake_s, 4), in_time, unit="s")
    if socket.subprotocols:
        offered = one_of(list(socket.subprotocols), target.source("websocket.subprotocols"))
        measure(f"{which}: subprotocol", listener.subprotocol or "none", offered)
    word = auth(target)
    if word is not None:
        listener.send(word, socket.timeout_s)
    facts = listener.first(socket.first_message_s)
    soon = at_most(socket.first_message_s, target.source("websocket.first_message_s"))
    measure(f"{which}: first message", round(facts.first_message_s, 4), soon, unit="s")
    return facts.first_message


def exchanged(target: Target, listener: Listener, measure: Measure) -> list[str]:
    """Go through the script of the plan; returns what came back.

    Raises:
        TargetError: the connection ended.
    """
    socket = target.settings("websocket")
    source = target.source("websocket.exchange")
    answers = []
    for number, turn in enumerate(socket.exchange, 1):
        name = f"exchange {number}: an answer that matches {turn.expect}"
        try:
            answers.append(listener.ask(target.expand(turn.send), turn.expect, socket.first_message_s))
        except TargetError as error:
            measure(name, str(error), is_true(source))
            if not listener.is_open:
                raise
        else:
            measure(name, True, is_true(source))
    return answers


def pinged(target: Target, listener: Listener, measure: Measure) -> None:
    """Send a ping with a payload that nobody can guess."""
    socket = target.settings("websocket")
    took_s = listener.ping(secrets.token_bytes(PING_BYTES), socket.timeout_s)
    measure("pong with the same payload after", round(took_s, 4), at_most(socket.timeout_s, PONG), unit="s")


def held_open(target: Target, listener: Listener, measure: Measure) -> list[str]:
    """Keep the connection open for as long as the plan says, and judge what was pushed; returns that."""
    socket = target.settings("websocket")
    if socket.provoke is not None:
        done = target.run(socket.provoke, timeout_s=socket.timeout_s)
        provoked = done.status == 0 or f"status {done.status}: {done.output[-200:]}"
        measure("the command that provokes a push", provoked, is_true(target.source("websocket.provoke")))
    facts = listener.hold(socket.hold_s)
    stays = facts.ended == "" or f"after {facts.lasted_s:.1f} s: {facts.ended}"
    measure(f"stays open for {socket.hold_s:g} s", stays, is_true(target.source("websocket.hold_s")))
    enough = at_least(socket.min_messages, target.source("websocket.min_messages"))
    measure("messages pushed meanwhile", len(facts.messages), enough)
    if socket.push is not None:
        fitting = sum(re.search(socket.push, message) is not None for message in facts.messages)
        measure(f"of these match {socket.push}", fitting, at_least(1, target.source("websocket.push")))
    return list(facts.messages)


def refused(target: Target) -> bool | str:
    """Whether a channel that is not there is refused; else the sentence that says what happened.

    An answer that is no 101, and a connection that is cut, are refusals; silence is none.
    """
    wrong = target.settings("websocket").wrong_path
    try:
        with opened(target, wrong):
            return f"{target.url(wrong)} was opened"
    except RefusedError as error:
        return error.status < 500 or str(error)
    except LateError as error:
        return str(error)
    except TargetError:
        return True
