"""Takes out of a line of a log what nobody else should read: secrets, people's addresses, clients' addresses."""

from __future__ import annotations

import ipaddress
import re

GONE = "[redacted]"

_KEYED = re.compile(
    r"""(?i)((?:pass(?:w(?:or)?d|phrase|(?![a-z]))|pwd|secret|token|credential|cookie|jwt|signature|\bsig|\bsid
    |(?:api|private|access|account|shared|storage|signing|auth)[_-]?key|session[_-]?id)
    \w{0,40}(?:\\*["'])?\s*(?:=>|[:=])\s*|--?[\w-]{0,40}(?:password|passphrase|secret|token|key)\s+)
    (?:\\+"(?:[^"\\]|\\+[^"\\])*(?:\\+"|$)|"(?:[^"\\]|\\.)*(?:"|$)|'(?:[^'\\]|\\.)*(?:'|$)|[^\s&"'}\])]+)""",
    re.VERBOSE,
)
_HEADER = re.compile(r"(?i)\b((?:proxy-)?authorization[\\\"']*\s*[:=][\[\s\\\"']*)(?:[\w-]+\s+)?[^\s\"'\]\\]+")
_COOKIES = re.compile(r"(?i)\b((?:set-)?cookie[\\\"']*\s*[:=][\[\s\\\"']*)[^\"'\]\\]+")
_SCHEME = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}")
_USER = re.compile(r"(?<=://)[^\s/]+@")
_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_JWT = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*")
_CLOUD = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")
_LONG = re.compile(r"(?<![\w/+-])(?=[\w+=-]*\d)(?=[\w+=-]*[A-Za-z])[\w+=-]{32,}(?![\w/+-])")
_IPV4 = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")
_IPV6 = re.compile(r"(?<![\w:])[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}(?![\w:])")


def redacted(line: str) -> str:
    """The line without what nobody else should read.

    Values of keys such as ``password`` and ``token`` go, credentials in headers and addresses, cookies, long random
    texts, mail addresses, and IP addresses of the public net. Private ones stay, because they tell the place.
    """
    line = _USER.sub(f"{GONE}@", line)
    for pattern in (_HEADER, _COOKIES, _KEYED):
        line = pattern.sub(rf"\1{GONE}", line)
    for pattern in (_JWT, _MAIL, _CLOUD, _LONG):
        line = pattern.sub(GONE, line)
    line = _SCHEME.sub(rf"\1 {GONE}", line)
    return _IPV6.sub(_address, _IPV4.sub(_address, line))


def _address(found: re.Match[str]) -> str:
    try:
        return GONE if ipaddress.ip_address(found[0]).is_global else found[0]
    except ValueError:  # a version or a time
        return found[0]
