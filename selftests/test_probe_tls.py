"""The TLS probe describes bad certificates instead of failing on them; versions are tried one by one."""

from __future__ import annotations

import ssl
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

import servers
from fleetboard.pki import Authority, Shape
from gonogo.errors import TargetError, ToolError
from gonogo.probes.tls import TlsFacts, inspect
from gonogo.probes.tls_policy import protocols

HOST = "app.fleet.test"


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> servers.Authority:
    return servers.authority(tmp_path_factory.mktemp("ca"))


def look(ca: servers.Authority, ca_file: Path | None = None, **leaf: object) -> TlsFacts:
    context = ca.context(**leaf)  # type: ignore[arg-type]
    with servers.serve(servers.answer(b"ok"), context) as server:
        return inspect(HOST, *server.address, ca_file or ca.ca_file, 2.0)


def test_good_certificate(ca: servers.Authority) -> None:
    """A good chain is described and trusted."""
    facts = look(ca)

    assert (facts.trusted, facts.trust_error, facts.name_matches) == (True, "", True)
    assert facts.names == (HOST,)
    assert [one.subject for one in facts.certificates] == [f"CN={HOST}", "CN=Selftest Intermediate"]
    assert [one.subject for one in facts.path[1:]] == ["CN=Selftest Intermediate", "CN=Selftest Root"]
    assert (facts.order_errors, facts.root_sent) == ((), False)
    assert facts.chain_pem.count("BEGIN CERTIFICATE") == 2
    assert (facts.leaf.key_type, facts.leaf.key_bits, facts.leaf.signature_hash) == ("EC", 256, "sha256")
    assert facts.leaf.days_left(datetime.now(UTC)) == pytest.approx(90, abs=0.01)


@pytest.mark.parametrize(
    ("leaf", "says"),
    [
        ({"days": -2}, f"CN={HOST} expired on "),
        ({"send_intermediate": False}, "CN=Selftest Intermediate, was not sent"),
    ],
)
def test_bad_chain(ca: servers.Authority, leaf: dict[str, object], says: str) -> None:
    """An expired or incomplete chain is not trusted, and the reason is in words."""
    facts = look(ca, **leaf)

    assert not facts.trusted
    assert says in facts.trust_error
    assert facts.name_matches


def test_wrong_name_is_not_a_bad_chain(ca: servers.Authority) -> None:
    """A certificate for another host: the path is good, the name is not."""
    facts = look(ca, name="other.fleet.test")

    assert facts.trusted
    assert not facts.name_matches


@pytest.mark.parametrize(
    ("name", "covers"),
    [("*.fleet.test", True), ("*.test", False), ("fleet.test", False), ("APP.fleet.test", True)],
)
def test_names(ca: servers.Authority, name: str, covers: bool) -> None:
    """A star stands for exactly one label; case does not matter."""
    assert look(ca, name=name).name_matches is covers


def test_unknown_authority(ca: servers.Authority, tmp_path: Path) -> None:
    """A chain of another authority is not trusted."""
    facts = look(ca, servers.authority(tmp_path).ca_file)

    assert not facts.trusted
    assert facts.trust_error


def test_expiring_certificate_tells_its_days(ca: servers.Authority) -> None:
    """Five days are five days, and still trusted."""
    facts = look(ca, days=5)

    assert facts.trusted
    assert facts.leaf.days_left(datetime.now(UTC)) == pytest.approx(5, abs=0.01)


@pytest.mark.parametrize(
    ("oldest", "accepted"),
    [
        (ssl.TLSVersion.TLSv1_2, ("TLSv1.2", "TLSv1.3")),
        (ssl.TLSVersion.TLSv1_3, ("TLSv1.3",)),
        (ssl.TLSVersion.TLSv1, ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_protocols(ca: servers.Authority, oldest: ssl.TLSVersion, accepted: tuple[str, ...]) -> None:
    """Each version that the server accepts is found, and no other."""
    with servers.serve(servers.answer(b"ok"), ca.context(oldest=oldest)) as server:
        assert protocols(HOST, *server.address, 5.0) == accepted


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (servers.hang, "did not complete a TLS handshake within 1 s"),
        (servers.garbage, "failed the TLS handshake"),
        (servers.hang_up, "failed the TLS handshake"),
        (servers.drip(b"\x16\x03\x03\x40\x00", b"\x02"), "within 1 s"),
    ],
)
def test_bad_server(ca: servers.Authority, handler: servers.Handler, says: str) -> None:
    """A server that is no TLS server ends in a sentence within the limit."""
    started = time.monotonic()
    with servers.serve(handler) as server, pytest.raises(TargetError, match=says):
        inspect(HOST, *server.address, ca.ca_file, 1.0)

    assert time.monotonic() - started < 2.5


def test_hanging_server_does_not_pass_for_a_refusal() -> None:
    """Silence is no proof that an old version is refused."""
    with (
        servers.serve(servers.hang) as server,
        pytest.raises(TargetError, match="neither accepted nor refused"),
    ):
        protocols(HOST, *server.address, 1.0)


@pytest.mark.parametrize("handler", [servers.garbage, servers.hang_up])
def test_server_without_tls_accepts_nothing(handler: servers.Handler) -> None:
    """A server that speaks no TLS accepts no version."""
    with servers.serve(handler) as server:
        assert protocols(HOST, *server.address, 2.0) == ()


def test_closed_port(ca: servers.Authority) -> None:
    """Nobody listens: both say so."""
    port = servers.free_port()
    with pytest.raises(TargetError, match="refused the connection"):
        inspect(HOST, "127.0.0.1", port, ca.ca_file, 1.0)
    with pytest.raises(TargetError, match="refused the connection"):
        protocols(HOST, "127.0.0.1", port, 1.0)


@pytest.mark.parametrize(("content", "says"), [(None, "can't be read"), ("text", "holds no certificate")])
def test_unreadable_authorities(tmp_path: Path, content: str | None, says: str) -> None:
    """A missing or empty ca_file is our own fault."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ToolError, match=says):
        inspect(HOST, "127.0.0.1", 1, file, 1.0)


def test_authorities_of_the_system(ca: servers.Authority) -> None:
    """Without a ca_file the machine's own list is used, whatever old certificates stand on it."""
    with servers.serve(servers.answer(b"ok"), ca.context()) as server:
        facts = inspect(HOST, *server.address, None, 2.0)

    assert not facts.trusted
    assert facts.trust_error


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_trust_in_a_server_of_old_versions_alone(ca: servers.Authority, tmp_path: Path) -> None:
    """Where no modern handshake comes about, the path is judged all the same."""
    context = ca.context(oldest=ssl.TLSVersion.TLSv1)
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with servers.serve(servers.answer(b"ok"), context) as server:
        good = inspect(HOST, *server.address, ca.ca_file, 2.0)
        bad = inspect(HOST, *server.address, servers.authority(tmp_path).ca_file, 2.0)

    assert (good.version, good.trusted) == ("TLSv1.1", True)
    assert not bad.trusted
    assert "its key did not sign it" in bad.trust_error


def test_self_made_certificate_that_the_plan_trusts(tmp_path: Path) -> None:
    """A certificate that is its own authority is as good as clients with that ca_file take it."""
    leaf = Authority.create().issue([HOST], shape=Shape(self_signed=True))
    (tmp_path / "leaf.pem").write_bytes(leaf.pem + leaf.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "leaf.pem")
    with servers.serve(servers.answer(b"ok"), context) as server:
        facts = inspect(HOST, *server.address, tmp_path / "leaf.pem", 2.0)

    assert (facts.trusted, facts.order_errors, len(facts.path)) == (True, (), 1)


def test_silent_drip_ends_in_time() -> None:
    """A handshake that comes byte by byte is held to its limit, by the messages of our own too."""
    started = time.monotonic()
    with (
        servers.serve(servers.drip(b"\x16\x03\x03\x40\x00", b"\x02")) as server,
        pytest.raises(TargetError, match="neither accepted nor refused SSLv3 within 0.5 s"),
    ):
        protocols(HOST, *server.address, 0.5)

    assert time.monotonic() - started < 1.5
