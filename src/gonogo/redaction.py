"""Takes out of a line of a log what nobody else should read: secrets, people's addresses, clients' addresses."""

from __future__ import annotations

import ipaddress
import re

GONE = "[redacted]"

_KEYED = re.compile(
    r"""(?i)([\w.-]*(?:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|private[_-]?key|credential|cookie|session[_-]?id|jwt)
    \w*["']?\s*(?:[:=]|=>)\s*)
    (?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,;&"'}\])]+)""",
    re.VERBOSE,
)
_HEADER = re.compile(
    r"(?i)\b((?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?)(?:(?:basic|bearer|digest|negotiate)\s+)?[^\s\"']+"
)
_SCHEME = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}")
_USER = re.compile(r"(?<=://)[^\s/@]+@")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_JWT = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*")
_LONG = re.compile(r"(?<![\w/+-])(?=[\w+=-]*\d)(?=[\w+=-]*[A-Za-z])[\w+=-]{32,}(?![\w/+-])")
_IPV4 = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")
_IPV6 = re.compile(r"(?<![\w:])[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}(?![\w:])")


def redacted(line: str) -> str:
    """The line without what nobody else should read.

    Values of keys such as ``password`` and ``token`` go, credentials in headers and addresses, long random texts,
    mail addresses, and IP addresses of the public net. Private ones stay, because they tell the place.
    """
    line = _USER.sub(f"{GONE}@", line)
    line = _HEADER.sub(rf"\1{GONE}", line)
    line = _KEYED.sub(rf"\1{GONE}", line)
    for pattern in (_JWT, _MAIL, _LONG):
        line = pattern.sub(GONE, line)
    line = _SCHEME.sub(rf"\1 {GONE}", line)
    return _IPV6.sub(_address, _IPV4.sub(_address, line))


def _address(found: re.Match[str]) -> str:
    try:
        return GONE if ipaddress.ip_address(found[0]).is_global else found[0]
    except ValueError:  # a version or a time
        return found[0]
