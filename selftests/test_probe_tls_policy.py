"""Suites and groups are found as servers accept them, also those that nothing here can speak."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from pathlib import Path

import pytest

import servers
from fleetboard.pki import Authority, Shape
from gonogo.errors import InconclusiveError, TargetError
from gonogo.probes.tls_policy import PolicyFacts, policy, protocols
from test_tls_wire import message, record, server_hello

HOST = "app.fleet.test"
SMALL_PRIME = """\
-----BEGIN DH PARAMETERS-----
MIGHAoGBAPFEx2+BsYFbI+yVenEpjElWDN1otnLPtm7vESs9bJ/CSa4jOxrq1rN7
gmoDQwuL8XE7ICQdSh5hMVimU0fJah6E7myaTFQJNRLQTwxduPYoBfidNNKSqxbp
+qy/uYRMyhH4268RKfzF0eBbb2qhVp2gQbctxbkiF3PPm7K6mREfAgEC
-----END DH PARAMETERS-----
"""


@pytest.fixture(scope="module")
def rsa_pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    leaf = Authority.create().issue([HOST], shape=Shape(rsa_bits=2048))
    path = tmp_path_factory.mktemp("rsa") / "leaf.pem"
    path.write_bytes(leaf.pem + leaf.key_pem)
    return path


@pytest.fixture(scope="module")
def dh_pem(rsa_pem: Path) -> Path:
    """Numbers for Diffie-Hellman, too small."""
    path = rsa_pem.with_name("dh.pem")
    path.write_text(SMALL_PRIME)
    return path


def look(
    pem: Path,
    ciphers: str,
    *,
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    curve: str = "",
    dh_pem: Path | None = None,
) -> PolicyFacts:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    context.load_cert_chain(pem)
    context.maximum_version = newest
    if dh_pem:
        context.load_dh_params(dh_pem)
    if curve:
        context.set_ecdh_curve(curve)
    with servers.serve(servers.answer(b"ok"), context) as server:
        return policy(HOST, *server.address, 2.0)


@pytest.mark.parametrize(
    ("ciphers", "names"),
    [
        ("ECDHE-RSA-AES128-GCM-SHA256", {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"}),
        ("NULL-SHA256:AES256-SHA", {"TLS_RSA_WITH_NULL_SHA256", "TLS_RSA_WITH_AES_256_CBC_SHA"}),
        ("ADH-AES128-SHA", {"TLS_DH_anon_WITH_AES_128_CBC_SHA"}),
        (
            "DHE-RSA-AES128-SHA:CAMELLIA128-SHA",
            {"TLS_DHE_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_CAMELLIA_128_CBC_SHA"},
        ),
    ],
)
def test_suites(rsa_pem: Path, dh_pem: Path, ciphers: str, names: set[str]) -> None:
    facts = look(rsa_pem, ciphers, dh_pem=dh_pem)

    assert set(facts.suites["TLSv1.2"]) == names
    assert set(facts.suites) <= {"TLSv1.2"}
    assert (facts.compression, facts.insecure_renegotiation) == (False, False)
    assert facts.dh_bits == (1024 if ciphers.startswith(("DHE", "ADH")) else 0)


def test_more_suites_than_one_message_holds(rsa_pem: Path, dh_pem: Path) -> None:
    """Whatever OpenSSL would choose last is found too."""
    facts = look(rsa_pem, "ALL:COMPLEMENTOFALL:!PSK:!SRP", dh_pem=dh_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:COMPLEMENTOFALL:!PSK:!SRP:@SECLEVEL=0")
    usable = [
        c
        for c in context.get_ciphers()
        if c["protocol"] != "TLSv1.3" and c["auth"] not in ("auth-ecdsa", "auth-dss")
    ]

    assert len(facts.suites["TLSv1.2"]) == len(usable) > 40


def test_groups(rsa_pem: Path) -> None:
    newest = ssl.TLSVersion.TLSv1_3
    facts = look(rsa_pem, "ECDHE-RSA-AES128-GCM-SHA256", newest=newest, curve="secp521r1")

    assert facts.groups == {"TLSv1.2": ("secp521r1",), "TLSv1.3": ("secp521r1",)}
    assert len(facts.suites["TLSv1.3"]) == 3


REFUSED = record(21, b"\x02\x28")
RC4 = 0x0005


def scripted(flight: bytes) -> servers.Handler:
    """A server of TLS 1.2 alone that says this where RC4 is offered, and refuses everything else."""

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        hello = connection.recv(65_536)
        version, (size,) = hello[9:11], struct.unpack_from("!H", hello, 44 + hello[43])
        offered = struct.unpack_from(f"!{size // 2}H", hello, 46 + hello[43])
        connection.sendall(flight if version == b"\x03\x03" and RC4 in offered else REFUSED)

    return handler


def test_a_suite_that_no_library_here_speaks() -> None:
    """RC4, with compression and without a word about renegotiation."""
    flight = record(22, server_hello(RC4, compression=1) + message(14, b""))
    with servers.serve(scripted(flight)) as server:
        facts = policy(HOST, *server.address, 2.0)
        versions = protocols(HOST, *server.address, 2.0)

    assert facts.suites == {"TLSv1.2": ("TLS_RSA_WITH_RC4_128_SHA",)}
    assert versions == ("TLSv1.2",)
    assert facts.compression
    assert facts.insecure_renegotiation
    assert facts.unsaid == 0


def test_a_suite_that_was_not_offered() -> None:
    flight = record(22, server_hello(0x1301) + message(14, b""))
    with (
        servers.serve(scripted(flight)) as server,
        pytest.raises(TargetError, match="0x1301, which was not offered"),
    ):
        policy(HOST, *server.address, 2.0)


def test_refusals_of_a_server_that_had_enough_of_us_mean_nothing(rsa_pem: Path) -> None:
    """A limit on connections must not pass for good manners."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(rsa_pem)
    served: list[int] = []

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        served.append(1)
        if len(served) <= 20:
            with context.wrap_socket(connection, server_side=True):
                pass

    with servers.serve(handler) as server, pytest.raises(InconclusiveError, match="so its refusals say nothing"):
        policy(HOST, *server.address, 2.0)


def test_hang_and_garbage() -> None:
    with servers.serve(servers.hang) as server, pytest.raises(TargetError, match="neither accepted nor refused"):
        policy(HOST, *server.address, 0.3)
    with servers.serve(servers.garbage) as server:
        assert policy(HOST, *server.address, 1.0).suites == {}
    with pytest.raises(TargetError, match="refused the connection"):
        protocols(HOST, "127.0.0.1", servers.free_port(), 1.0)


def test_all_handshakes_together_have_a_limit() -> None:
    def slow(connection: socket.socket, stopping: threading.Event) -> None:
        connection.recv(65_536)
        stopping.wait(0.25)
        connection.sendall(REFUSED)

    with servers.serve(slow) as server, pytest.raises(TargetError, match="took longer than 1.8 s for . handshakes"):
        policy(HOST, *server.address, 0.3)
