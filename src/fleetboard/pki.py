"""A certificate authority of our own: root, intermediate, leaves.

Shapes follow RFC 5280 to the letter (SKI and AKI everywhere, SAN not critical beside a subject, path
length 0 on the intermediate), so that strict verifiers accept what browsers accept.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_BACKDATE = timedelta(hours=1)
"""Clocks differ; a certificate that starts right now is not valid yet for some."""


@dataclass(frozen=True)
class Identity:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

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


@dataclass(frozen=True)
class Authority:
    """A root and the intermediate that signs for it."""

    root: Identity
    intermediate: Identity

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
        self, names: Sequence[str], *, days: float = 90.0, now: datetime | None = None, age_days: float = 0.0
    ) -> Identity:
        """A server certificate.

        Args:
            names: DNS names or IP addresses; the first is the subject too.
            days: from now to its end; negative for one that has ended.
            now: the moment of issue; the clock's if ``None``.
            age_days: how long ago it began, beside the hour that all certificates are backdated.

        Raises:
            ValueError: the end lies before the beginning.
        """
        start = now or datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = self.intermediate
        builder = _builder(_name(names[0]), issuer.certificate.subject, key, start - timedelta(days=age_days))
        builder = builder.not_valid_after(start + timedelta(days=days))
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(usage, critical=False)
            .add_extension(alternatives, critical=False)
            .add_extension(_authority_key(issuer.key), critical=False)
        )
        return Identity(builder.sign(issuer.key, hashes.SHA256()), key)

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


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, start: datetime
) -> x509.CertificateBuilder:
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
