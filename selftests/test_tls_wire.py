"""Bytes of TLS: what is written is what servers read, and whatever they send ends in facts or one error."""

from __future__ import annotations

import contextlib
import ssl
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonogo.tls_profile import groups, is_forward_secret, profiles, suites
from gonogo.tls_wire import TLS_1_2, Answer, Offer, WireError, client_hello, named_group, prime_bits, read_flight

SUITE = 0x0005  # RC4, which no library of today speaks


def record(kind: int, body: bytes) -> bytes:
    return struct.pack("!BHH", kind, 0x0303, len(body)) + body


def message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def server_hello(suite: int = SUITE, compression: int = 0, extensions: bytes = b"") -> bytes:
    body = b"\x03\x03" + bytes(32) + b"\x00" + struct.pack("!HB", suite, compression)
    return message(2, body + struct.pack("!H", len(extensions)) + extensions)


def test_openssl_reads_our_first_message() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    asked: list[str] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)  # type: ignore[assignment]
    context.set_ciphers("ALL:@SECLEVEL=0")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(client_hello(Offer("app.fleet.test", TLS_1_2, (0xC02B,), (23,), staple=True), bytes(32)))
    with contextlib.suppress(ssl.SSLError):
        server.do_handshake()

    assert asked == ["app.fleet.test"]
    assert read_flight(outgoing.read()) == Answer(alert="handshake_failure", complete=True)  # it has no certificate


def test_flight_in_many_records() -> None:
    flight = server_hello(extensions=b"\xff\x01\x00\x01\x00") + message(12, b"\x03\x00\x1d") + message(14, b"")
    data = b"".join(record(22, flight[at : at + 7]) for at in range(0, len(flight), 7))

    answer = read_flight(data)
    assert (answer.version, answer.suite, answer.renegotiation, answer.complete) == (0x0303, SUITE, True, True)
    assert named_group(answer.exchange) == 0x1D
    assert not read_flight(data[:-1]).complete


def test_alert_after_a_choice_is_a_refusal() -> None:
    data = record(22, server_hello()) + record(21, b"\x02\x28")

    assert read_flight(data) == Answer(alert="handshake_failure", complete=True)


def test_warning_is_no_refusal() -> None:
    answer = read_flight(record(21, b"\x01\x70") + record(22, server_hello() + message(14, b"")))

    assert (answer.alert, answer.complete) == ("", True)


def test_stapled_answer_and_compression() -> None:
    staple = message(22, b"\x01\x00\x00\x03abc")
    answer = read_flight(record(22, server_hello(compression=1) + staple))

    assert (answer.staple, answer.compressed, answer.complete) == (b"abc", True, False)


def test_prime() -> None:
    assert prime_bits(struct.pack("!H", 128) + b"\x80" + bytes(127) + b"\x00\x01\x02") == 1024


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request\r\n", b"\x16\x09\x03\x00\x05hello"])
def test_other_protocols(data: bytes) -> None:
    with pytest.raises(WireError):
        read_flight(data)


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x16\x03\x03\x00\x40", record(22, server_hello())]))
def test_whatever_a_server_sends(data: bytes, prefix: bytes) -> None:
    with contextlib.suppress(WireError):
        assert isinstance(read_flight(prefix + data), Answer)


@given(st.binary(max_size=80), st.sampled_from([2, 12, 14, 22]))
def test_whatever_a_message_holds(body: bytes, kind: int) -> None:
    with contextlib.suppress(WireError):
        assert isinstance(read_flight(record(22, message(kind, body))), Answer)


def test_profiles_speak_of_what_there_is() -> None:
    for profile in profiles().values():
        assert profile.suites <= set(suites().values())
        assert profile.groups <= set(groups().values())
        assert all(is_forward_secret(name) for name in profile.suites)
        assert profile.version in profile.source
        assert profile.date in profile.source


def test_every_suite_of_this_openssl_is_offered() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    secret = ("PSK", "SRP")
    known = {c["id"] & 0xFFFF for c in context.get_ciphers() if not any(s in c["name"] for s in secret)}

    assert len(known) > 40
    assert known <= set(suites())
