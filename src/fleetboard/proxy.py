"""HAProxy in front of the application processes: TLS, and requests in turn."""

from __future__ import annotations

import csv
import hashlib
import os
import re
import shutil
import signal
import socket
import ssl
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from fleetboard import edge_http, edge_tls, processes, switching
from fleetboard.errors import StartError
from fleetboard.pki import Authority, Identity
from fleetboard.ports import EDGE, HOST, SECOND_EDGE, listening_socket, port_of
from fleetboard.zone import APP_NAME

_VARIABLE = "FLEETBOARD_HAPROXY"
_NAME = "haproxy"
_START_S = 20.0
_OPENSSL = "openssl.cnf"
_ADMIN_S = 5.0
_DRAIN_S = 1.0

_CONFIG = """\
global
    log stdout format raw local0 info
    maxconn 2000
    nbthread 1
    stats socket {socket} mode 600 level admin
    tune.ssl.default-dh-param 2048
defaults
    mode http
    log global
    option httplog
    option dontlog-normal
    option dontlognull
    option redispatch
    retries 2
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
    timeout http-request 10s
frontend web
{binds}
{web}
    default_backend app
frontend plain
{plain}
backend app
    balance roundrobin
    option abortonclose
    # What only reads may be sent again; a write that got no answer may have been carried out.
    retry-on conn-failure empty-response
    http-request disable-l7-retry unless METH_GET
{servers}
{exposed}
"""


def find_haproxy() -> str:
    """Path of the program, tried under the servers' user.

    Raises:
        StartError: there is none that runs; the message says what to install.
    """
    configured = os.environ.get(_VARIABLE)
    candidates = [configured] if configured else [shutil.which("haproxy"), "/usr/sbin/haproxy"]
    for candidate in candidates:
        if candidate and processes.can_run([candidate, "-v"], unprivileged=True):
            return candidate
    tried = ", ".join(candidate for candidate in candidates if candidate)
    raise StartError(
        f"HAProxy does not run here (tried {tried}); install the package haproxy, for instance with "
        f"'apt-get install haproxy', or set {_VARIABLE} to the program"
    )


@dataclass(frozen=True)
class Front:
    """A proxy that is up: its outer ports, and what it was started with."""

    port: int
    plain_port: int
    program: str
    config: Path
    log: Path
    leaf: Identity

    @property
    def base_url(self) -> str:
        """Where users come in."""
        return f"https://{APP_NAME}:{self.port}"

    def restart(self, children: list[processes.Child], away_s: float) -> None:
        """Stop HAProxy, and start it again after a while in which nobody listens; must run in the main thread.

        Args:
            children: its process is replaced by the new one.
            away_s: for so long connections are refused; the ports stay ours.

        Raises:
            StartError: it did not come up again.
        """
        place = next(at for at, child in enumerate(children) if child.name == _NAME)
        processes.stop_all([children[place]])
        with _bound(self.port) as web, _bound(self.plain_port) as plain:
            time.sleep(away_s)
            numbers = iter((web.fileno(), plain.fileno()))  # in the order in which the configuration has them
            text = self.config.read_text(encoding="utf-8")
            self.config.write_text(re.sub(r"fd@\d+", lambda _: f"fd@{next(numbers)}", text), encoding="utf-8")
            for sock in (web, plain):
                sock.listen(512)
            children[place] = start(self.program, self.config, [web.fileno(), plain.fileno()], self.log)
        wait_until_served(children[place], self.port, self.leaf)


def bring_up(
    work: Path,
    log: Path,
    faults: Sequence[str],
    *,
    program: str,
    authority: Authority,
    backends: Mapping[str, int],
    database: int,
    children: list[processes.Child],
    closing: ExitStack,
    idle: Collection[str] = (),
) -> Front:
    """Start HAProxy with everything that it needs, and wait until it serves; must run in the main thread.

    Args:
        work: folder for its files.
        log: where it writes.
        faults: what is to be wrong.
        program: HAProxy itself.
        authority: issues its certificates.
        backends: loopback ports of the application processes, by name.
        database: the database's port on the inner side.
        children: gets the process.
        closing: gets what is to be ended after it.
        idle: backends that get no requests until their weight is raised.

    Raises:
        StartError: it is missing, or did not come up.
    """
    revocations = edge_tls.RevocationServer(authority)
    revocations.start()
    closing.callback(revocations.stop)
    leaf, pem = edge_tls.issue_web_certificate(authority, faults, revocations.url)
    inner = {database, *backends.values()}
    with _outer_socket(inner) as web, _outer_socket(inner) as plain:
        config = write_config(
            work,
            pem,
            web.fileno(),
            backends,
            faults,
            plain=plain.fileno(),
            database=database,
            second=edge_tls.second(authority, faults, revocations.url),
            idle=idle,
        )
        child = start(program, config, [web.fileno(), plain.fileno()], log)
        children.append(child)
        front = Front(port_of(web), port_of(plain), program, config, log, leaf)
    wait_until_served(child, front.port, leaf)
    return front


def _outer_socket(inner: Collection[int]) -> socket.socket:
    # An outer port with the number of an inner one would look as if that were exposed.
    while True:
        sock = listening_socket(host=EDGE)
        if port_of(sock) not in inner:
            # What is left of its connections must not keep the port from a proxy that is started again.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            return sock
        sock.close()


def _bound(port: int) -> socket.socket:
    """A socket that has an outer port, and does not listen."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((EDGE, port))
    return sock


def write_config(
    work: Path,
    pem: bytes,
    fd: int,
    backends: Mapping[str, int],
    faults: Sequence[str],
    *,
    plain: int,
    database: int,
    second: bytes | None = None,
    idle: Collection[str] = (),
) -> Path:
    """Write configuration and certificates where the servers' user can read them; returns the former.

    Args:
        work: folder for them.
        pem: chain and key that are served on the inherited socket.
        fd: that socket.
        backends: loopback ports of the application processes, by name.
        faults: what is to be wrong.
        plain: a listening socket for plain HTTP.
        database: the database's port on the inner side.
        second: chain and key for the second outer address, on the same port; ``None`` if there is only one.
        idle: backends that get no requests until their weight is raised.
    """
    port = _port(fd)
    binds = [_bind(f"fd@{fd}", work / "web.pem", pem, faults)]
    plain_binds = [f"    bind fd@{plain}"]
    if second is not None:
        binds.append(_bind(f"{SECOND_EDGE}:{port}", work / "second.pem", second, faults))
        plain_binds.append(f"    bind {SECOND_EDGE}:{_port(plain)}")
    lines = switching.rules(faults, backends)
    for name, backend in backends.items():
        weight = " weight 0" if name in idle else ""
        lines.append(f"    server {name} {HOST}:{backend} check inter 1s{weight}")
    admin = admin_socket(work)
    admin.parent.mkdir(mode=0o700)  # HAProxy makes its socket beside a temporary one, under its own user
    processes.give_away(admin.parent)
    path = work / "haproxy.cfg"
    text = _CONFIG.format(
        socket=admin,
        binds="\n".join(binds),
        web=edge_http.web_rules(faults, port),
        plain="\n".join([*plain_binds, edge_http.plain_rules(faults, port)]),
        servers="\n".join(lines),
        exposed=edge_http.exposed(faults, database),
    )
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)
    edge_tls.write_openssl_config(path.with_name(_OPENSSL), faults)
    return path


def _bind(where: str, certificate: Path, pem: bytes, faults: Sequence[str]) -> str:
    certificate.touch(mode=0o600)
    certificate.write_bytes(pem)
    processes.give_away(certificate)
    return f"    bind {where} ssl crt {certificate} alpn {edge_http.alpn(faults)} {edge_tls.bind_options(faults)}"


def _port(fd: int) -> int:
    with socket.socket(fileno=os.dup(fd)) as sock:
        return port_of(sock)


def admin_socket(work: Path) -> Path:
    """Where HAProxy takes commands: its user and root only."""
    return work / "haproxy" / "admin.sock"


class Admin:
    """HAProxy's admin socket: takes servers out of turn and puts them back."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def drain(self, server: str, timeout_s: float = _DRAIN_S) -> None:
        """Send no new requests to a server, and wait until those it has are done, or the time is up.

        Raises:
            StartError: HAProxy does not know the server, or does not answer.
        """
        self._order(f"set server app/{server} state drain")
        end = time.monotonic() + timeout_s
        while self._sessions(server) and time.monotonic() < end:  # a WebSocket stays until its server ends
            time.sleep(0.02)

    def ready(self, server: str) -> None:
        """Give a server its share of requests again.

        Raises:
            StartError: HAProxy does not know the server, or does not answer.
        """
        self._order(f"set server app/{server} state ready")

    def _order(self, command: str) -> None:
        if answer := self._ask(command).strip():
            raise StartError(f"haproxy refused {command!r}: {answer}")

    def _sessions(self, server: str) -> int:
        rows = csv.DictReader(self._ask("show stat").removeprefix("# ").splitlines())
        return next((int(row["scur"]) for row in rows if (row["pxname"], row["svname"]) == ("app", server)), 0)

    def _ask(self, command: str) -> str:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
                peer.settimeout(_ADMIN_S)
                peer.connect(str(self._path))
                peer.sendall(command.encode() + b"\n")
                parts = []
                while part := peer.recv(65_536):
                    parts.append(part)
        except OSError as error:
            raise StartError(f"haproxy does not take {command!r}: {error}") from error
        return b"".join(parts).decode()


def start(program: str, config: Path, fds: Sequence[int], log: Path) -> processes.Child:
    """Start HAProxy in the foreground, on the inherited sockets."""
    openssl = config.with_name(_OPENSSL)
    env = {**os.environ, "OPENSSL_CONF": str(openssl)} if openssl.exists() else None
    return processes.spawn(
        _NAME,
        [program, "-db", "-f", str(config)],
        log,
        unprivileged=True,
        stop_signal=signal.SIGTERM,
        env=env,
        fds=fds,
    )


def wait_until_served(child: processes.Child, port: int, leaf: Identity) -> None:
    """Wait until a handshake shows the certificate that was issued.

    The chain is left unverified, since a fault may have spoiled it on purpose; the leaf itself must be ours.

    Raises:
        StartError: HAProxy ended, shows another certificate, or did not answer in time.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    expected = hashlib.sha256(ssl.PEM_cert_to_DER_cert(leaf.pem.decode())).digest()
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        if child.process.poll() is not None:
            raise StartError(f"haproxy ended with status {child.process.returncode}: {child.last_words()}")
        try:
            with (
                socket.create_connection((EDGE, port), timeout=0.5) as raw,
                context.wrap_socket(raw, server_hostname=APP_NAME) as tls,
            ):
                shown = tls.getpeercert(binary_form=True) or b""
        except OSError:
            time.sleep(0.03)
            continue
        if hashlib.sha256(shown).digest() != expected:
            raise StartError("haproxy shows a certificate that this target did not issue")
        return
    raise StartError(f"haproxy did not answer within {_START_S:.0f} s: {child.last_words()}")
