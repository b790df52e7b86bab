"""Puts a slow network between a client and a server on this machine, and counts what goes to and fro."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Line:
    """A way to a server, through which everything takes its time."""

    port: int
    round_trips: int = 0
    """How often the server answered what the client had said."""
    _client_spoke: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def _count(self, *, from_client: bool) -> None:
        with self._lock:
            self.round_trips += self._client_spoke and not from_client
            self._client_spoke = from_client


@contextlib.contextmanager
def delayed(host: str, port: int, seconds: float) -> Iterator[Line]:
    """Forwards connections to a server; what either side says arrives ``seconds`` later."""
    stopping = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    line = Line(listener.getsockname()[1])

    def accept() -> None:
        while not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = listener.accept()
                server = socket.create_connection((host, port))
                for source, sink in ((client, server), (server, client)):
                    source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    _start(source, sink, seconds, line, from_client=source is client)

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield line
    finally:
        stopping.set()
        acceptor.join(5)
        listener.close()


def _start(source: socket.socket, sink: socket.socket, seconds: float, line: Line, *, from_client: bool) -> None:
    waiting: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def read() -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 18):
                line._count(from_client=from_client)
                waiting.put((time.monotonic() + seconds, data))
        waiting.put((0.0, b""))

    def write() -> None:
        with contextlib.suppress(OSError), sink:
            while True:
                due, data = waiting.get()
                time.sleep(max(due - time.monotonic(), 0.0))
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(data)

    for work in (read, write):
        threading.Thread(target=work, daemon=True).start()
