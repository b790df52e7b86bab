"""A private socket on which the supervisor is asked to stop and start application processes."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fleetboard.errors import FleetboardError, OperationError

_CLIENT_S = 2.0
"""A client that sends nothing for so long is dropped: the supervisor has children to watch."""
_MOST_BYTES = 65_536
_ANSWER_S = 120.0

Handler = Callable[[Mapping[str, Any]], None]


class Control:
    """The listening end; one line of JSON a connection, one line back."""

    def __init__(self, path: Path, handler: Handler) -> None:
        self._handler = handler
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)  # nobody else may connect, not even for a moment
        try:
            self._socket.bind(str(path))
        finally:
            os.umask(before)
        self._socket.listen(8)

    def fileno(self) -> int:
        """For select."""
        return self._socket.fileno()

    def serve(self) -> None:
        """Take one request and do it; a client that misbehaves is answered or dropped, never fatal."""
        client, _ = self._socket.accept()
        with client, contextlib.suppress(OSError):
            client.settimeout(_CLIENT_S)
            try:
                self._handler(_request(client))
                answer = {}
            except (FleetboardError, KeyError, TypeError, ValueError) as error:
                answer = {"error": str(error) or type(error).__name__}
            client.sendall(json.dumps(answer).encode() + b"\n")

    def close(self) -> None:
        """Listen no longer."""
        self._socket.close()


def _request(client: socket.socket) -> Mapping[str, Any]:
    request = json.loads(_line(client))
    if not isinstance(request, dict):
        raise TypeError("a request must be an object")
    return request


def _line(peer: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < _MOST_BYTES:
        part = peer.recv(4096)
        if not part:
            break
        line += part
    return line


def ask(path: str, **request: object) -> None:
    """Have the supervisor at this socket do something, and wait until it is done.

    Raises:
        OperationError: nobody answers, or it could not be done.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(_ANSWER_S)
            peer.connect(path)
            peer.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(_line(peer))
    except (OSError, ValueError) as error:
        raise OperationError(f"the target's supervisor does not answer on {path}: {error}") from error
    if "error" in answer:
        raise OperationError(f"the target's supervisor could not {request.get('do')}: {answer['error']}")
