"""A certificate authority of our own: root, intermediate, leaves.

Shapes follow RFC 5280 to the letter (SKI and AKI everywhere, SAN not critical beside a subject, path
length 0 on the intermediate), so that strict verifiers accept what browsers accept.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_BACKDATE = timedelta(hours=1)
"""Clocks differ; a certificate that starts right now is not valid yet for some."""

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Shape:
    """What a leaf is like, beside its names and its time."""

    rsa_bits: int = 0
    """Size of an RSA key; 0 stands for a key on P-256."""
    self_signed: bool = False
    sha1: bool = False
    must_staple: bool = False
    """Asks servers to send a fresh OCSP answer along (RFC 7633)."""
    crl_url: str = ""
    """Where the issuer's list of revoked certificates is; empty if the leaf does not say."""

    def new_key(self) -> Key:
        """A key that exists nowhere else."""
        if self.rsa_bits:
            return rsa.generate_private_key(65_537, self.rsa_bits)
        return ec.generate_private_key(ec.SECP256R1())

    def add_to(self, builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
        """The builder with the extensions that are asked for."""
        if self.must_staple:
            builder = builder.add_extension(x509.TLSFeature([x509.TLSFeatureType.status_request]), critical=False)
        if self.crl_url:
            point = x509.DistributionPoint([x509.UniformResourceIdentifier(self.crl_url)], None, None, None)
            builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
        return builder


@dataclass(frozen=True)
class Identity:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key as unencrypted PKCS #8 PEM."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


PLAIN = Shape()
"""Nothing out of the ordinary."""


@dataclass(frozen=True)
class Authority:
    """A root and the intermediate that signs for it."""

    root: Identity
    intermediate: Identity
    revoked: list[x509.Certificate] = field(default_factory=list)
    """Leaves that its list of revoked certificates names."""

    @classmethod
    def create(cls, now: datetime | None = None) -> Authority:
        """A new authority, with keys that exist nowhere else; the root lives ten years."""
        start = now or datetime.now(UTC)
        root_key = ec.generate_private_key(ec.SECP256R1())
        root_name = _name("Fleet Rehearsal Root")
        root = _sign_authority(root_name, root_key, root_name, root_key, start=start, days=3650, path_length=1)
        key = ec.generate_private_key(ec.SECP256R1())
        signed = _sign_authority(
            _name("Fleet Rehearsal Intermediate"),
            key,
            root_name,
            root_key,
            start=start,
            days=1825,
            path_length=0,
        )
        return cls(Identity(root, root_key), Identity(signed, key))

    def issue(
        self,
        names: Sequence[str],
        *,
        days: float = 90.0,
        now: datetime | None = None,
        age_days: float = 0.0,
        shape: Shape = PLAIN,
    ) -> Identity:
        """A server certificate.

        Args:
            names: DNS names or IP addresses; the first is the subject too.
            days: from now to its end; negative for one that has ended.
            now: the moment of issue; the clock's if ``None``.
            age_days: how long ago it began, beside the hour that all certificates are backdated; negative for
                one that is yet to begin.
            shape: key, signature and extensions.

        Raises:
            ValueError: the end lies before the beginning.
        """
        start = now or datetime.now(UTC)
        key, name = shape.new_key(), _name(names[0])
        issuer, issuer_key = (name, key) if shape.self_signed else self._issuer
        builder = _builder(name, issuer, key, start - timedelta(days=age_days))
        builder = builder.not_valid_after(start + timedelta(days=days))
        alternatives = x509.SubjectAlternativeName([_general_name(one) for one in names])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False, encipherment=bool(shape.rsa_bits)), critical=True)
            .add_extension(usage, critical=False)
            .add_extension(alternatives, critical=False)
            .add_extension(_authority_key(issuer_key), critical=False)
        )
        signed = shape.add_to(builder).sign(issuer_key, hashes.SHA256())
        return Identity(with_sha1(signed, self._issuer[1]) if shape.sha1 else signed, key)

    @property
    def _issuer(self) -> tuple[x509.Name, ec.EllipticCurvePrivateKey]:
        key = self.intermediate.key
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return self.intermediate.certificate.subject, key

    def revocation_list(self, now: datetime | None = None) -> bytes:
        """The intermediate's list of revoked certificates, fresh for a day, as DER."""
        start = (now or datetime.now(UTC)) - _BACKDATE
        issuer, key = self._issuer
        builder = x509.CertificateRevocationListBuilder().issuer_name(issuer)
        builder = builder.last_update(start).next_update(start + timedelta(days=1))
        builder = builder.add_extension(_authority_key(key), critical=False)
        builder = builder.add_extension(x509.CRLNumber(int(start.timestamp())), critical=False)
        for one in self.revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(one.serial_number).revocation_date(start)
            reason = x509.CRLReason(x509.ReasonFlags.key_compromise)
            builder = builder.add_revoked_certificate(entry.add_extension(reason, critical=False).build())
        return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def chain(self, leaf: Identity) -> bytes:
        """What a server sends: the leaf, then the intermediate, as PEM."""
        return leaf.pem + self.intermediate.pem


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Fleet Rehearsal"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, authority: bool, encipherment: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=encipherment,  # for suites in which RSA itself carries the session's secret
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key(key: Key) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _builder(subject: x509.Name, issuer: x509.Name, key: Key, start: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - _BACKDATE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _sign_authority(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    start: datetime,
    days: int,
    path_length: int,
) -> x509.Certificate:
    # Authorities begin a year back: a leaf that has ended must still have begun after its issuer.
    builder = _builder(subject, issuer, key, start - timedelta(days=365))
    builder = (
        builder.not_valid_after(start + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(_authority_key(issuer_key), critical=False)
    )
    return builder.sign(issuer_key, hashes.SHA256())


_ECDSA_SHA1 = bytes.fromhex("300906072a8648ce3d0401")
"""AlgorithmIdentifier of ecdsa-with-SHA1 (RFC 3279, 2.2.3)."""


def with_sha1(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """The same certificate signed with SHA-1, which libraries refuse to do by now.

    Args:
        certificate: to be signed anew.
        key: the issuer's.
    """
    _, inside = _tlv(certificate.tbs_certificate_bytes)
    version, after = _split(inside)
    serial, after = _split(after)
    _, after = _split(after)  # the algorithm, which is named inside of what is signed too
    signed = _der(0x30, version + serial + _ECDSA_SHA1 + after)
    signature = b"\0" + key.sign(signed, ec.ECDSA(hashes.SHA1()))  # noqa: S303 - that it is weak is the point
    return x509.load_der_x509_certificate(_der(0x30, signed + _ECDSA_SHA1 + _der(0x03, signature)))


def _tlv(data: bytes) -> tuple[int, bytes]:
    """Length of the first element's head in bytes, and its content."""
    if data[1] < 0x80:
        return 2, data[2 : 2 + data[1]]
    head = 2 + (data[1] & 0x7F)
    return head, data[head : head + int.from_bytes(data[2:head], "big")]


def _split(data: bytes) -> tuple[bytes, bytes]:
    """The first element of a row, and the rest."""
    head, content = _tlv(data)
    return data[: head + len(content)], data[head + len(content) :]


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits + content
