"""Says hello to services that an application needs: Redis, SMTP, HTTP, TLS, or whatever accepts connections."""

from __future__ import annotations

import contextlib
import http.client
import smtplib
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gonogo.errors import InconclusiveError, TargetError, ToolError
from gonogo.network import NO_WAY, reason
from gonogo.transport import tls_context

_RETRY_AFTER_S = 0.2
_TRIES = 2
"""Connections only: what a service that was reached answers is final."""
_MOST_BYTES = 1_000_000
_HOLDS_S = 0.2
"""A balancer without anything behind it hangs up sooner."""


@dataclass(frozen=True)
class Place:
    """Where a service is, and how it is spoken to."""

    host: str
    """The name that it goes by."""
    ip: str
    port: int
    tls: bool = False
    """Encrypted from the first byte."""
    starttls: bool = False
    """Encrypted once both sides have agreed to."""
    server_name: str | None = None
    """Name that the certificate must be for; ``host`` if ``None``."""
    ca_file: Path | str | None = None
    """Authorities that its certificate must lead to; the system's if ``None``."""
    writable: bool = False
    """Redis must tell its role."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout_s: float = 5.0
    """For everything together."""

    @property
    def named(self) -> str:
        """Name that the certificate must be for."""
        return self.server_name or self.host

    def __str__(self) -> str:
        """For sentences."""
        return (
            f"{self.host} ({self.ip} port {self.port})" if self.host != self.ip else f"{self.ip} port {self.port}"
        )


@dataclass(frozen=True)
class Hello:
    """How a service answered."""

    said: tuple[str, ...]
    """Its answers, the beginning of each."""
    duration_ms: float
    """Connection and hello together, of the try that succeeded, in milliseconds."""
    tries: int
    """Connections that were tried."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What it told of itself, such as the role of a Redis server."""


def greet(kind: str, place: Place, path: str = "/", status: int = 200) -> Hello:
    """Connects, says what the protocol's hello is, and leaves.

    Args:
        kind: ``redis`` (AUTH, PING, the role if it matters), ``smtp`` (banner, EHLO, STARTTLS, AUTH, QUIT),
            ``http`` (GET), ``tls`` (a verified handshake) or ``tcp`` (a connection that stays).
        place: where.
        path: of ``http``.
        status: that ``http`` must answer.

    Raises:
        TargetError: it does not answer in time, or not as its protocol asks.
        ToolError: there is no usable list of authorities, or a login that can't be sent.
        InconclusiveError: its address is of IPv6, to which this machine has no way.
    """
    context = tls_context(place.ca_file) if place.tls or place.starttls else None
    ends = time.monotonic() + place.timeout_s
    for tries in range(1, _TRIES + 1):
        begun = time.monotonic()
        try:
            with _connected(place, ends, context) as line:
                said, facts = _HELLOS[kind](line, place, path, status)
                took = time.monotonic() - begun
                if kind in {"tcp", "tls"}:
                    _hold(line, place)
        except _UnreachedError as error:
            if tries < _TRIES and time.monotonic() + _RETRY_AFTER_S < ends:
                time.sleep(_RETRY_AFTER_S)
                continue
            times = "" if tries == 1 else f" in {tries} tries"
            raise TargetError(f"{place} {error}{times}") from None
        return Hello(tuple(said), took * 1000, tries, facts)
    raise AssertionError("unreachable: the last try returns or raises")


class _UnreachedError(Exception):
    """Nothing was exchanged yet, so that a second try is fair."""


@dataclass
class _Line:
    """A connection that ends when its time is up, however slowly its other side goes on."""

    peer: socket.socket
    context: ssl.SSLContext | None
    expired: bool = False

    def cut(self) -> None:
        """End it under whoever reads."""
        self.expired = True
        with contextlib.suppress(OSError):
            self.peer.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def _connected(place: Place, ends: float, context: ssl.SSLContext | None) -> Iterator[_Line]:
    try:
        plain = socket.create_connection((place.ip, place.port), max(ends - time.monotonic(), 0.001))
    except TimeoutError:
        raise _UnreachedError(f"did not accept a connection within {place.timeout_s:g} s") from None
    except OSError as error:
        if ":" in place.ip and error.errno in NO_WAY:
            raise InconclusiveError(f"{place} was not tried: this machine has no way to IPv6") from None
        raise _UnreachedError(f"refused the connection: {reason(error)}") from None
    left = max(ends - time.monotonic(), 0.001)
    plain.settimeout(left)
    line = _Line(plain, context)
    timer = threading.Timer(left, line.cut)
    timer.daemon = True
    timer.start()
    try:
        if place.tls and context is not None:
            line.peer = context.wrap_socket(plain, server_hostname=place.named)
        yield line
    except TargetError:
        if line.expired:  # what came until it was cut only looks like an answer
            raise TargetError(f"{place} did not finish its hello within {place.timeout_s:g} s") from None
        raise
    except (OSError, EOFError, smtplib.SMTPException, http.client.HTTPException) as error:
        if line.expired or isinstance(error, TimeoutError):
            raise TargetError(f"{place} did not finish its hello within {place.timeout_s:g} s") from None
        what = "failed the TLS handshake" if isinstance(error, ssl.SSLError) else "broke the hello off"
        raise TargetError(f"{place} {what}: {reason(error)}") from None
    finally:
        timer.cancel()
        line.peer.close()
        plain.close()


Said = tuple[list[str], dict[str, str]]


def _tcp(_line: _Line, _place: Place, _path: str, _status: int) -> Said:
    return ["it accepts connections"], {}


def _hold(line: _Line, place: Place) -> None:
    """Waits a little: what has nobody behind it accepts a connection, and ends it."""
    line.peer.settimeout(_HOLDS_S)
    try:
        ended = not line.peer.recv(1)
    except (TimeoutError, ssl.SSLError):  # silence, or the wish for a certificate of ours
        return
    if ended:
        raise TargetError(f"{place} accepted the connection and closed it at once; nothing may be behind it")


def _tls(line: _Line, _place: Place, _path: str, _status: int) -> Said:
    assert isinstance(line.peer, ssl.SSLSocket)
    return [f"{line.peer.version()}, with a certificate that is trusted and for its name"], {}


def _redis(line: _Line, place: Place, _path: str, _status: int) -> Said:
    peer = line.peer
    with peer.makefile("rb") as stream:
        if place.password is not None:
            login = ["AUTH", *([place.user] if place.user else []), place.password]
            _redis_says(peer, stream, place, login, "OK")
        pong = _redis_says(peer, stream, place, ["PING"], "PONG")
        if not place.writable:  # many a user may not ask for more
            return [pong], {}
        told = _redis_says(peer, stream, place, ["INFO", "replication"], None)
    role = next(
        (line.partition(":")[2].strip() for line in told.splitlines() if line.startswith("role:")), "unknown"
    )
    return [pong, f"role {role}"], {"role": role}


def _redis_says(peer: socket.socket, stream: Any, place: Place, command: list[str], wanted: str | None) -> str:
    """Sends one command and returns its answer, which must be ``wanted``, or a text of any length for ``None``."""
    parts = [part.encode() for part in command]
    peer.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
    line = stream.readline(_MOST_BYTES)
    if not line:
        raise EOFError("it closed the connection")
    text = str(line[1:].decode("utf-8", "backslashreplace")).strip()
    size = text.isascii() and text.isdigit() and int(text[:10]) <= _MOST_BYTES
    if wanted is None and line[:1] == b"$" and size:
        return str(stream.read(int(text) + 2).decode("utf-8", "backslashreplace"))
    if line[:1] == b"+" and text == wanted:
        return text
    name = command[0]
    if line[:1] == b"-":
        hint = "; give the service a password in launch.toml" if text.startswith("NOAUTH") else ""
        raise TargetError(f"{place} refused {name}: {_masked(place, text)[:200]}{hint}")
    answer = _masked(place, repr(line[:60]))
    raise TargetError(f"{place} is no Redis server: it answered {name} with {answer}")


def _masked(place: Place, text: str) -> str:
    """What a server said without the password: some repeat what they don't understand."""
    for secret in (place.password, b64encode((place.password or "").encode()).decode()):
        text = text.replace(secret, "[redacted]") if secret else text
    return text


class _Smtp(smtplib.SMTP):
    """A client on a connection that is there already."""

    def __init__(self, peer: socket.socket, named: str) -> None:
        super().__init__(local_hostname="gonogo.invalid", timeout=peer.gettimeout() or 1.0)
        self._peer = peer
        self._host = named  # what STARTTLS verifies the certificate for

    def _get_socket(self, _host: str, _port: int, _timeout: float) -> socket.socket:
        return self._peer


def _smtp(line: _Line, place: Place, _path: str, _status: int) -> Said:
    with contextlib.closing(_Smtp(line.peer, place.named)) as smtp:
        said = [_mail_says(place, "its banner", smtp.connect(place.host, place.port), 220)]
        said.append(_mail_says(place, "EHLO", smtp.ehlo(), 250))
        if place.starttls:
            if not smtp.has_extn("starttls"):
                raise TargetError(f"{place} does not offer STARTTLS; it must, or launch.toml must not ask for it")
            said.append(_mail_step(place, "STARTTLS", lambda: smtp.starttls(context=line.context), 220))
            assert smtp.sock is not None
            line.peer = smtp.sock
            said.append(_mail_says(place, "EHLO", smtp.ehlo(), 250))
        user, password = place.user, place.password
        if user is not None and password is not None:
            if not (user + password).isascii():
                raise ToolError(f"user or password for {place} is not ASCII, which a login to SMTP here has to be")
            said.append(_mail_step(place, "AUTH", lambda: smtp.login(user, password), 235))
        with contextlib.suppress(OSError, smtplib.SMTPException):  # it may hang up first
            said.append(f"QUIT: {_answer(*smtp.quit())}")
    return said, {}


def _mail_step(place: Place, what: str, step: Callable[[], tuple[int, bytes]], wanted: int) -> str:
    """A step for which the library itself raises what it does not like."""
    try:
        answer = step()
    except smtplib.SMTPResponseException as error:
        text = error.smtp_error
        answer = error.smtp_code, text if isinstance(text, bytes) else text.encode()
    return _mail_says(place, what, answer, wanted)


def _mail_says(place: Place, what: str, answer: tuple[int, bytes], wanted: int) -> str:
    shown = _masked(place, _answer(*answer))
    if answer[0] != wanted:
        raise TargetError(f"{place} answered {what} with {shown!r} instead of {wanted}")
    return f"{what}: {shown}"


def _answer(code: int, text: bytes) -> str:
    return f"{code} {' '.join(text.decode('utf-8', 'backslashreplace').split())[:100]}"


def _http(line: _Line, place: Place, path: str, status: int) -> Said:
    with contextlib.closing(http.client.HTTPConnection(place.host, place.port)) as client:
        client.sock = line.peer
        client.default_port = 443 if place.tls else 80  # a port that goes without saying
        client.request("GET", path, headers={"User-Agent": "gonogo", "Connection": "close"})
        with client.getresponse() as answer:
            missing = len(answer.read(_MOST_BYTES)) < _MOST_BYTES and answer.length
    if answer.status != status:
        raise TargetError(f"{place} answered GET {urlsplit(path).path} with {answer.status} instead of {status}")
    if missing:
        raise TargetError(f"{place} answered GET {urlsplit(path).path}, but {missing} bytes of the body never came")
    return [f"HTTP {answer.status}"], {}


_HELLOS: dict[str, Callable[[_Line, Place, str, int], Said]] = {
    "redis": _redis,
    "smtp": _smtp,
    "http": _http,
    "tls": _tls,
    "tcp": _tcp,
}
