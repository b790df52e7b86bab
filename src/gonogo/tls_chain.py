"""What a chain of certificates says: names, times, keys, signatures, and the order it was sent in. Pure."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import AuthorityInformationAccessOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from gonogo.addresses import is_address


@dataclass(frozen=True)
class CertificateFacts:
    """One certificate, described."""

    subject: str
    issuer: str
    fingerprint: str
    """SHA-256 of the whole, in hexadecimal."""
    not_before: datetime
    not_after: datetime
    key_type: str
    """``RSA``, ``EC``, or the name of another kind."""
    key_bits: int
    """0 if the kind has no size of its own, as with Ed25519."""
    signature_hash: str
    """Empty if the signature has no separate hash."""
    is_root: bool
    """Subject and issuer are the same."""
    must_staple: bool
    """It asks for a stapled OCSP answer (RFC 7633)."""
    pem: str

    def days_left(self, now: datetime) -> float:
        """Days from ``now`` until it expires; negative once it has."""
        return (self.not_after - now).total_seconds() / 86_400


def describe(certificate: x509.Certificate) -> CertificateFacts:
    """The facts of one certificate."""
    key_type, key_bits = _key(certificate)
    return CertificateFacts(
        subject=subject_of(certificate),
        issuer=certificate.issuer.rfc4514_string(),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        key_type=key_type,
        key_bits=key_bits,
        signature_hash=_hash(certificate),
        is_root=certificate.subject == certificate.issuer,
        must_staple=_must_staple(certificate),
        pem=certificate.public_bytes(Encoding.PEM).decode(),
    )


def subject_of(certificate: x509.Certificate) -> str:
    """What a certificate is called; by its first name if it has no subject, as short-lived ones often have none."""
    subject = certificate.subject.rfc4514_string()
    return subject or f"SAN={next(iter(names_of(certificate)), 'none')}"


def read(der: Sequence[bytes]) -> list[x509.Certificate]:
    """Certificates out of DER.

    Raises:
        ValueError: one can't be read.
    """
    with tolerant():
        return [x509.load_der_x509_certificate(one) for one in der]


def read_pem(pem: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM file, without those that break the rules: nobody can rely on them."""
    found = []
    for block in re.findall(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", pem, re.DOTALL):
        with contextlib.suppress(ValueError), tolerant():
            found.append(x509.load_pem_x509_certificate(block))
    return found


@contextlib.contextmanager
def tolerant() -> Iterator[None]:
    """Reads certificates with old sins (a serial number of 0, say) without a warning.

    Some are on every machine's list of authorities, and a target's own are described, not used.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        yield


def names_of(leaf: x509.Certificate) -> tuple[str, ...]:
    """Names and addresses that a leaf is for.

    An address that is written as a DNS name is marked, since clients look for addresses elsewhere (RFC 9525, 6.5).
    """
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = [str(a) for a in names.get_values_for_type(x509.IPAddress)]
    written = names.get_values_for_type(x509.DNSName)
    misplaced = [f"{one} (as a DNS name)" for one in written if is_address(one)]
    return (*(one for one in written if not is_address(one)), *addresses, *misplaced)


def covers(name: str, host: str) -> bool:
    """Whether a name of a certificate covers a host (RFC 9525: a star stands for one label)."""
    host, name = host.lower().rstrip("."), name.lower()
    if is_address(host):
        return is_address(name) and ipaddress.ip_address(name) == ipaddress.ip_address(host)
    with contextlib.suppress(UnicodeError):  # certificates spell names as DNS does
        host = host.encode("idna").decode("ascii")
    if name.startswith("*."):
        return host.partition(".")[2] == name[2:]
    return host == name


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether a certificate bears the issuer's name and the signature of its key, however weak its hash."""
    if certificate.issuer != issuer.subject:
        return False
    try:
        digest = certificate.signature_hash_algorithm
        given = certificate.signature_algorithm_parameters
        pad = given if isinstance(given, padding.PSS) else padding.PKCS1v15()
        return is_signature(
            issuer.public_key(), certificate.signature, certificate.tbs_certificate_bytes, digest, pad
        )
    except UnsupportedAlgorithm:
        return True  # a signature that can't be checked here still names its issuer


def is_signature(
    key: object,
    signature: bytes,
    data: bytes,
    digest: hashes.HashAlgorithm | None,
    pad: padding.PSS | padding.PKCS1v15,
) -> bool:
    """Whether a public key made a signature.

    Args:
        key: of any kind; one that can't sign has signed nothing.
        signature: as it stands beside the data.
        data: what was signed.
        digest: its hash; ``None`` where the kind of key has one built in.
        pad: how an RSA signature is filled up.
    """
    try:
        if isinstance(key, rsa.RSAPublicKey) and digest:
            key.verify(signature, data, pad, digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and digest:
            key.verify(signature, data, ec.ECDSA(digest))
        elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            key.verify(signature, data)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def path_through(sent: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """The path from the leaf upwards, as far as certificates that were sent, and then a root, lead."""
    path, left = [sent[0]], list(sent[1:])
    while path[-1].subject != path[-1].issuer:
        # What was sent comes first: clients that know a root anyway find it at the end of that.
        issuer = next((one for one in (*left, *roots) if signed_by(path[-1], one)), None)
        if issuer is None or issuer in path:
            break
        path.append(issuer)
    return path


def anchored(path: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """The path as clients end it: at the first certificate whose name and key are those of an authority.

    A server may send an authority's certificate that another one signed, for old clients; nobody else needs it.
    """
    for at, one in enumerate(path[1:], 1):
        for root in roots:
            if root.subject == one.subject and _key_bytes(root) == _key_bytes(one):
                return [*path[:at], root]
    return list(path)


def _key_bytes(certificate: x509.Certificate) -> bytes:
    try:
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except UnsupportedAlgorithm:
        return certificate.fingerprint(hashes.SHA256())


def unsent(sent: Sequence[x509.Certificate], path: Sequence[x509.Certificate]) -> tuple[str, ...]:
    """Certificates between leaf and root that only our own list of authorities had; other clients lack them."""
    return tuple(subject_of(one) for one in path if one not in sent and one.subject != one.issuer)


def order_errors(sent: Sequence[x509.Certificate], path: Sequence[x509.Certificate]) -> tuple[str, ...]:
    """What is wrong with the order in which certificates were sent, one sentence a mistake.

    Each must sign the one before it (RFC 5246, 7.4.2). A root at the end is allowed.

    Args:
        sent: leaf first.
        path: of the same certificates, put in order.
    """
    errors = []
    for at, one in enumerate(sent):
        subject = subject_of(one)
        if one in sent[:at]:
            errors.append(f"{subject} is sent twice")
        elif one not in path:
            errors.append(f"{subject} (number {at + 1}) is on no path from the leaf")
    used = [one for one in dict.fromkeys(sent) if one in path]
    wanted = [one for one in path if one in used]
    if used != wanted:
        wrong = next(at for at, (one, other) in enumerate(zip(used, wanted, strict=True)) if one != other)
        here, before = subject_of(used[wrong]), subject_of(used[wrong - 1])
        errors.append(
            f"{here} follows {before}, which it did not sign; {subject_of(wanted[wrong])} must come there"
        )
    return tuple(errors)


def verify(
    chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], names: tuple[str, ...], now: datetime
) -> str:
    """Why no path leads from the leaf to an authority by the rules of the web's PKI; empty if one does.

    The path is built for a name that the leaf itself claims, so that a wrong name is not
    mistaken for a bad chain.
    """
    own = names[0]
    subject: x509.DNSName | x509.IPAddress = (
        x509.IPAddress(ipaddress.ip_address(own)) if is_address(own) else x509.DNSName(own.replace("*.", "any.", 1))
    )
    try:
        builder = PolicyBuilder().store(Store(list(roots))).time(now)
        builder.build_server_verifier(subject).verify(chain[0], list(chain[1:]))
    except (VerificationError, ValueError) as error:
        return str(error) or type(error).__name__
    return ""


def explain(chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], now: datetime) -> str:
    """The usual reasons of mistrust in words; empty if it is none of them."""
    for one in chain:
        subject = subject_of(one)
        if one.not_valid_after_utc < now:
            return f"{subject} expired on {one.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        if one.not_valid_before_utc > now:
            return f"{subject} is not valid before {one.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    leaf = chain[0]
    if leaf.issuer == leaf.subject and leaf not in roots:
        return "the certificate is signed by itself, not by a known authority"
    last = path_through(chain, roots)[-1]
    end = subject_of(last)
    if last in roots:
        return ""
    if last.issuer == last.subject:
        return f"the path ends at {end}, which is not a known authority"
    wanted = last.issuer.rfc4514_string()
    if any(root.subject == last.issuer for root in roots):
        return f"the path ends at {end}: a known authority is called {wanted}, and its key did not sign it"
    return f"the certificate of its issuer, {wanted}, was not sent and is not a known authority"


def responders(certificate: x509.Certificate) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Where to ask whether it was revoked: addresses for OCSP, and of lists; plain HTTP only."""
    ocsp, lists = list[str](), list[str]()
    with contextlib.suppress(x509.ExtensionNotFound):
        for access in certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value:
            if access.access_method == AuthorityInformationAccessOID.OCSP:
                ocsp.append(str(access.access_location.value))
    with contextlib.suppress(x509.ExtensionNotFound):
        for point in certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value:
            lists += [str(name.value) for name in point.full_name or ()]
    plain = [tuple(url for url in urls if url.lower().startswith("http://")) for urls in (ocsp, lists)]
    return plain[0], plain[1]


def _must_staple(certificate: x509.Certificate) -> bool:
    try:
        feature = certificate.extensions.get_extension_for_class(x509.TLSFeature).value
    except x509.ExtensionNotFound:
        return False
    return x509.TLSFeatureType.status_request in feature


def _hash(certificate: x509.Certificate) -> str:
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return f"unknown ({certificate.signature_algorithm_oid.dotted_string})"
    return algorithm.name if algorithm else ""


def _key(certificate: x509.Certificate) -> tuple[str, int]:
    try:
        key = certificate.public_key()
    except UnsupportedAlgorithm:
        return f"unknown ({certificate.public_key_algorithm_oid.dotted_string})", 0
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA", key.key_size
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "EC", key.curve.key_size
    if isinstance(key, dsa.DSAPublicKey):
        return "DSA", key.key_size
    return type(key).__name__.removesuffix("PublicKey").lstrip("_"), 0
