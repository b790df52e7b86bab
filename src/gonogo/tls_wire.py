"""TLS messages as bytes: what a client asks first, and what a server says to it in the clear.

Pure. Only what can be told apart without a key is read: versions, suites, groups, certificates,
a stapled answer, alerts. So suites can be offered that no library here knows any more.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

SSL_3, TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 = range(0x0300, 0x0305)

RENEGOTIATION_SCSV = 0x00FF
"""Offered in place of the extension where there are none (RFC 5746, 3.3)."""

_HANDSHAKE, _ALERT = 22, 21
_SERVER_HELLO, _KEY_EXCHANGE, _DONE, _STATUS = 2, 12, 14, 22
_SIGNATURES = (
    *(0x0403, 0x0503, 0x0603, 0x0807, 0x0808),  # ECDSA with SHA-2, Ed25519, Ed448
    *(0x0804, 0x0805, 0x0806, 0x0809, 0x080A, 0x080B, 0x0401, 0x0501, 0x0601),  # RSA with SHA-2
    *(0x0402, 0x0303, 0x0301, 0x0203, 0x0201, 0x0202, 0x0101),  # what nobody should choose
)

ALERTS = {
    10: "unexpected_message",
    20: "bad_record_mac",
    40: "handshake_failure",
    47: "illegal_parameter",
    50: "decode_error",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    112: "unrecognized_name",
}
"""Names of alerts (RFC 8446, 6) that a first message can meet."""


class WireError(ValueError):
    """The bytes are no TLS."""


@dataclass(frozen=True)
class Offer:
    """What a client's first message asks for."""

    host: str
    """Name for SNI; empty for an address, which has none."""
    version: int
    """The newest that is offered; 1.3 is offered alone."""
    suites: tuple[int, ...]
    groups: tuple[int, ...]
    staple: bool = False
    """Ask for a stapled OCSP answer."""
    compression: bool = False
    """Offer DEFLATE too (RFC 3749)."""


@dataclass(frozen=True)
class Answer:
    """What a server said, as far as it can be read without a key."""

    version: int = 0
    """0 if it chose nothing."""
    suite: int = 0
    group: int = 0
    """Group that TLS 1.3 chose; for earlier versions it stands in ``exchange``."""
    exchange: bytes = b""
    """The key exchange of TLS 1.2 and earlier, as sent; empty if the suite has none."""
    compressed: bool = False
    renegotiation: bool = False
    """It promises secure renegotiation (RFC 5746)."""
    staple: bytes = b""
    """The OCSP answer in DER."""
    alert: str = ""
    """Name of a fatal alert."""
    complete: bool = False
    """Its whole first flight was read."""


def client_hello(offer: Offer, random: bytes) -> bytes:
    """The record that opens a handshake.

    Args:
        offer: what is asked for.
        random: 32 bytes.
    """
    body = struct.pack("!H", min(offer.version, TLS_1_2)) + random
    body += _sized(1, random if offer.version == TLS_1_3 else b"")  # 1.3 wants a session to look like 1.2's
    suites = offer.suites if offer.version != SSL_3 else (*offer.suites, RENEGOTIATION_SCSV)
    body += _sized(2, _numbers(suites)) + (b"\2\1\0" if offer.compression else b"\1\0")
    if offer.version != SSL_3:
        body += _sized(2, _extensions(offer))
    message = b"\1" + _sized(3, body)
    return struct.pack("!BH", _HANDSHAKE, min(offer.version, TLS_1_0)) + _sized(2, message)


def _extensions(offer: Offer) -> bytes:
    found = b""
    if offer.host:
        found += _extension(0, _sized(2, b"\0" + _sized(2, offer.host.encode("idna"))))
    if offer.staple:
        found += _extension(5, b"\1\0\0\0\0")
    if offer.groups:
        found += _extension(10, _sized(2, _numbers(offer.groups)))
    if offer.version >= TLS_1_2:
        found += _extension(13, _sized(2, _numbers(_SIGNATURES)))
    if offer.version == TLS_1_3:
        # No key share: the server has to name the group that it wants, without a key of ours.
        return found + _extension(43, b"\2\3\4") + _extension(51, b"\0\0")
    return found + _extension(11, b"\1\0") + _extension(23, b"") + _extension(0xFF01, b"\0")


def _extension(number: int, body: bytes) -> bytes:
    return struct.pack("!H", number) + _sized(2, body)


def _sized(width: int, body: bytes) -> bytes:
    return len(body).to_bytes(width, "big") + body


def _numbers(values: Sequence[int]) -> bytes:
    return struct.pack(f"!{len(values)}H", *values)


def read_flight(data: bytes) -> Answer:
    """What a server has said so far; ``complete`` if nothing more is to come, or an alert ended it.

    Raises:
        WireError: the bytes are no TLS records, or a message contradicts itself.
    """
    messages, alert = b"", ""
    while len(data) >= 5:
        kind, version, size = struct.unpack_from("!BHH", data)
        if kind not in {_HANDSHAKE, _ALERT, 20, 23} or version >> 8 != 3 or size > 1 << 14 | 2048:
            raise WireError(f"no TLS record: {data[:5].hex()}")
        part, data = data[5 : 5 + size], data[5 + size :]
        if len(part) < size:
            break
        if kind == _HANDSHAKE:
            messages += part
        elif kind == _ALERT and len(part) == 2 and part[0] == 2:
            alert = ALERTS.get(part[1], f"alert {part[1]}")
            break
    try:
        answer = _read_messages(messages)
    except (struct.error, IndexError) as error:
        raise WireError(f"a message is cut short: {error}") from None
    if alert:
        return Answer(alert=alert, complete=True)
    return answer


def _read_messages(data: bytes) -> Answer:
    known: dict[str, int | bool | bytes] = {}
    while len(data) >= 4:
        kind, size = data[0], int.from_bytes(data[1:4], "big")
        if len(data) < 4 + size:
            break
        body, data = data[4 : 4 + size], data[4 + size :]
        if kind == _SERVER_HELLO:
            known |= _server_hello(body)
            if known["version"] == TLS_1_3:
                break
        elif kind == _KEY_EXCHANGE:
            known["exchange"] = body
        elif kind == _STATUS and body[0] == 1:
            known["staple"] = body[4 : 4 + int.from_bytes(body[1:4], "big")]
        elif kind == _DONE:
            known["complete"] = True
    return Answer(**known)  # type: ignore[arg-type]  # each reader below names fields of its type


def _server_hello(body: bytes) -> dict[str, int | bool | bytes]:
    version = int.from_bytes(body[:2], "big")
    at = 35 + body[34]
    suite, compression = struct.unpack_from("!HB", body, at)
    found: dict[str, int | bool | bytes] = {"version": version, "suite": suite, "compressed": compression != 0}
    at += 5
    while at + 4 <= len(body):
        number, size = struct.unpack_from("!HH", body, at)
        value, at = body[at + 4 : at + 4 + size], at + 4 + size
        if number == 43:
            found |= {"version": int.from_bytes(value, "big"), "complete": True}
        elif number == 51:
            found["group"] = struct.unpack_from("!H", value)[0]
        elif number == 0xFF01:
            found["renegotiation"] = True
    return found


def named_group(exchange: bytes) -> int:
    """The curve of a TLS 1.2 key exchange over a named curve (RFC 8422, 5.4); 0 if it names none."""
    return int.from_bytes(exchange[1:3], "big") if exchange[:1] == b"\3" else 0


def prime_bits(exchange: bytes) -> int:
    """Size in bits of the prime of a TLS 1.2 Diffie-Hellman key exchange (RFC 5246, 7.4.3)."""
    size = int.from_bytes(exchange[:2], "big")
    return int.from_bytes(exchange[2 : 2 + size], "big").bit_length()
