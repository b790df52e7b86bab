"""Looks at certificates and protocol versions of a TLS server.

The chain is read without verification, so that a bad one can be described, and is then
verified apart, against the same authorities that a client would use.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import ssl
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from gonogo.errors import TargetError, ToolError

VERSIONS: dict[str, ssl.TLSVersion] = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
"""Versions that are tried, oldest first."""


@dataclass(frozen=True)
class TlsFacts:
    """What a server showed in one handshake, and what verification says of it."""

    host: str
    address: str
    version: str
    cipher: str
    subject: str
    issuer: str
    names: tuple[str, ...]
    """Names and addresses that the leaf certificate is for."""
    not_before: datetime
    not_after: datetime
    key_type: str
    """``RSA``, ``EC``, or the name of another kind."""
    key_bits: int
    """0 if the kind has no size of its own, as with Ed25519."""
    signature_hash: str
    """Empty if the signature has no separate hash."""
    chain: tuple[str, ...]
    """Subjects as sent, leaf first."""
    chain_pem: str
    trusted: bool
    """A path leads to a known authority now, the name left aside."""
    trust_error: str
    """Why not; empty if trusted."""
    name_matches: bool
    """The leaf is for ``host``."""

    def days_left(self, now: datetime) -> float:
        """Days from ``now`` until the leaf expires; negative once it has."""
        return (self.not_after - now).total_seconds() / 86_400


def inspect(
    host: str,
    ip: str,
    port: int,
    ca_file: Path | str | None = None,
    timeout_s: float = 5.0,
    *,
    now: datetime | None = None,
) -> TlsFacts:
    """Reads a server's certificates and verifies them.

    Args:
        host: the name that is asked for (SNI) and that the leaf must be for.
        ip: address to connect to.
        port: TCP port.
        ca_file: PEM file of the authorities to trust; the system's if ``None``.
        timeout_s: limit in seconds for connection and handshake together.
        now: time at which validity is judged (default: the present).

    Raises:
        TargetError: no connection, no handshake, or an unreadable certificate.
        ToolError: there is no usable list of authorities.
    """
    roots = _authorities(ca_file)
    where = f"{host} ({ip} port {port})"
    with _handshake(host, ip, port, timeout_s) as connection:
        der = _sent_chain(connection)
        version, cipher = connection.version() or "", (connection.cipher() or ("",))[0]
    try:
        with _tolerant():
            chain = [x509.load_der_x509_certificate(one) for one in der]
            names = _names(chain[0])
    except (ValueError, IndexError) as error:
        raise TargetError(f"{where} sent a certificate that can't be read: {error}") from None
    trust_error = _trust_error(chain, roots, names, now or datetime.now(UTC))
    return _facts(host, ip, (version, cipher), chain, trust_error)


def _facts(
    host: str, ip: str, agreed: tuple[str, str], chain: list[x509.Certificate], trust_error: str
) -> TlsFacts:
    leaf = chain[0]
    names = _names(leaf)
    key_type, key_bits = _key(leaf)
    return TlsFacts(
        host=host,
        address=ip,
        version=agreed[0],
        cipher=agreed[1],
        subject=leaf.subject.rfc4514_string(),
        issuer=leaf.issuer.rfc4514_string(),
        names=names,
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        key_type=key_type,
        key_bits=key_bits,
        signature_hash=_signature_hash(leaf),
        chain=tuple(one.subject.rfc4514_string() for one in chain),
        chain_pem="".join(one.public_bytes(Encoding.PEM).decode() for one in chain),
        trusted=not trust_error,
        trust_error=trust_error,
        name_matches=any(_covers(name, host) for name in names),
    )


def protocols(host: str, ip: str, port: int, timeout_s: float = 5.0) -> tuple[str, ...]:
    """The protocol versions that a server accepts, oldest first, one handshake for each.

    Args:
        host: the name that is asked for (SNI).
        ip: address to connect to.
        port: TCP port.
        timeout_s: limit in seconds for all handshakes together.

    Raises:
        TargetError: no connection, or a handshake that is neither completed nor refused.
        ToolError: the OpenSSL of this machine can't speak one of the versions.
    """
    where = f"{host} ({ip} port {port})"
    ends = time.monotonic() + timeout_s
    accepted = []
    for name, version in VERSIONS.items():
        context = _open_context(version)
        left = max(ends - time.monotonic(), 0.001)
        with _connect(ip, port, left, where) as plain:
            try:
                with context.wrap_socket(plain, server_hostname=_sni(host)):
                    accepted.append(name)
            except TimeoutError:
                raise TargetError(f"{where} neither accepted nor refused {name} within {timeout_s:g} s") from None
            except ssl.SSLError as error:
                if "NO_PROTOCOLS_AVAILABLE" in str(error) or "NO_CIPHERS" in str(error):
                    raise ToolError(f"this machine's OpenSSL can't try {name}: {_reason(error)}") from None
            except OSError:
                # A reset or a close in the middle of the handshake is a refusal as well.
                continue
    return tuple(accepted)


def _open_context(version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A context that accepts anything: what is looked at must not be hidden by our own rules."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        # Old versions are deprecated for use; here they are tried in the hope of a refusal.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = version or ssl.TLSVersion.TLSv1
        context.maximum_version = version or ssl.TLSVersion.MAXIMUM_SUPPORTED
    return context


def _connect(ip: str, port: int, timeout_s: float, where: str) -> socket.socket:
    try:
        return socket.create_connection((ip, port), timeout_s)
    except TimeoutError:
        raise TargetError(f"{where} did not accept a connection within {timeout_s:.3g} s") from None
    except OSError as error:
        raise TargetError(f"{where} refused the connection: {_reason(error)}") from None


def _handshake(host: str, ip: str, port: int, timeout_s: float) -> ssl.SSLSocket:
    where = f"{host} ({ip} port {port})"
    ends = time.monotonic() + timeout_s
    plain = _connect(ip, port, timeout_s, where)
    try:
        # The handshake's limit is for all of it, however slowly the bytes come in.
        plain.settimeout(max(ends - time.monotonic(), 0.001))
        return _open_context().wrap_socket(plain, server_hostname=_sni(host))
    except TimeoutError:
        raise TargetError(f"{where} did not complete a TLS handshake within {timeout_s:g} s") from None
    except OSError as error:
        raise TargetError(f"{where} failed the TLS handshake: {_reason(error)}") from None
    finally:
        # wrap_socket takes the descriptor over; if it failed before that, this closes it.
        plain.close()


def _sni(host: str) -> str:
    return host.rstrip(".")


def _sent_chain(connection: ssl.SSLSocket) -> list[bytes]:
    """The certificates in DER, as the server sent them, leaf first."""
    public = getattr(connection, "get_unverified_chain", None)
    if public is not None:
        return list(public())
    # Before Python 3.13 the same list is only to be had from the private object underneath.
    private: Any = getattr(connection, "_sslobj", None)
    chain = private.get_unverified_chain() or []
    return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in chain]


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = [str(a) for a in names.get_values_for_type(x509.IPAddress)]
    return tuple(names.get_values_for_type(x509.DNSName)) + tuple(addresses)


def _covers(name: str, host: str) -> bool:
    """Whether a name of a certificate covers a host (RFC 6125: a star stands for one label)."""
    host, name = host.lower().rstrip("."), name.lower()
    if name.startswith("*."):
        return host.partition(".")[2] == name[2:] and not _is_address(host)
    return host == name


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _key(leaf: x509.Certificate) -> tuple[str, int]:
    key = leaf.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA", key.key_size
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "EC", key.curve.key_size
    if isinstance(key, dsa.DSAPublicKey):
        return "DSA", key.key_size
    return type(key).__name__.removesuffix("PublicKey").lstrip("_"), 0


def _signature_hash(leaf: x509.Certificate) -> str:
    algorithm = leaf.signature_hash_algorithm
    return algorithm.name if algorithm else ""


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
            roots += _readable(file.read_bytes())
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


def _readable(pem: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM file, without those that break the rules: nobody can rely on them."""
    found = []
    for block in re.findall(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", pem, re.DOTALL):
        with contextlib.suppress(ValueError), _tolerant():
            found.append(x509.load_pem_x509_certificate(block))
    return found


@contextlib.contextmanager
def _tolerant() -> Iterator[None]:
    """Reads certificates with old sins (a serial number of 0, say) without a warning.

    Some are on every machine's list of authorities, and a target's own are described, not used.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        yield


def _trust_error(
    chain: list[x509.Certificate], roots: list[x509.Certificate], names: tuple[str, ...], now: datetime
) -> str:
    """Why no path leads from the leaf to an authority, or an empty string.

    The path is built for a name that the leaf itself claims, so that a wrong name is not
    mistaken for a bad chain.
    """
    leaf = chain[0]
    if not names:
        return "the certificate names no host"
    own = names[0]
    subject: x509.DNSName | x509.IPAddress = (
        x509.IPAddress(ipaddress.ip_address(own))
        if _is_address(own)
        else x509.DNSName(own.replace("*.", "any.", 1))
    )
    try:
        builder = PolicyBuilder().store(Store(roots)).time(now)
        builder.build_server_verifier(subject).verify(leaf, chain[1:])
    except (VerificationError, ValueError) as error:
        return _explain(chain, roots, now) or _reason(error)
    return ""


def _explain(chain: list[x509.Certificate], roots: list[x509.Certificate], now: datetime) -> str:
    """The usual reasons in words; empty if it is none of them."""
    for one in chain:
        subject = one.subject.rfc4514_string()
        if one.not_valid_after_utc < now:
            return f"{subject} expired on {one.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        if one.not_valid_before_utc > now:
            return f"{subject} is not valid before {one.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    known = {root.subject for root in roots}
    leaf = chain[0]
    if leaf.issuer == leaf.subject and leaf.subject not in known:
        return "the certificate is signed by itself, not by a known authority"
    current, passed = leaf, set[x509.Name]()
    while current.issuer not in known and current.subject not in passed:
        passed.add(current.subject)
        issuer = next((c for c in chain[1:] if c.subject == current.issuer), None)
        if issuer is None:
            wanted = current.issuer.rfc4514_string()
            return f"the certificate of its issuer, {wanted}, was not sent and is not a known authority"
        current = issuer
    return ""


def _reason(error: BaseException) -> str:
    """What an error says, without the positions in C sources that OpenSSL appends."""
    text = re.sub(r"\s*\(_ssl\.c:\d+\)|\[(SSL|Errno)[^]]*\]\s*", "", str(error)).strip(" .")
    return text or type(error).__name__
