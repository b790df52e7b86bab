"""Free loopback ports."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"
"""The only address this target ever listens on."""


def listening_socket(backlog: int = 512) -> socket.socket:
    """A TCP socket that listens on a free port already.

    Handing the socket itself to a server leaves no moment in which another could take the port.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind((HOST, 0))
    sock.listen(backlog)
    return sock


def free_port() -> int:
    """A TCP port that was free a moment ago; for servers that can't inherit a socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


def port_of(sock: socket.socket) -> int:
    """The port a socket is bound to."""
    return int(sock.getsockname()[1])
