"""Responders are asked, and believed only if the issuer signed a fresh answer about this certificate."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import ssl
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

import servers
from fleetboard import processes, proxy
from fleetboard.pki import Authority, Identity, Shape
from fleetboard.ports import EDGE, listening_socket, port_of
from gonogo.errors import ToolError
from gonogo.probes.tls_revocation import RevocationFacts, revocation, stapled

NOW = datetime.now(UTC)
OURS, OTHERS = Authority.create(), Authority.create()
HOST = "app.fleet.test"


def ask(url: str, authority: Authority = OURS, timeout_s: float = 2.0) -> RevocationFacts:
    leaf = OURS.issue([HOST], shape=Shape(crl_url=url))
    return revocation(leaf.pem.decode(), authority.intermediate.pem.decode(), timeout_s)


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (OURS.revocation_list(), "good", "by http://127.0.0.1:"),
        (OURS.revocation_list(NOW - timedelta(days=3)), "unknown", "is out of date since"),
        (OURS.revocation_list(NOW + timedelta(days=3)), "unknown", "in the future"),
        (OTHERS.revocation_list(), "unknown", "is not signed by the certificate's issuer"),
        (b"<html>", "unknown", "can't be read"),
    ],
)
def test_lists(body: bytes, status: str, says: str) -> None:
    with servers.serve(servers.answer(body)) as server:
        facts = ask(f"{server.url}/x.crl")

    assert (facts.status, says in facts.detail) == (status, True), facts


def test_revoked() -> None:
    authority = dataclasses.replace(OURS, revoked=[])

    def handler(connection: servers.socket.socket, stopping: servers.threading.Event) -> None:
        servers.answer(authority.revocation_list())(connection, stopping)

    with servers.serve(handler) as server:
        leaf = OURS.issue([HOST], shape=Shape(crl_url=f"{server.url}/x.crl"))
        before = revocation(leaf.pem.decode(), OURS.intermediate.pem.decode())
        authority.revoked.append(leaf.certificate)
        after = revocation(leaf.pem.decode(), OURS.intermediate.pem.decode())

    assert (before.status, after.status) == ("good", "revoked")
    assert ", since 20" in after.detail


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (servers.answer(b"", status="404 Not Found"), "answers HTTP 404"),
        (servers.hang, "did not answer in time"),
        (servers.drip(b"HTTP/1.1 200 OK\r\nX: "), "did not answer in time"),
        (servers.drip(b"HTTP/1.1 200 OK\r\n\r\n"), "did not answer in time"),
        (servers.hang_up, "can't be asked"),
    ],
    ids=["status", "silence", "slow head", "slow body", "nothing"],
)
def test_responders_in_bad_states(handler: servers.Handler, says: str) -> None:
    started = time.monotonic()
    with servers.serve(handler) as server:
        facts = ask(server.url, timeout_s=0.4)

    assert facts.status == "unknown"
    assert says in facts.detail
    assert time.monotonic() - started < 1.5


def test_nobody_to_ask() -> None:
    assert ask("") == RevocationFacts("CN=app.fleet.test,O=Fleet Rehearsal", "unknown", "")
    assert "refused the connection" in ask(f"http://127.0.0.1:{servers.free_port()}/").detail


def answer_for(
    leaf: Identity,
    *,
    by: Authority = OURS,
    status: str = "GOOD",
    days: float | None = 1,
    about: Identity | None = None,
    age_days: float = 2,
) -> bytes:
    """An OCSP answer in DER."""
    made = NOW - timedelta(days=age_days)
    revoked = made if status == "REVOKED" else None
    builder = ocsp.OCSPResponseBuilder().add_response(
        (about or leaf).certificate,
        OURS.intermediate.certificate,
        hashes.SHA1(),  # HAProxy knows certificates by this alone
        ocsp.OCSPCertStatus[status],
        made,
        None if days is None else NOW + timedelta(days=days),
        revoked,
        None,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, by.intermediate.certificate)
    key = by.intermediate.key
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@contextlib.contextmanager
def haproxy(leaf: Identity, staple: bytes) -> Iterator[int]:
    """A real HAProxy that staples this answer; yields its port."""
    work = Path(tempfile.mkdtemp(prefix="gonogo-staple-", dir="/tmp"))
    work.chmod(0o755)
    config, pem = work / "haproxy.cfg", work / "web.pem"
    pem.write_bytes(OURS.chain(leaf) + leaf.key_pem)
    (work / "web.pem.ocsp").write_bytes(staple)
    with listening_socket(host=EDGE) as sock:
        config.write_text(
            f"defaults\n mode http\n timeout client 5s\nfrontend f\n bind fd@{sock.fileno()} ssl crt {pem}\n"
        )
        for path in (config, pem, work / "web.pem.ocsp"):
            processes.give_away(path)
        child = proxy.start(proxy.find_haproxy(), config, [sock.fileno()], work / "log")
        port = port_of(sock)
    try:
        proxy.wait_until_served(child, port, leaf)
        yield port
    finally:
        processes.stop_all([child])
        shutil.rmtree(work, ignore_errors=True)


def test_stapled_answers() -> None:
    leaf = OURS.issue([HOST], shape=Shape(must_staple=True))
    pems = {"pem": leaf.pem.decode(), "issuer_pem": OURS.intermediate.pem.decode()}
    with haproxy(leaf, answer_for(leaf)) as port:
        assert stapled(HOST, EDGE, port, **pems).status == "good"
        foreign = stapled(HOST, EDGE, port, pem=pems["pem"], issuer_pem=OTHERS.intermediate.pem.decode())

    assert (foreign.status, foreign.detail) == (
        "unknown",
        "the stapled answer is not signed by the certificate's issuer",
    )


def test_a_server_whose_staple_is_encrypted(tmp_path: Path) -> None:
    context = servers.authority(tmp_path).context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    leaf = OURS.issue([HOST])
    with (
        servers.serve(servers.answer(b"ok"), context) as server,
        pytest.raises(ToolError, match="TLS 1.3 alone.*openssl s_client -status"),
    ):
        stapled(HOST, *server.address, pem=leaf.pem.decode(), issuer_pem=OURS.intermediate.pem.decode())


def with_ocsp(url: str, crl_url: str = "") -> Identity:
    """A leaf whose issuer answers at this address, and has its list at the other."""
    leaf = OURS.issue([HOST])
    old = leaf.certificate
    access = x509.AccessDescription(
        x509.oid.AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url)
    )
    builder = x509.CertificateBuilder(
        old.issuer,
        old.subject,
        old.public_key(),
        old.serial_number,
        old.not_valid_before_utc,
        old.not_valid_after_utc,
    ).add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    builder = Shape(crl_url=crl_url).add_to(builder)
    key = OURS.intermediate.key
    return Identity(builder.sign(key, hashes.SHA256()), leaf.key)


@pytest.mark.parametrize(
    ("how", "status", "says"),
    [
        ({}, "good", "by http://127.0.0.1:"),
        ({"status": "REVOKED"}, "revoked", ", since 20"),
        ({"status": "UNKNOWN"}, "unknown", "by http://127.0.0.1:"),
        ({"days": None}, "good", "by http://127.0.0.1:"),
        ({"days": None, "age_days": 400}, "unknown", "does not say how long it holds"),
        ({"days": -1}, "unknown", "is out of date since"),
        ({"by": OTHERS}, "unknown", "is not signed by the certificate's issuer"),
        ({"about": OURS.issue(["b.test"])}, "unknown", "speaks of another certificate"),
    ],
)
def test_ocsp(how: dict[str, object], status: str, says: str) -> None:
    body: list[bytes] = []

    def handler(connection: servers.socket.socket, stopping: servers.threading.Event) -> None:
        servers.answer(body[0])(connection, stopping)

    with servers.serve(handler) as server:
        leaf = with_ocsp(f"{server.url}/ocsp")
        body.append(answer_for(leaf, **how))  # type: ignore[arg-type]
        facts = revocation(leaf.pem.decode(), OURS.intermediate.pem.decode(), 2.0)

    assert (facts.status, says in facts.detail) == (status, True), facts


def test_a_responder_that_does_not_know_it_is_not_the_last_to_be_asked() -> None:
    """The list says that it was revoked."""
    authority, body = dataclasses.replace(OURS, revoked=[]), list[bytes]()

    def handler(connection: servers.socket.socket, stopping: servers.threading.Event) -> None:
        head = servers.read_request(connection)
        data = body[0] if head.startswith(b"POST") else authority.revocation_list()
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + data)

    with servers.serve(handler) as server:
        leaf = with_ocsp(f"{server.url}/ocsp", f"{server.url}/x.crl")
        body.append(answer_for(leaf, status="UNKNOWN"))
        authority.revoked.append(leaf.certificate)
        facts = revocation(leaf.pem.decode(), OURS.intermediate.pem.decode(), 2.0)

    assert facts.status == "revoked", facts
