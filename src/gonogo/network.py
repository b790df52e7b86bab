"""What this machine's own network, and its errors, have to say."""

from __future__ import annotations

import errno
import re
import socket

from gonogo.errors import TargetError

NO_WAY = frozenset({errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""Errors of a machine that knows no way to an address, whatever is there."""


def has_way(address: str) -> bool:
    """Whether this machine has any route to an IP address; nothing is sent.

    Without IPv6 it has none to an IPv6 address.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((address, 9))
    except OSError as error:
        return error.errno not in NO_WAY
    return True


def addresses_of(host: str) -> list[str]:
    """Addresses of a name as this machine's own resolver gives them, IPv4 first.

    Raises:
        TargetError: the name has none.
    """
    try:
        infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: a label that is empty or too long
        raise TargetError(f"{host} does not resolve: {getattr(error, 'strerror', None) or error}") from None
    ordered = sorted(infos, key=lambda info: info[0] != socket.AF_INET)
    return list(dict.fromkeys(str(info[4][0]) for info in ordered))


def reason(error: BaseException) -> str:
    """What an error says, without the positions in C sources that OpenSSL appends."""
    text = re.sub(r"\s*\(_ssl\.c:\d+\)|\[(SSL|Errno)[^]]*\]\s*", "", str(error)).strip(" .")
    return text or type(error).__name__
