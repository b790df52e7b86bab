"""Addresses and free ports; all of them on this machine."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"
"""The inner side: databases, application processes and whatever else users must not reach."""

EDGE = "127.0.0.2"
"""The outer side: what the target's name leads to. An address of its own, so that one can tell what is exposed."""

SECOND_EDGE = "127.0.0.3"
"""A second outer address, for faults that only one of two addresses has."""


def listening_socket(backlog: int = 512, host: str = HOST, port: int = 0) -> socket.socket:
    """A TCP socket that listens already, on a free port unless one is given.

    Handing the socket itself to a server leaves no moment in which another could take the port.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind((host, port))
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
