"""TLS at the edge: the certificates that clients see, how HAProxy speaks with them, who was revoked."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from fleetboard.pki import PLAIN, Authority, Identity, Shape
from fleetboard.ports import HOST
from fleetboard.zone import APP_NAME

_MODERN = (
    "ssl-min-ver TLSv1.2 ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305 curves X25519:P-256"
)
# OpenSSL 3 signs nothing with SHA-1, and so talks no TLS 1.0, above security level 0.
_OUTDATED = "ssl-min-ver TLSv1.0 ciphers DEFAULT:@SECLEVEL=0"
_FOR_RSA = "ssl-min-ver TLSv1.2 ciphers ECDHE-RSA-AES128-GCM-SHA256{more} curves X25519:P-256"
_LENIENT = """\
openssl_conf = defaults
[defaults]
ssl_conf = ssl
[ssl]
system_default = level
[level]
CipherString = DEFAULT:@SECLEVEL=0
"""

_TIMES = {
    "expired-certificate": (-2.0, 88.0),
    "not-yet-valid-certificate": (92.0, -2.0),
    "certificate-expires-soon": (5.0, 85.0),
}
"""Days to the end of the leaf, and days since its beginning, by fault."""

_NAMES = {
    "wrong-name-certificate": "other.fleet.test",
    "wildcard-one-level-off": f"*.{APP_NAME}",
}

_SHAPES = {
    "self-signed-certificate": Shape(self_signed=True),
    "weak-key-certificate": Shape(rsa_bits=1024),
    "sha1-certificate": Shape(sha1=True),
    "must-staple-without-staple": Shape(must_staple=True),
    "weak-suite-enabled": Shape(rsa_bits=2048),
}


def bind_options(faults: Sequence[str]) -> str:
    """Protocols, suites and curves of a ``bind`` line."""
    if "tls-1.0-enabled" in faults:
        return _OUTDATED
    if "weak-suite-enabled" in faults:
        return _FOR_RSA.format(more=":AES128-SHA")
    return _FOR_RSA.format(more="") if "weak-key-certificate" in faults else _MODERN


def write_openssl_config(path: Path, faults: Sequence[str]) -> None:
    """Let HAProxy load a certificate that OpenSSL thinks too weak; without such a fault nothing is written."""
    if {"weak-key-certificate", "sha1-certificate"} & set(faults):
        path.write_text(_LENIENT, encoding="utf-8")
        path.chmod(0o644)


def issue_web_certificate(authority: Authority, faults: Sequence[str], crl_url: str = "") -> tuple[Identity, bytes]:
    """The leaf that clients see, and the PEM that HAProxy loads: chain, then key.

    Args:
        authority: whom clients trust.
        faults: what is to be wrong.
        crl_url: where the authority's list of revoked certificates is served; the leaf names it.
    """
    issuer = Authority.create() if "unknown-authority" in faults else authority
    days, age_days = next((_TIMES[fault] for fault in faults if fault in _TIMES), (90.0, 0.0))
    name = next((_NAMES[fault] for fault in faults if fault in _NAMES), APP_NAME)
    base = next((_SHAPES[fault] for fault in faults if fault in _SHAPES), PLAIN)
    # Nobody answers for a certificate that its own key signed.
    shape = base if base.self_signed else replace(base, crl_url=crl_url)
    leaf = issuer.issue([name], days=days, age_days=age_days, shape=shape)
    if "certificate-revoked" in faults:
        authority.revoked.append(leaf.certificate)
    return leaf, _sent(issuer, leaf, faults) + leaf.key_pem


def _sent(issuer: Authority, leaf: Identity, faults: Sequence[str]) -> bytes:
    """The certificates that the server sends along."""
    if "missing-intermediate" in faults or "self-signed-certificate" in faults:
        return leaf.pem
    if "wrong-chain-order" in faults:
        return leaf.pem + issuer.root.pem + issuer.intermediate.pem
    return issuer.chain(leaf)


def second(authority: Authority, faults: Sequence[str], crl_url: str = "") -> bytes | None:
    """Chain and key for a second outer address that differs from the first; ``None`` without such a fault."""
    if "old-certificate-on-second-address" not in faults:
        return None
    leaf = authority.issue([APP_NAME], days=5, age_days=85, shape=Shape(crl_url=crl_url))
    return authority.chain(leaf) + leaf.key_pem


class RevocationServer:
    """The authority's list of revoked certificates over plain HTTP; daemon threads of this process."""

    def __init__(self, authority: Authority) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = authority.revocation_list()
                self.send_response(200)
                self.send_header("Content-Type", "application/pkix-crl")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's interface
                """Nobody reads it."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self._server.server_address[1]}/intermediate.crl"
        """Where the list is."""

    def start(self) -> None:
        """Begin to answer."""
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True, name="crl").start()

    def stop(self) -> None:
        """Stop answering and free the port."""
        self._server.shutdown()
        self._server.server_close()
