"""Looks which TCP ports of an address accept connections: all at once, within one limit of time."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gonogo import network
from gonogo.errors import ToolError

_AT_ONCE = 200
"""Connections that are tried together; each takes a file descriptor."""


@dataclass(frozen=True)
class PortFacts:
    """What became of one attempt to connect."""

    address: str
    port: int
    open: bool
    """The connection was accepted."""
    answer: str
    """``accepted``, ``no answer`` (filtered, say), or the reason in the system's words."""


def try_ports(address: str, ports: Sequence[int], timeout_s: float = 3.0) -> tuple[PortFacts, ...]:
    """Tries to connect to each port of an IP address, and closes again without a word.

    A port that does not answer within the limit counts as closed: nobody gets further there.

    Args:
        address: IPv4 or IPv6 address.
        ports: in the order in which they are told; 200 are tried together.
        timeout_s: limit in seconds for each 200 of them.

    Raises:
        ToolError: this machine can't try, as when it has no descriptors left or the address is none.
    """
    told: dict[int, str] = {}
    distinct = list(dict.fromkeys(ports))
    for start in range(0, len(distinct), _AT_ONCE):
        told |= _batch(address, distinct[start : start + _AT_ONCE], timeout_s)
    return tuple(PortFacts(address, port, told[port] == "accepted", told[port]) for port in distinct)


def has_way(address: str) -> bool:
    """Whether this machine knows a way to an IPv6 address; nothing is sent. Others are taken as known."""
    return ":" not in address or network.has_way(address)


def _batch(address: str, ports: Sequence[int], timeout_s: float) -> dict[int, str]:
    told = dict.fromkeys(ports, "no answer")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    end = time.monotonic() + timeout_s
    with contextlib.ExitStack() as opened, selectors.DefaultSelector() as selector:
        try:
            for port in ports:
                sock = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
                sock.setblocking(False)
                code = sock.connect_ex((address, port))
                if code == errno.EINPROGRESS:
                    selector.register(sock, selectors.EVENT_WRITE, port)
                else:
                    told[port] = _answer(sock, code)
        except OSError as error:
            raise ToolError(f"ports of {address} can't be tried from this machine: {error}") from None
        while selector.get_map() and (left := end - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                ready = key.fileobj
                assert isinstance(ready, socket.socket)
                selector.unregister(ready)
                told[key.data] = _answer(ready, ready.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    return told


def _answer(sock: socket.socket, code: int) -> str:
    if code in {errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EPERM, errno.EACCES}:
        raise ToolError(f"a port can't be tried from this machine: {os.strerror(code)}")
    if code:
        return os.strerror(code).lower()
    # A connection to one's own machine may meet itself on a free port; that is nobody's.
    with contextlib.suppress(OSError):
        if sock.getsockname() == sock.getpeername():
            return os.strerror(errno.ECONNREFUSED).lower()
    return "accepted"
