"""Asks whether certificates were revoked: by OCSP, by lists, or by the answer that a server staples.

An answer counts only if the issuer signed it, it is about this certificate, and it is fresh.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from gonogo.errors import InconclusiveError, TargetError, ToolError
from gonogo.tls_chain import is_signature, responders, signed_by, subject_of, tolerant
from gonogo.tls_hello import Peer, chunks, dial
from gonogo.tls_profile import groups, suites
from gonogo.tls_wire import TLS_1_2

GOOD, REVOKED, UNKNOWN, MISSING = "good", "revoked", "unknown", "missing"

_ECDSA = ("TLS_ECDHE_ECDSA_",)

_MAX_BYTES = 33_554_432
"""Lists of revoked certificates of large authorities reach 20 MB."""
_MAX_HEAD = 65_536
_OLDEST = timedelta(days=10)
"""Age of an answer that does not say how long it holds (CA/Browser Forum Baseline Requirements, 4.9.10)."""


@dataclass(frozen=True)
class RevocationFacts:
    """What could be learnt of one certificate."""

    subject: str
    status: str
    """``good``, ``revoked``, ``unknown`` if nobody could be asked or believed, ``missing`` without a staple."""
    detail: str
    """Who says so and since when, or why nobody does; empty if the certificate names nobody to ask."""


class _NoAnswerError(Exception):
    """A responder gave no answer that can be believed; the message says why."""


def revocation(pem: str, issuer_pem: str, timeout_s: float = 5.0) -> RevocationFacts:
    """Whether a certificate was revoked, by the first of its responders that can be believed.

    Args:
        pem: the certificate.
        issuer_pem: its issuer's.
        timeout_s: limit in seconds for all of its responders together.
    """
    with tolerant():
        one, issuer = (x509.load_pem_x509_certificate(text.encode()) for text in (pem, issuer_pem))
    subject = subject_of(one)
    by_ocsp, by_list = responders(one)
    asked: list[tuple[str, Callable[[str, float], tuple[str, str]]]] = [
        *((url, lambda url, ends: _ask_ocsp(url, one, issuer, ends)) for url in by_ocsp),
        *((url, lambda url, ends: _ask_list(url, one, issuer, ends)) for url in by_list),
    ]
    ends, failed = time.monotonic() + timeout_s, list[str]()
    for url, ask in asked:
        try:
            status, since = ask(url, ends)
        except _NoAnswerError as error:
            failed.append(f"{url} {error}")
            continue
        if status == UNKNOWN:
            failed.append(f"by {url}, which does not know it")  # another one may
            continue
        return RevocationFacts(subject, status, f"by {url}{since}")
    return RevocationFacts(subject, UNKNOWN, "; ".join(failed))


def stapled(host: str, ip: str, port: int, *, pem: str, issuer_pem: str, timeout_s: float = 5.0) -> RevocationFacts:
    """What the OCSP answer says that a server sends along with its certificate, read from a TLS 1.2 handshake.

    Args:
        host: the name that is asked for (SNI).
        ip: address to connect to.
        port: TCP port.
        pem: the server's certificate.
        issuer_pem: its issuer's.
        timeout_s: limit in seconds.

    Raises:
        TargetError: no connection, or no answer in time.
        ToolError: the server refuses TLS 1.2; in 1.3 the answer is encrypted, and can't be read here.
    """
    with tolerant():
        one, issuer = (x509.load_pem_x509_certificate(text.encode()) for text in (pem, issuer_pem))
    peer = Peer(host, ip, port, timeout_s, 4 * timeout_s)
    # A server with two certificates must choose this one.
    kinds = ("TLS_ECDHE_RSA_", "TLS_RSA_WITH") if isinstance(one.public_key(), rsa.RSAPublicKey) else _ECDSA
    wanted = [number for number, name in suites().items() if name.startswith(kinds)]
    curves = [number for number in groups() if number < 0x100]
    answer = None
    for some in chunks(wanted):
        answer = peer.ask("a stapled answer", TLS_1_2, some, curves, staple=True)
        if not answer.alert:
            break
    subject = subject_of(one)
    if answer is None or answer.alert:
        raise ToolError(
            f"{peer.where} speaks TLS 1.3 alone, where a stapled answer is encrypted, so it can't be read here; "
            "look with 'openssl s_client -status'"
        )
    if not answer.staple:
        return RevocationFacts(subject, MISSING, "the handshake has none")
    try:
        status, since = _read_ocsp(answer.staple, one, issuer)
    except _NoAnswerError as error:
        return RevocationFacts(subject, UNKNOWN, f"the stapled answer {error}")
    return RevocationFacts(subject, status, f"stapled{since}")


def _ask_ocsp(url: str, one: x509.Certificate, issuer: x509.Certificate, ends: float) -> tuple[str, str]:
    # The hash only names the issuer here; every responder knows this one (RFC 6960, 4.3).
    request = ocsp.OCSPRequestBuilder().add_certificate(one, issuer, hashes.SHA1()).build()  # noqa: S303
    body = request.public_bytes(Encoding.DER)
    return _read_ocsp(_fetch(url, ends, body), one, issuer)


def _read_ocsp(data: bytes, one: x509.Certificate, issuer: x509.Certificate) -> tuple[str, str]:
    now = datetime.now(UTC)
    try:
        answer = ocsp.load_der_ocsp_response(data)
        if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise _NoAnswerError(f"answers {answer.response_status.name}")
        mine = next((a for a in answer.responses if a.serial_number == one.serial_number), None)
        if mine is None or not _is_about(mine, issuer):
            raise _NoAnswerError("speaks of another certificate")
        _check_fresh(mine.this_update_utc, mine.next_update_utc, now)
        _check_signature(answer, issuer)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _NoAnswerError(f"can't be read: {error}") from None
    if mine.certificate_status is ocsp.OCSPCertStatus.REVOKED:
        since = mine.revocation_time_utc
        return REVOKED, f", since {since:%Y-%m-%d %H:%M} UTC" if since else ""
    return (GOOD if mine.certificate_status is ocsp.OCSPCertStatus.GOOD else UNKNOWN), ""


def _is_about(mine: ocsp.OCSPSingleResponse, issuer: x509.Certificate) -> bool:
    digest = hashes.Hash(mine.hash_algorithm)
    digest.update(issuer.subject.public_bytes())
    return digest.finalize() == mine.issuer_name_hash


def _check_signature(answer: ocsp.OCSPResponse, issuer: x509.Certificate) -> None:
    """The issuer's own key signed the answer, or one that it named for that (RFC 6960, 4.2.2.2)."""
    named = [one for one in answer.certificates if signed_by(one, issuer) and _may_answer(one)]
    algorithm = answer.signature_hash_algorithm
    for one in (issuer, *named):
        if is_signature(
            one.public_key(), answer.signature, answer.tbs_response_bytes, algorithm, padding.PKCS1v15()
        ):
            return
    raise _NoAnswerError("is not signed by the certificate's issuer")


def _may_answer(one: x509.Certificate) -> bool:
    try:
        usage = one.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    valid = one.not_valid_before_utc <= datetime.now(UTC) <= one.not_valid_after_utc
    return valid and ExtendedKeyUsageOID.OCSP_SIGNING in usage


def _ask_list(url: str, one: x509.Certificate, issuer: x509.Certificate, ends: float) -> tuple[str, str]:
    data = _fetch(url, ends)
    try:
        pem = data.lstrip().startswith(b"-----")
        revoked = x509.load_pem_x509_crl(data) if pem else x509.load_der_x509_crl(data)
        if revoked.issuer != issuer.subject:
            raise _NoAnswerError(f"is the list of {revoked.issuer.rfc4514_string()}")
        key = issuer.public_key()
        if not revoked.is_signature_valid(key):  # type: ignore[arg-type]  # an authority's key can sign
            raise _NoAnswerError("is not signed by the certificate's issuer")
        _check_fresh(revoked.last_update_utc, revoked.next_update_utc, datetime.now(UTC))
        _check_scope(revoked, one)
        entry = revoked.get_revoked_certificate_by_serial_number(one.serial_number)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _NoAnswerError(f"can't be read: {error}") from None
    return (REVOKED, f", since {entry.revocation_date_utc:%Y-%m-%d %H:%M} UTC") if entry else (GOOD, "")


def _check_scope(revoked: x509.CertificateRevocationList, one: x509.Certificate) -> None:
    """The list speaks of this certificate: large authorities split theirs (RFC 5280, 5.2.5)."""
    kinds = {type(extension.value) for extension in revoked.extensions}
    if x509.DeltaCRLIndicator in kinds:
        raise _NoAnswerError("lists changes alone")
    if x509.IssuingDistributionPoint not in kinds:
        return
    scope = revoked.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    theirs = {str(name.value) for name in scope.full_name or ()}
    if theirs and not theirs & set(responders(one)[1]):
        raise _NoAnswerError(f"is another part of its issuer's list ({', '.join(sorted(theirs))})")
    if scope.only_some_reasons or scope.only_contains_attribute_certs:
        raise _NoAnswerError("lists other certificates or some reasons alone")
    authority = _is_authority(one)
    if (scope.only_contains_ca_certs and not authority) or (scope.only_contains_user_certs and authority):
        raise _NoAnswerError(f"lists {'servers' if authority else 'authorities'} alone")


def _is_authority(one: x509.Certificate) -> bool:
    try:
        return one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _check_fresh(made: datetime, until: datetime | None, now: datetime) -> None:
    if until is not None and until < now:
        raise _NoAnswerError(f"is out of date since {until:%Y-%m-%d %H:%M} UTC")
    if until is None and now - made > _OLDEST:
        raise _NoAnswerError(f"is of {made:%Y-%m-%d %H:%M} UTC and does not say how long it holds")
    if made > now and (made - now).total_seconds() > 300:  # clocks differ
        raise _NoAnswerError(f"is dated {made:%Y-%m-%d %H:%M} UTC, in the future")


class _Whole:
    """All bytes of an HTTP answer, in the form of a socket that http.client reads from."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def _fetch(url: str, ends: float, body: bytes = b"") -> bytes:
    """What a responder says, within the time that is left however slowly it comes."""
    try:
        split = urlsplit(url)
        path = (split.path or "/") + (f"?{split.query}" if split.query else "")
        head = f"{'POST' if body else 'GET'} {path} HTTP/1.0\r\nHost: {split.netloc}\r\nConnection: close\r\n"
        if body:
            head += f"Content-Type: application/ocsp-request\r\nContent-Length: {len(body)}\r\n"
        with dial(split.hostname or "", split.port or 80, _left(ends), "it") as sock:
            sock.sendall(f"{head}\r\n".encode("ascii") + body)
            raw = _read_all(sock, ends)
        answer = http.client.HTTPResponse(_Whole(raw))  # type: ignore[arg-type]  # it asks for makefile alone
        answer.begin()
        if answer.status != 200:
            raise _NoAnswerError(f"answers HTTP {answer.status}")
        return answer.read()
    except TimeoutError:
        raise _NoAnswerError("did not answer in time") from None
    except (OSError, ValueError, TargetError, InconclusiveError, http.client.HTTPException) as error:
        raise _NoAnswerError(f"can't be asked: {error}") from None


def _read_all(sock: socket.socket, ends: float) -> bytes:
    data, wanted = bytearray(), _MAX_BYTES
    while len(data) < wanted:
        sock.settimeout(_left(ends))
        part = sock.recv(65_536)
        if not part:
            return bytes(data)
        data += part
        end = data.find(b"\r\n\r\n", 0, _MAX_HEAD)
        size = re.search(rb"(?im)^content-length:[ \t]*(\d{1,9})[ \t\r]*$", data[:end]) if end > 0 else None
        if size:
            wanted = min(end + 4 + int(size[1]), _MAX_BYTES)
    if wanted == _MAX_BYTES:
        raise _NoAnswerError(f"sends more than {_MAX_BYTES // 1_048_576} MB")
    return bytes(data)


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
