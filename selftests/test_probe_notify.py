"""Sending through Apprise to real servers: what is taken, what is refused, what is in doubt, what is never shown."""

from __future__ import annotations

import logging
import smtplib
import ssl
from collections.abc import Iterator

import pytest

from fleetboard import inboxes
from gonogo.probes.notify import kind_of, scheme_of, send, usable
from letter_boxes import letter_boxes, received
from servers import answer, free_port, garbage, hang, hang_up, serve

TEXT = "We are live!\n\nOpen: https://desk.test/a_b?c=1&d=2\n- one\n- two"


@pytest.fixture(scope="module")
def boxes() -> Iterator[dict[str, str]]:
    with letter_boxes() as found:
        yield found


def test_a_chat_gets_the_text_as_it_is(boxes: dict[str, str]) -> None:
    done = send(f"{boxes[inboxes.CHAT]}/launch", "", TEXT)
    assert (done.accepted, done.in_doubt, done.reason) == (True, False, "")
    last = received(boxes)[-1]
    assert (last["channel"], last["body"]["message"]) == ("launch", TEXT)


def test_a_mail_gets_subject_and_text(boxes: dict[str, str]) -> None:
    assert send(boxes[inboxes.MAIL], "Käse is live", TEXT + " ü").accepted
    last = received(boxes, "mail")[-1]
    assert last["subject"] == "Käse is live"
    assert last["to"] == [inboxes.STAKEHOLDERS]
    assert last["text"].split() == (TEXT + " ü").split()


def test_the_mail_server_offers_encryption(boxes: dict[str, str]) -> None:
    host, port = boxes[inboxes.SMTP].split(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP(host, int(port), timeout=5) as client:
        client.starttls(context=context)
        assert client.noop()[0] == 250


def test_a_proxy_of_the_outside_world_is_not_asked_for_a_receiver_on_this_machine(
    boxes: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "intranet.test")
    assert send(f"{boxes[inboxes.CHAT]}/launch", "", "past the proxy").accepted


def test_refusals_are_certain_and_say_why() -> None:
    with letter_boxes("mail-refused") as found:
        mail = send(found[inboxes.MAIL], "S", TEXT)
        assert (mail.accepted, mail.in_doubt) == (False, False)
        assert "550" in mail.reason
        assert received(found, "mail") == []
    with serve(answer(b"no such channel", "404 Not Found")) as server:
        chat = send(f"json://127.0.0.1:{server.port}/x", "", TEXT)
        assert (chat.accepted, chat.in_doubt) == (False, False)
        assert "404" in chat.reason
    nobody = send(f"json://127.0.0.1:{free_port()}/x", "", TEXT)
    assert (nobody.accepted, nobody.in_doubt) == (False, False)
    assert "refused" in nobody.reason


def test_an_answer_that_was_lost_leaves_it_in_doubt() -> None:
    for handler in (hang_up, garbage):
        with serve(handler) as server:
            done = send(f"json://127.0.0.1:{server.port}/x", "", TEXT)
            assert (done.accepted, done.in_doubt) == (False, True), handler
            assert done.reason
    with letter_boxes("webhook-500") as found:  # a server that breaks may have taken it before it did
        done = send(f"{found[inboxes.CHAT]}/launch", "", TEXT)
        assert (done.accepted, done.in_doubt) == (False, True)
        assert "500" in done.reason


def test_a_server_that_hangs_is_given_up_in_time() -> None:
    with serve(hang) as server:
        done = send(f"json://127.0.0.1:{server.port}/x", "", TEXT, timeout_s=0.3)
    assert (done.accepted, done.in_doubt) == (False, True)
    assert "within 0.3 s" in done.reason
    assert done.elapsed_s < 2


def test_one_of_two_recipients_leaves_it_in_doubt() -> None:
    with letter_boxes() as found:
        url = found[inboxes.MAIL].replace("to=stake", "to=nobody@[,stake")
        done = send(url, "S", TEXT)
        arrived = received(found, "mail")
    assert len(arrived) == (1 if done.accepted or done.in_doubt else 0)


@pytest.mark.parametrize(
    "url", ["nonsense", "slack://tokenA", "json://", "mailto://", "https://chat.test/hook/tokenA"]
)
def test_an_address_that_is_none_is_told_without_asking_anybody(url: str) -> None:
    why = usable(url)
    assert why
    assert "tokenA" not in why
    done = send(url, "", TEXT)
    assert (done.accepted, done.in_doubt) == (False, False)


def test_good_addresses_are_usable(boxes: dict[str, str]) -> None:
    assert [usable(boxes[inboxes.MAIL]), usable(boxes[inboxes.CHAT])] == ["", ""]
    assert usable("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#launch") == ""


def test_no_part_of_an_address_is_shown_or_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="apprise")
    with serve(answer(b"token s3cr3tpath is wrong, user anna", "403 Forbidden")) as server:
        url = f"json://anna:pa%24%24w0rd@127.0.0.1:{server.port}/s3cr3tpath?+X-Key=s3cr3tkey"
        done = send(url, "", TEXT)
    said = done.reason + caplog.text
    assert "403" in done.reason
    for secret in ("anna", "pa%24", "pa$$", "s3cr3tpath", "s3cr3tkey", str(server.port)):
        assert secret not in said, secret
    assert logging.getLogger("apprise").propagate


def test_ways_and_schemes() -> None:
    assert [kind_of(url) for url in ("mailtos://a:b@c", "mailto://c", "slack://a/b/c", "json://x")] == [
        "mail", "mail", "chat", "chat",
    ]  # fmt: skip
    assert scheme_of("Slack://token") == "slack"
    assert scheme_of("token") == "none"
