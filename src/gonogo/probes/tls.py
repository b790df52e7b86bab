"""Looks at the certificates of a TLS server.

The chain is read without verification, so that a bad one can be described, and is then
verified in a handshake of its own, as a client would, against the same authorities.
"""

from __future__ import annotations

import ssl
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from gonogo.errors import TargetError, ToolError
from gonogo.network import reason
from gonogo.tls_chain import (
    CertificateFacts,
    anchored,
    covers,
    describe,
    explain,
    names_of,
    order_errors,
    path_through,
    read,
    read_pem,
    tolerant,
    unsent,
    verify,
)
from gonogo.tls_hello import dial

_SUITES = {"RSA": "aRSA", "ECDSA": "aECDSA"}
"""Suites of TLS 1.2 that show a certificate with such a key, as OpenSSL calls them."""

_UNREADABLE = (
    ValueError,
    IndexError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True)
class TlsFacts:
    """What a server showed in one handshake, and what verification says of it."""

    host: str
    address: str
    version: str
    cipher: str
    names: tuple[str, ...]
    """Names and addresses that the leaf certificate is for."""
    certificates: tuple[CertificateFacts, ...]
    """As sent, leaf first."""
    path: tuple[CertificateFacts, ...]
    """From the leaf to the authority, or as far as it leads."""
    order_errors: tuple[str, ...]
    """What was sent in the wrong place, twice, or without belonging to the chain."""
    trusted: bool
    """A path leads to a known authority now, the name left aside."""
    trust_error: str
    """Why not; empty if trusted."""
    name_matches: bool
    """The leaf is for ``host``."""
    unsent: tuple[str, ...]
    """Certificates of the path, the root aside, that our list of authorities had and the server did not send."""
    asked_for: str = ""
    """Kind of key that alone was offered, ``RSA`` or ``ECDSA``; empty if the server had the choice."""

    @property
    def where(self) -> str:
        """The address, and what was asked for there."""
        return f"{self.address} asked for {self.asked_for}" if self.asked_for else self.address

    @property
    def leaf(self) -> CertificateFacts:
        """The server's own certificate."""
        return self.certificates[0]

    @property
    def root_sent(self) -> bool:
        """The last one sent is a root, which clients have already; allowed, and of no use."""
        return len(self.certificates) > 1 and self.certificates[-1].is_root

    @property
    def chain_pem(self) -> str:
        """All that was sent."""
        return "".join(one.pem for one in self.certificates)


def inspect_each(
    host: str, ip: str, port: int, ca_file: Path | str | None = None, timeout_s: float = 5.0
) -> tuple[TlsFacts, ...]:
    """Reads and verifies each certificate that a server chooses by what its clients can check.

    Many have one with an RSA key beside one with an ECDSA key, renewed apart. The second is asked for in TLS 1.2;
    where only 1.3 is spoken, the first alone can be seen.

    Args:
        host: as for :func:`inspect`, and so are the others.
        ip: address to connect to.
        port: TCP port.
        ca_file: PEM file of the authorities to trust.
        timeout_s: limit in seconds for each connection.

    Raises:
        TargetError: as :func:`inspect`; not having a second certificate is none.
        InconclusiveError: as :func:`inspect`.
        ToolError: as :func:`inspect`.
    """
    first = inspect(host, ip, port, ca_file, timeout_s)
    other = "ECDSA" if first.leaf.key_type == "RSA" else "RSA"
    try:
        second = inspect(host, ip, port, ca_file, timeout_s, key=other)
    except _RefusedError:
        return (first,)
    return (first,) if second.leaf.fingerprint == first.leaf.fingerprint else (first, second)


class _RefusedError(TargetError):
    """The server ended the handshake."""


def inspect(
    host: str, ip: str, port: int, ca_file: Path | str | None = None, timeout_s: float = 5.0, *, key: str = ""
) -> TlsFacts:
    """Reads a server's certificates and verifies them.

    Args:
        host: the name that is asked for (SNI) and that the leaf must be for.
        ip: address to connect to.
        port: TCP port.
        ca_file: PEM file of the authorities to trust; the system's if ``None``.
        timeout_s: limit in seconds for each of two connections with their handshakes.
        key: ask for a certificate with such a key, ``RSA`` or ``ECDSA``, and nothing else.

    Raises:
        TargetError: no connection, no handshake, or an unreadable certificate.
        InconclusiveError: this machine can't reach addresses of that family.
        ToolError: there is no usable list of authorities.
    """
    roots = _authorities(ca_file)
    where = f"{host} ({ip} port {port})"
    server = (host, ip, port, timeout_s)
    try:
        refusal: ssl.SSLCertVerificationError | None = None
        try:
            # What is described is what was verified: another connection may end at another machine.
            connection, verified = _handshake(_only(_strict_context(ca_file), key), *server), True
        except TimeoutError:
            raise
        except OSError as error:
            refusal = error if isinstance(error, ssl.SSLCertVerificationError) else None
            connection, verified = _handshake(_only(_open_context(), key), *server), False
        with connection:
            der = _sent_chain(connection)
            version, cipher = connection.version() or "", (connection.cipher() or ("",))[0]
    except TimeoutError:
        raise TargetError(f"{where} did not complete a TLS handshake within {timeout_s:g} s") from None
    except OSError as error:
        raise _RefusedError(f"{where} failed the TLS handshake: {reason(error)}") from None
    try:
        sent = read(der)
        with tolerant():
            names = names_of(sent[0])
            path = path_through(sent, roots)
            trust_error = "" if verified else _trust_error(refusal, sent, roots)
            trust_error = trust_error if names else "the certificate names no host"
            return TlsFacts(
                host=host,
                address=ip,
                version=version,
                cipher=cipher,
                names=names,
                certificates=tuple(describe(one) for one in sent),
                path=tuple(describe(one) for one in anchored(path, roots)),
                order_errors=order_errors(sent, path),
                trusted=not trust_error,
                trust_error=trust_error,
                name_matches=any(covers(name, host) for name in names),
                unsent=unsent(sent, path),
                asked_for=key,
            )
    except _UNREADABLE as error:
        raise TargetError(f"{where} sent a certificate that can't be read: {error}") from None


def _trust_error(
    refusal: ssl.SSLCertVerificationError | None,
    sent: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
) -> str:
    """Why a client with these authorities refuses the chain; empty if it does not.

    OpenSSL's word counts, since most clients are made of it. Only where its handshake failed for another
    reason, as with a server that speaks old versions alone, the path is judged without it.
    """
    now = datetime.now(UTC)
    if refusal:
        return explain(sent, roots, now) or refusal.verify_message or "it could not be verified"
    names = names_of(sent[0])
    if not names or not verify(sent, roots, names, now):
        return ""
    return explain(sent, roots, now) or "no path is valid"


def _only(context: ssl.SSLContext, key: str) -> ssl.SSLContext:
    """The context, or one that takes certificates with such a key alone."""
    if key:
        open_to_all = context.verify_mode is ssl.CERT_NONE
        context.set_ciphers(_SUITES[key] + (":@SECLEVEL=0" if open_to_all else ":!aNULL"))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def _open_context() -> ssl.SSLContext:
    """A context that accepts anything: what is looked at must not be hidden by our own rules."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        # Old versions are deprecated for use; here they are accepted to be described.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    return context


def _strict_context(ca_file: Path | str | None) -> ssl.SSLContext:
    """A context that verifies the path; the name is held against the leaf elsewhere."""
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except OSError as error:
        raise ToolError(f"ca_file {ca_file} can't be used as a list of authorities: {reason(error)}") from None
    context.check_hostname = False
    # Python 3.13 adds rules that no browser has.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _handshake(context: ssl.SSLContext, host: str, ip: str, port: int, timeout_s: float) -> ssl.SSLSocket:
    ends = time.monotonic() + timeout_s
    plain = dial(ip, port, timeout_s, f"{host} ({ip} port {port})")
    try:
        # The handshake's limit is for all of it, however slowly the bytes come in.
        plain.settimeout(max(ends - time.monotonic(), 0.001))
        return context.wrap_socket(plain, server_hostname=host.rstrip("."))
    finally:
        # wrap_socket takes the descriptor over; if it failed before that, this closes it.
        plain.close()


def _sent_chain(connection: ssl.SSLSocket) -> list[bytes]:
    """The certificates in DER, as the server sent them, leaf first."""
    public = getattr(connection, "get_unverified_chain", None)
    if public is not None:
        return list(public())
    # Before Python 3.13 the same list is only to be had from the private object underneath.
    private: Any = getattr(connection, "_sslobj", None)
    chain = private.get_unverified_chain() or []
    return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in chain]


def _authorities(ca_file: Path | str | None) -> list[x509.Certificate]:
    """The certificates to trust: those of a file, or those that OpenSSL uses on this machine."""
    if ca_file:
        files: Sequence[Path] = [Path(ca_file)]
    else:
        paths = ssl.get_default_verify_paths()
        folder = Path(paths.capath) if paths.capath else None
        files = [Path(paths.cafile)] if paths.cafile else sorted(folder.glob("*.0")) if folder else []
    roots: list[x509.Certificate] = []
    for file in files:
        try:
            roots += read_pem(file.read_bytes())
        except OSError as error:
            if ca_file:
                raise ToolError(f"ca_file {file} can't be read: {error.strerror}") from None
    if not roots and ca_file:
        raise ToolError(f"ca_file {ca_file} holds no certificate; it must be a PEM file")
    if not roots:
        raise ToolError(
            "this machine has no list of trusted authorities; install ca-certificates or name a ca_file"
        )
    return roots
