"""Servers in chosen bad states, on loopback, in threads; and a small certificate authority."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Handler = Callable[[socket.socket, threading.Event], None]

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@dataclass(frozen=True)
class Server:
    """Where a server listens."""

    port: int
    accepted: list[float]
    """When connections came in."""

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def serve(handler: Handler, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Runs ``handler(connection, stopping)`` in a thread for each connection."""
    stopping = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    listener.settimeout(0.1)
    server = Server(listener.getsockname()[1], [])
    threads: list[threading.Thread] = []

    def one(connection: socket.socket) -> None:
        # The peer may leave at any time; that is what these servers are for.
        with contextlib.suppress(OSError), connection:
            if context is None:
                handler(connection, stopping)
            else:
                with context.wrap_socket(connection, server_side=True) as encrypted:
                    handler(encrypted, stopping)

    def accept() -> None:
        while not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                connection.settimeout(30)
                server.accepted.append(time.monotonic())
                threads.append(threading.Thread(target=one, args=[connection], daemon=True))
                threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield server
    finally:
        stopping.set()
        acceptor.join(5)
        for thread in threads:
            thread.join(5)
        listener.close()


def free_port() -> int:
    """A port on which nobody listens now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def read_request(connection: socket.socket) -> bytes:
    """Reads up to the empty line that ends an HTTP request's head; empty at the end of the stream."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65_536)
        if not part:
            return b""
        data += part
    return data


def hang(connection: socket.socket, stopping: threading.Event) -> None:
    """Accepts and never says a word."""
    stopping.wait(30)


def garbage(connection: socket.socket, stopping: threading.Event) -> None:
    """Answers anything with bytes that are no protocol."""
    connection.recv(65_536)
    connection.sendall(b"\x00\xff\x13 nonsense \x7f" * 20)


def hang_up(connection: socket.socket, stopping: threading.Event) -> None:
    """Reads the request and closes."""
    connection.recv(65_536)


def drip(prefix: bytes, byte: bytes = b"a") -> Handler:
    """Sends ``prefix`` and then one byte every 50 ms, for ever."""

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        connection.recv(65_536)
        connection.sendall(prefix)
        while not stopping.wait(0.05):
            connection.sendall(byte)

    return handler


def answer(body: bytes, status: str = "200 OK", headers: str = "", delay_s: float = 0.0) -> Handler:
    """Answers each request on a kept connection with the same thing."""
    extra = headers and f"{headers}\r\n"
    head = f"HTTP/1.1 {status}\r\n{extra}Content-Length: {len(body)}\r\n\r\n".encode()

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        while read_request(connection):
            if delay_s:
                stopping.wait(delay_s)
            connection.sendall(head + body)

    return handler


def flood(connection: socket.socket, stopping: threading.Event) -> None:
    """Promises 1 GB and sends it as fast as it is taken."""
    read_request(connection)
    connection.sendall(HEAD + b"Content-Length: 1073741824\r\n\r\n")
    part = b"x" * 1_048_576
    for _ in range(1024):
        if stopping.is_set():
            return
        connection.sendall(part)


@dataclass(frozen=True)
class Authority:
    """A root and an intermediate below it; issues leaves for tests."""

    root: x509.Certificate
    intermediate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    folder: Path

    @property
    def ca_file(self) -> Path:
        return self.folder / "root.pem"

    def context(
        self,
        name: str = "app.fleet.test",
        *,
        days: float = 90,
        send_intermediate: bool = True,
        oldest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    ) -> ssl.SSLContext:
        """A server's context with a fresh leaf for ``name`` that lasts ``days`` from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = _certificate(name, key, self.intermediate.subject, self.key, days=days, san=name)
        file = self.folder / f"{leaf.serial_number}.pem"
        chain = [leaf, self.intermediate] if send_intermediate else [leaf]
        file.write_bytes(_private(key) + b"".join(c.public_bytes(serialization.Encoding.PEM) for c in chain))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        if oldest < ssl.TLSVersion.TLSv1_2:
            context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = oldest
        return context


def authority(folder: Path) -> Authority:
    """A new authority, its root in ``folder/root.pem``."""
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Selftest Root")])
    root = _certificate("Selftest Root", root_key, root_name, root_key, days=365, path_length=1)
    intermediate = _certificate("Selftest Intermediate", key, root_name, root_key, days=365, path_length=0)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "root.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    return Authority(root, intermediate, key, folder)


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    days: float,
    path_length: int | None = None,
    san: str | None = None,
) -> x509.Certificate:
    now = datetime.now(UTC)
    ends = now + timedelta(days=days)
    is_ca = san is None
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, ends) - timedelta(days=30))
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=path_length), critical=True)
        .add_extension(_usage(is_ca), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if san is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(san)]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _usage(is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
