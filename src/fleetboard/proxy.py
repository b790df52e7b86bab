"""HAProxy in front of the application processes: TLS, and requests in turn."""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
import signal
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from fleetboard import processes
from fleetboard.errors import StartError
from fleetboard.pki import Authority, Identity
from fleetboard.ports import EDGE, HOST
from fleetboard.zone import APP_NAME

_VARIABLE = "FLEETBOARD_HAPROXY"
_START_S = 20.0
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
    bind fd@{fd} ssl crt {pem} alpn http/1.1 {protocols}
    http-request set-header X-Forwarded-Proto https
    default_backend app
backend app
    balance roundrobin
    option abortonclose
    # Every request of this application may be sent again: it only reads.
    retry-on conn-failure empty-response
{servers}
"""

_MODERN = (
    "ssl-min-ver TLSv1.2 ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305 curves X25519:P-256"
)
# OpenSSL 3 signs nothing with SHA-1, and so talks no TLS 1.0, above security level 0.
_OUTDATED = "ssl-min-ver TLSv1.0 ciphers DEFAULT:@SECLEVEL=0"


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


def issue_web_certificate(authority: Authority, faults: Sequence[str]) -> tuple[Identity, bytes]:
    """The leaf that clients see, and the PEM that HAProxy loads: chain, then key."""
    names = ["other.fleet.test"] if "wrong-name-certificate" in faults else [APP_NAME]
    if "expired-certificate" in faults:
        leaf = authority.issue(names, days=-2, age_days=88)
    elif "certificate-expires-soon" in faults:
        leaf = authority.issue(names, days=5, age_days=85)
    else:
        leaf = authority.issue(names)
    sent = leaf.pem if "missing-intermediate" in faults else authority.chain(leaf)
    return leaf, sent + leaf.key_pem


def write_config(work: Path, pem: bytes, fd: int, backends: Mapping[str, int], faults: Sequence[str]) -> Path:
    """Write configuration and certificate where the servers' user can read them; returns the former."""
    certificate = work / "web.pem"
    certificate.touch(mode=0o600)
    certificate.write_bytes(pem)
    processes.give_away(certificate)
    lines = [f"    server {name} {HOST}:{port} check inter 1s" for name, port in backends.items()]
    protocols = _OUTDATED if "tls-1.0-enabled" in faults else _MODERN
    admin = admin_socket(work)
    admin.parent.mkdir(mode=0o700)  # HAProxy makes its socket beside a temporary one, under its own user
    processes.give_away(admin.parent)
    path = work / "haproxy.cfg"
    text = _CONFIG.format(fd=fd, pem=certificate, protocols=protocols, servers="\n".join(lines), socket=admin)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)
    return path


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


def start(program: str, config: Path, fd: int, log: Path) -> processes.Child:
    """Start HAProxy in the foreground, on the inherited socket."""
    return processes.spawn(
        "haproxy",
        [program, "-db", "-f", str(config)],
        log,
        unprivileged=True,
        stop_signal=signal.SIGTERM,
        fds=[fd],
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
