"""Ways in which real servers are set up, and what must not hide behind them."""

from __future__ import annotations

import ipaddress
import itertools
import socket
import ssl
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

import servers
from fleetboard.pki import PLAIN, Authority, Identity, Shape
from gate_calls import Called, call, target_at
from gate_runs import ROOT
from gonogo.errors import InconclusiveError, TargetError
from gonogo.model import Outcome
from gonogo.probes.tls import inspect, inspect_each
from gonogo.probes.tls_policy import policy, protocols
from gonogo.probes.tls_revocation import revocation
from gonogo.tls_chain import covers, describe, names_of

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra.test_tls import test_certificate as certificate

HOST = "app.fleet.test"
RSA = Shape(rsa_bits=2048)
OURS = Authority.create()
NOW = datetime.now(UTC)


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    path = tmp_path / "root.pem"
    path.write_bytes(OURS.root.pem)
    return path


def context_for(folder: Path, *leaves: Identity, intermediate: bool = True) -> ssl.SSLContext:
    """A server's context with all of these certificates; OpenSSL chooses by the client's abilities."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for leaf in leaves:
        path = folder / f"{leaf.certificate.serial_number}.pem"
        path.write_bytes((OURS.chain(leaf) if intermediate else leaf.pem) + leaf.key_pem)
        context.load_cert_chain(path)
    return context


def judged(server: servers.Server, ca_file: Path, **tls: object) -> Called:
    """What the gate says of a server on loopback that is called by the target's name."""
    info = {"base_url": f"https://{HOST}:{server.port}", "ca_file": str(ca_file)}
    target = target_at(info, tls={"revocation": "off", **tls})
    target._addresses[HOST] = ["127.0.0.1"]
    return call(certificate, target)


def test_a_second_certificate_does_not_hide_behind_the_first(tmp_path: Path, ca_file: Path) -> None:
    """The renewal of the RSA one failed; most clients, and ours, are shown the other."""
    context = context_for(tmp_path, OURS.issue([HOST]), OURS.issue([HOST], days=-1, age_days=80, shape=RSA))
    with servers.serve(servers.answer(b"ok"), context) as server:
        called = judged(server, ca_file)

    assert called.outcome is Outcome.FAIL
    assert set(called.bad) == {
        "127.0.0.1 asked for RSA trusted path",
        f"127.0.0.1 asked for RSA CN={HOST},O=Fleet Rehearsal days left",
    }
    assert {"chain-127.0.0.1.pem", "chain-127.0.0.1-RSA.pem"} <= set(called.evidence)


def test_two_good_certificates_pass(tmp_path: Path, ca_file: Path) -> None:
    context = context_for(tmp_path, OURS.issue([HOST]), OURS.issue([HOST], shape=RSA))
    with servers.serve(servers.answer(b"ok"), context) as server:
        called = judged(server, ca_file)

    assert (called.outcome, called.bad) == (Outcome.PASS, {}), called.reason


@pytest.mark.parametrize("shape", [RSA, PLAIN], ids=["rsa", "ecdsa"])
@pytest.mark.parametrize("oldest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_one_certificate_is_seen_once(tmp_path: Path, ca_file: Path, shape: Shape, oldest: ssl.TLSVersion) -> None:
    context = context_for(tmp_path, OURS.issue([HOST], shape=shape))
    context.minimum_version = oldest
    with servers.serve(servers.answer(b"ok"), context) as server:
        (only,) = inspect_each(HOST, *server.address, ca_file, 2.0)

    assert (only.trusted, only.where) == (True, "127.0.0.1")


def test_what_is_described_is_what_was_verified(tmp_path: Path, ca_file: Path) -> None:
    """Two machines behind one address: the path of one must not speak for the other's certificate."""
    good = context_for(tmp_path, OURS.issue([HOST]))
    bad = context_for(tmp_path, Authority.create().issue([HOST]), intermediate=False)
    turns = itertools.cycle([bad, good])

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        with next(turns).wrap_socket(connection, server_side=True):
            pass

    with servers.serve(handler) as server:
        seen = [inspect(HOST, *server.address, ca_file, 2.0) for _ in range(4)]

    assert all(len(one.certificates) == 2 for one in seen if one.trusted)


def test_an_intermediate_that_only_our_own_list_has(tmp_path: Path, ca_file: Path) -> None:
    """With a whole chain for a ca_file OpenSSL is content; browsers, which know roots, are not."""
    ca_file.write_bytes(OURS.root.pem + OURS.intermediate.pem)
    leaf = OURS.issue([HOST])
    with servers.serve(servers.answer(b"ok"), context_for(tmp_path, leaf, intermediate=False)) as server:
        missing = judged(server, ca_file)
    with servers.serve(servers.answer(b"ok"), context_for(tmp_path, leaf)) as server:
        whole = judged(server, ca_file)

    assert list(missing.bad) == ["127.0.0.1 certificates of the path not sent"]
    assert "Fleet Rehearsal Intermediate" in str(missing.bad)
    assert whole.outcome is Outcome.PASS


def test_an_address_as_a_dns_name_is_no_address() -> None:
    san = x509.SubjectAlternativeName([x509.DNSName("192.0.2.1"), x509.IPAddress(ipaddress.ip_address("::2"))])
    key = RSA.new_key()
    name = x509.Name([])
    leaf = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + timedelta(days=6))
        .add_extension(san, critical=True)
        .sign(key, hashes.SHA256())
    )

    assert names_of(leaf) == ("::2", "192.0.2.1 (as a DNS name)")
    assert not any(covers(one, "192.0.2.1") for one in names_of(leaf))
    assert describe(leaf).subject == "SAN=::2"


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("2001:db8::1", "2001:db8:0:0::1"),
        ("192.0.2.1", "192.0.2.1"),
        ("xn--bcher-kva.example", "bücher.example"),
        ("*.example", "bücher.example"),
    ],
)
def test_one_name_has_several_spellings(name: str, host: str) -> None:
    assert covers(name, host)


@pytest.mark.parametrize("days", [6, 8])
def test_who_lives_a_week_names_nobody_to_ask(tmp_path: Path, ca_file: Path, days: int) -> None:
    with servers.serve(servers.answer(b"ok"), context_for(tmp_path, OURS.issue([HOST], days=days))) as server:
        called = judged(server, ca_file, revocation="required", min_days=2)

    leaf = [one for one in called.bad if one.startswith(f"CN={HOST}")]
    assert len(leaf) == (days > 7)


def list_of(*, scope: str = "", made: datetime = NOW, delta: bool = False) -> bytes:
    """The intermediate's list in DER, for a part of its certificates if ``scope`` is the part's address."""
    key, issuer = OURS.intermediate.key, OURS.intermediate.certificate.subject
    builder = x509.CertificateRevocationListBuilder(issuer, made, made + timedelta(days=1))
    if scope:
        full = [x509.UniformResourceIdentifier(scope)]
        point = x509.IssuingDistributionPoint(full, None, False, False, None, False, False)
        builder = builder.add_extension(point, critical=True)
    if delta:
        builder = builder.add_extension(x509.DeltaCRLIndicator(1), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("scope", "delta", "status", "says"),
    [
        ("{url}/7.crl", False, "good", "by http://"),
        ("{url}/8.crl", False, "unknown", "is another part of its issuer's list"),
        ("", True, "unknown", "lists changes alone"),
    ],
)
def test_a_list_that_speaks_of_others_says_nothing(scope: str, delta: bool, status: str, says: str) -> None:
    body: list[bytes] = []

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        servers.answer(body[0])(connection, stopping)

    with servers.serve(handler) as server:
        body.append(list_of(scope=scope.format(url=server.url), delta=delta))
        leaf = OURS.issue([HOST], shape=Shape(crl_url=f"{server.url}/7.crl"))
        facts = revocation(leaf.pem.decode(), OURS.intermediate.pem.decode(), 2.0)

    assert (facts.status, says in facts.detail) == (status, True), facts


def test_a_responder_that_is_no_address() -> None:
    leaf = OURS.issue([HOST], shape=Shape(crl_url="http://[bad/x.crl"))
    facts = revocation(leaf.pem.decode(), OURS.intermediate.pem.decode(), 1.0)

    assert (facts.status, "can't be asked" in facts.detail) == ("unknown", True)


@pytest.mark.parametrize("first", range(1, 25, 3))
def test_a_limit_that_comes_and_goes_hides_nothing(tmp_path: Path, first: int) -> None:
    """Hanging up on six connections in a row is no refusal, even if all is well at the end."""
    context = context_for(tmp_path, OURS.issue([HOST], shape=RSA))
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256:AES128-SHA")
    number = itertools.count(1)

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        if not first <= next(number) < first + 6:
            with context.wrap_socket(connection, server_side=True):
                pass

    with servers.serve(handler) as server:
        try:
            facts = policy(HOST, *server.address, 2.0)
        except InconclusiveError as error:
            assert "refusals say nothing" in str(error)
        else:
            assert {name: len(found) for name, found in facts.suites.items()} == {"TLSv1.2": 2, "TLSv1.3": 3}
            assert set(facts.groups) == {"TLSv1.2", "TLSv1.3"}
            assert min(len(found) for found in facts.groups.values()) > 4


def test_a_server_that_hangs_up_instead_of_an_alert_is_believed(tmp_path: Path) -> None:
    """As load balancers do: its refusals stand, since it answers in between."""
    context = context_for(tmp_path, OURS.issue([HOST]))

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        incoming.write(connection.recv(65_536))
        try:
            context.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
        except ssl.SSLWantReadError:
            connection.sendall(outgoing.read())

    with servers.serve(handler) as server:
        assert protocols(HOST, *server.address, 2.0) == ("TLSv1.2", "TLSv1.3")
        facts = policy(HOST, *server.address, 2.0)

    assert set(facts.suites) == {"TLSv1.2", "TLSv1.3"}
    assert facts.unsaid > 5


def test_a_machine_without_ipv6_blames_itself() -> None:
    """An address that could not be asked is neither down nor fine."""
    code = "from gonogo.probes.tls import inspect; inspect('a.test', '2001:db8::1', 443, None, 1.0)"
    if subprocess.run(["unshare", "-n", "true"], check=False, capture_output=True).returncode:
        pytest.skip("a network of its own takes rights that this user has not")
    done = subprocess.run(
        ["unshare", "-n", sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        timeout=20,
    )

    assert "InconclusiveError: a.test (2001:db8::1 port 443) was not asked" in done.stderr


def test_a_certificate_with_a_name_that_nobody_can_read(tmp_path: Path, ca_file: Path) -> None:
    """A name of a kind that no library knows ends in a sentence."""
    key = RSA.new_key()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    odd = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30\x02\xa3\x00")
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + timedelta(days=6))
    leaf = Identity(builder.add_extension(odd, critical=False).sign(key, hashes.SHA256()), key)
    context = context_for(tmp_path, leaf, intermediate=False)
    with (
        servers.serve(servers.answer(b"ok"), context) as server,
        pytest.raises(TargetError, match="sent a certificate that can't be read"),
    ):
        inspect(HOST, *server.address, ca_file, 2.0)
