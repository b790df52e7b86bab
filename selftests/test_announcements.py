"""Messages are sent once, when they may be, and never in doubt; the gates themselves, on real receivers."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fleet import edge
from fleetboard import inboxes
from gate_calls import Called, call, target_at
from gate_runs import ROOT
from gonogo.model import Outcome
from gonogo.outbox import Outbox
from gonogo.target import Target
from letter_boxes import letter_boxes, received
from servers import answer, hang_up, serve

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra import test_announce as gates

CHAT = f"${inboxes.CHAT}/launch"
SHOWN = f"${inboxes.CHAT_RECEIVED}/launch"


@pytest.fixture(scope="module")
def at() -> Iterator[dict[str, Any]]:
    """An edge is enough: these messages have no links, but for the tests about links."""
    with edge() as info:
        yield info


@pytest.fixture
def boxes() -> Iterator[dict[str, str]]:
    with letter_boxes() as found:
        yield found


def plan(at: dict[str, Any], boxes: dict[str, str], **changes: Any) -> dict[str, Any]:
    """What ``target_at`` takes: one message for each occasion."""
    text = "We prepare {project} {version}."
    keys = {
        "channels": {"launch": CHAT, "mail": f"${inboxes.MAIL}"},
        "receipts": {"launch": SHOWN, "mail": f"${inboxes.MAIL_RECEIVED}"},
        "messages": [
            {"id": "start", "when": "preparation", "to": ["launch"], "text": text},
            {
                "id": "live",
                "when": "go-live",
                "to": ["launch", "mail"],
                "subject": "Live",
                "text": "{project} is live.",
            },
            {"id": "back", "when": "rollback", "to": ["launch", "mail"], "text": "We go back."},
        ],
        "receipt_s": 0.3,
    }
    return {"info": {**at, "env": {**at.get("env", {}), **boxes}}, "notify": {**keys, **changes}}


def of_kind(target: Target, kind: str, *armed: str) -> Target:
    """The same target, as another kind and armed."""
    target.kind = kind  # type: ignore[assignment]
    target._armed = frozenset(armed)
    return target


def production(given: dict[str, Any], *armed: str) -> Target:
    return of_kind(target_at(**given), "production", *armed)


def ask(gate: Callable[..., None], target: Target, outbox: Outbox) -> Called:
    """Call one gate, and close the connections that its target kept."""
    with closing(target):
        return call(gate, target, outbox=outbox)


def prepare(target: Target, outbox: Outbox) -> Called:
    return ask(gates.test_preparation, target, outbox)


def test_a_message_is_sent_once_however_often_and_wherever_the_phase_is_run(
    at: dict[str, Any], boxes: dict[str, str], tmp_path: Path
) -> None:
    given = plan(at, boxes)
    first = prepare(production(given, "announce"), Outbox(tmp_path / "a", "run-1"))
    assert first.outcome is Outcome.PASS, first.reason
    again = prepare(production(given, "announce"), Outbox(tmp_path / "a", "run-2"))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    elsewhere = prepare(
        production(given), Outbox(tmp_path / "b", "run-3")
    )  # not even armed: there is nothing to send
    for later in (again, elsewhere):
        assert later.outcome is Outcome.PASS, later.reason
        assert "run-1" in later["sent earlier"].source
        assert later["copies that arrived"].actual == 1
    assert len(received(boxes)) == 1
    assert received(boxes)[0]["body"]["message"] == "We prepare Fleet Manager Dashboard 1.0.0."


def test_a_launch_with_a_failed_gate_is_not_announced(
    at: dict[str, Any], boxes: dict[str, str], tmp_path: Path
) -> None:
    given = plan(at, boxes)
    held = ask(
        gates.test_go_live, production(given, "announce"), Outbox(tmp_path, "run-1", ["services.reachable@t3"])
    )
    assert (held.outcome, received(boxes)) == (Outcome.FAIL, [])
    assert held["live to launch, live to mail"].actual == ["services.reachable@t3"]

    sent = ask(gates.test_go_live, production(given, "announce"), Outbox(tmp_path, "run-2"))
    assert (sent.outcome, len(received(boxes))) == (Outcome.PASS, 1), sent.reason
    # What was sent stays proven, whatever fails afterwards.
    later = ask(
        gates.test_go_live, production(given, "announce"), Outbox(tmp_path, "run-3", ["tls.certificate@t3"])
    )
    assert (later.outcome, len(received(boxes))) == (Outcome.PASS, 1), later.reason


def test_a_rehearsal_is_a_launch_of_its_own_in_every_run(
    at: dict[str, Any], boxes: dict[str, str], tmp_path: Path
) -> None:
    for run in ("run-1", "run-2", "run-2"):
        called = prepare(target_at(**plan(at, boxes)), Outbox(tmp_path, run))
        assert called.outcome is Outcome.PASS, called.reason
    assert len(received(boxes)) == 2


@pytest.mark.parametrize(
    "gate", [gates.test_preparation, gates.test_go_live, gates.test_rollback, gates.test_drafts]
)
@pytest.mark.parametrize("kind", ["production", "staging"])
def test_nothing_is_sent_without_arming_and_the_drafts_are_kept(
    at: dict[str, Any], boxes: dict[str, str], tmp_path: Path, gate: Any, kind: str
) -> None:
    target = of_kind(target_at(**plan(at, boxes, exercise=["launch"])), kind, "deploy", "alerts")
    called = ask(gate, target, Outbox(tmp_path, "run-1"))
    assert received(boxes) + received(boxes, "mail") == []
    assert not (tmp_path / "sent").exists()
    assert [name for name in called.evidence if name.endswith(".txt")]
    if gate is gates.test_drafts:
        assert called.outcome is Outcome.PASS, called.reason
    else:
        assert called.outcome is Outcome.ERROR
        assert "nothing was sent" in called.reason
        assert ("--gonogo-arm announce" in called.reason) is (kind == "production")


def test_a_message_that_may_have_left_is_never_sent_again(
    at: dict[str, Any], boxes: dict[str, str], tmp_path: Path
) -> None:
    outbox = Outbox(tmp_path, "run-1")
    with serve(hang_up) as server:
        given = plan(at, boxes, channels={"launch": f"json://127.0.0.1:{server.port}/x", "mail": "json://a"})
        cut = prepare(production(given, "announce"), outbox)
        tries = len(server.accepted)
    assert cut.outcome is Outcome.FAIL
    assert "may have left" in cut.reason
    later = prepare(production(plan(at, boxes), "announce"), Outbox(tmp_path, "run-2"))
    assert later.outcome is Outcome.ERROR
    assert "start to launch may have been sent" in later.reason
    (file,) = (tmp_path / "sent").iterdir()
    assert str(file) in later.reason
    assert (tries, received(boxes)) == (1, [])

    file.unlink()  # what the sentence says to do if it is not there
    assert prepare(production(plan(at, boxes), "announce"), Outbox(tmp_path, "run-3")).outcome is Outcome.PASS
    letter = json.loads(file.read_text())
    file.write_text(json.dumps({**letter, "state": "sending"}))  # killed before it could be written down
    shown = prepare(production(plan(at, boxes), "announce"), Outbox(tmp_path, "run-4"))
    assert shown.outcome is Outcome.PASS, shown.reason  # the receiver says that it arrived
    assert len(received(boxes)) == 1


def test_a_message_that_was_refused_is_tried_again_by_the_next_run(
    at: dict[str, Any], boxes: dict[str, str], tmp_path: Path
) -> None:
    with serve(answer(b"", "403 Forbidden")) as server:
        given = plan(
            at, boxes, channels={"launch": f"json://127.0.0.1:{server.port}/t0k3nt0k3n", "mail": "json://a"}
        )
        refused = prepare(production(given, "announce"), Outbox(tmp_path, "run-1"))
    assert refused.outcome is Outcome.FAIL
    assert "403" in refused.reason
    everything = refused.reason + str(refused.measurements) + str(refused.evidence)
    assert "t0k3n" not in everything
    assert prepare(production(plan(at, boxes), "announce"), Outbox(tmp_path, "run-2")).outcome is Outcome.PASS
    assert len(received(boxes)) == 1


def test_what_the_receiver_has_already_is_not_sent_by_a_run_that_knows_nothing_of_it(
    at: dict[str, Any], boxes: dict[str, str], tmp_path: Path
) -> None:
    assert prepare(production(plan(at, boxes), "announce"), Outbox(tmp_path / "a", "run-1")).outcome is Outcome.PASS
    called = prepare(production(plan(at, boxes), "announce"), Outbox(tmp_path / "b", "run-2"))
    assert called.outcome is Outcome.ERROR
    assert "copy the ledger of that run here" in called.reason
    assert len(received(boxes)) == 1


def test_a_template_that_changed_afterwards_sends_nothing_new(
    at: dict[str, Any], boxes: dict[str, str], tmp_path: Path
) -> None:
    outbox = Outbox(tmp_path, "run-1")
    assert prepare(production(plan(at, boxes), "announce"), outbox).outcome is Outcome.PASS
    other = [{"id": "start", "when": "preparation", "to": ["launch"], "text": "Otherwise."}]
    called = prepare(production(plan(at, boxes, messages=other), "announce"), outbox)
    assert called.outcome is Outcome.PASS, called.reason
    assert "in other words than today's template" in called["sent earlier"].name
    assert len(received(boxes)) == 1


def test_where_nobody_can_be_asked_the_line_says_so(
    at: dict[str, Any], boxes: dict[str, str], tmp_path: Path
) -> None:
    called = prepare(target_at(**plan(at, boxes, receipts={})), Outbox(tmp_path, "run-1"))
    assert called.outcome is Outcome.PASS
    assert "arrival can't be asked" in called["takes it"].name
    assert len(received(boxes)) == 1


@pytest.mark.parametrize(("body", "status"), [(b"[]", "503 Busy"), (b"sorry", "200 OK"), (b'{"a": 1}', "200 OK")])
def test_a_receiver_that_can_not_be_read_keeps_messages_back(
    at: dict[str, Any], boxes: dict[str, str], tmp_path: Path, body: bytes, status: str
) -> None:
    with serve(answer(body, status)) as server:
        given = plan(at, boxes, receipts={"launch": f"{server.url}/t0k3nt0k3n"})
        called = prepare(target_at(**given), Outbox(tmp_path, "run-1"))
    assert called.outcome is Outcome.FAIL
    assert "the list of what arrived in launch can't be read" in called.reason
    assert "t0k3n" not in called.reason
    assert received(boxes) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [("Live at [link]", "[link]"), ("At {at}", "TBD"), ("See {base_url}/gone", "answered 503"), ("Hi TBD", "TBD")],
)
def test_a_message_with_gaps_or_dead_links_is_held_back(
    at: dict[str, Any], boxes: dict[str, str], tmp_path: Path, text: str, words: str
) -> None:
    messages = plan(at, boxes)["notify"]["messages"]
    messages[1]["text"] = text
    given = plan(at, boxes, messages=messages)
    for gate in (gates.test_drafts, gates.test_go_live):
        called = ask(gate, target_at(**given), Outbox(tmp_path, "run-1"))
        assert called.outcome is Outcome.FAIL
        assert words in called.reason
    assert called["held back"].actual == ["live to launch", "live to mail"]
    assert received(boxes) + received(boxes, "mail") == []


def test_an_announcement_on_one_way_only_is_held_back(
    at: dict[str, Any], boxes: dict[str, str], tmp_path: Path
) -> None:
    messages = plan(at, boxes)["notify"]["messages"]
    messages[1]["to"] = ["launch"]
    called = ask(gates.test_go_live, target_at(**plan(at, boxes, messages=messages)), Outbox(tmp_path, "r"))
    assert called.outcome is Outcome.FAIL
    assert "mail" in called.reason
    assert received(boxes) == []
    chat_only = plan(at, boxes, messages=messages, go_live=["chat"])
    assert ask(gates.test_go_live, target_at(**chat_only), Outbox(tmp_path, "r")).outcome is Outcome.PASS


def test_the_exercise_of_a_rollback_is_marked_and_reaches_its_channel_alone(
    at: dict[str, Any], boxes: dict[str, str], tmp_path: Path
) -> None:
    called = ask(gates.test_rollback, target_at(**plan(at, boxes, exercise=["launch"])), Outbox(tmp_path, "r"))
    assert called.outcome is Outcome.PASS, called.reason
    assert [m["body"]["message"] for m in received(boxes)] == ["Exercise, nothing has happened: We go back."]
    assert received(boxes, "mail") == []
    none = ask(gates.test_rollback, target_at(**plan(at, boxes, exercise=[])), Outbox(tmp_path, "r2"))
    assert none.outcome is Outcome.ERROR
    assert "notify.exercise names no channel" in none.reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"channels": {"launch": {"env": "NO_SUCH_VARIABLE"}, "mail": "json://a"}}, "NO_SUCH_VARIABLE"),
        ({"channels": {"launch": "$NO_SUCH_VARIABLE", "mail": "json://a"}}, "NO_SUCH_VARIABLE"),
        (
            {"channels": {"launch": "nonsense", "mail": "json://a"}},
            "notify.channels.launch is no address of Apprise",
        ),
        ({"values": {"why": "$NO_SUCH_VARIABLE"}}, "NO_SUCH_VARIABLE"),
        ({"messages": [{"id": "x", "when": "go-live", "to": ["mail"], "text": "x"}]}, 'when = "preparation"'),
    ],
)
def test_what_is_wrong_with_the_plan_is_our_own_fault(
    at: dict[str, Any], boxes: dict[str, str], tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    called = prepare(target_at(**plan(at, boxes, **changes)), Outbox(tmp_path, "run-1"))
    assert called.outcome is Outcome.ERROR
    assert words in called.reason
    assert received(boxes) == []


def test_a_channel_may_stand_in_a_variable(
    at: dict[str, Any], boxes: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_CHANNEL", boxes[inboxes.CHAT] + "/launch")
    given = plan(at, boxes, channels={"launch": {"env": "MY_CHANNEL"}, "mail": "json://a"})
    assert prepare(target_at(**given), Outbox(tmp_path, "run-1")).outcome is Outcome.PASS
