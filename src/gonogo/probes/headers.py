"""What HTTP headers say, read as browsers read them; pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence

_DIRECTIVE = re.compile(r'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*(?:=\s*("[^"]*"|[^\s;"]+)\s*)?')
_VERSION = re.compile(r"/\s*v?\d+(?=[.\s;,)]|$)|\d+\.\d+", re.IGNORECASE)
_TELLTALES = (
    "server",
    "x-powered-by",
    "x-aspnet-version",
    "x-aspnetmvc-version",
    "x-generator",
    "x-runtime-version",
)
_NAMES_WITH_NUMBERS = ("awselb/2.0",)
"""What every load balancer of its kind calls itself, whatever its version."""
_ANYBODY = re.compile(r"https?:|(?:https?://)?\*(?::(?:\*|443|80))?/?")
"""A source that any site meets."""
_PRODUCT = re.compile(
    r"\b(?:nginx|openresty|apache(?:-coyote)?|tomcat|jetty|microsoft-iis|lighttpd|haproxy|varnish|php|werkzeug|"
    r"gunicorn|uvicorn|phusion passenger)[/ ]v?\d+(?:\.\d+)*",
    re.IGNORECASE,
)


def hsts_max_age_s(value: str) -> int | None:
    """``max-age`` of a Strict-Transport-Security header in seconds (RFC 6797, section 6.1).

    ``None`` if browsers would ignore the header: no max-age, no whole number, a directive twice, or malformed.

    >>> hsts_max_age_s('max-age="31536000"; includeSubDomains')
    31536000
    """
    found: dict[str, str] = {}
    for part in value.split(";"):
        if not part.strip():
            continue
        match = _DIRECTIVE.fullmatch(part)
        if match is None or match[1].lower() in found:
            return None
        found[match[1].lower()] = (match[2] or "").strip('"')
    seconds = found.get("max-age", "")
    return int(seconds) if seconds.isascii() and seconds.isdigit() and len(seconds) < 20 else None


def frames_restricted(policies: Sequence[str], options: Sequence[str]) -> bool:
    """Whether a page says who may frame it.

    Args:
        policies: values of Content-Security-Policy; its ``frame-ancestors`` goes before the other header.
        options: values of X-Frame-Options, of which browsers know ``DENY`` and ``SAMEORIGIN``.
    """
    ancestors = [
        sources for policy in policies for one in policy.split(",") if (sources := _ancestors(one)) is not None
    ]
    if ancestors:
        return any(not any(_ANYBODY.fullmatch(source) for source in sources) for sources in ancestors)
    known = {value.strip().lower() for option in options for value in option.split(",")}
    return bool(known) and known <= {"deny", "sameorigin"}


def _ancestors(policy: str) -> list[str] | None:
    """Sources of a policy's ``frame-ancestors``, of several the first (CSP Level 3, section 2.2.1)."""
    directives = [words for directive in policy.lower().split(";") if (words := directive.split())]
    return next((words[1:] for words in directives if words[0] == "frame-ancestors"), None)


def versions_told(headers: Sequence[tuple[str, str]], body: str = "") -> list[str]:
    """Headers that tell what software of which version answers, and such a line of an error page.

    A name alone is no version: ``Server: nginx`` tells little, ``Server: nginx/1.18.0`` where to look for holes.

    >>> versions_told([("server", "nginx/1.18.0"), ("x-powered-by", "Express")])
    ['server: nginx/1.18.0']
    """
    told = [
        f"{name}: {value}"
        for name, value in headers
        if name in _TELLTALES and _VERSION.search(value) and value.strip().lower() not in _NAMES_WITH_NUMBERS
    ]
    page = _PRODUCT.search(body)
    return [*told, f"error page: {page[0]}"] if page else told
