"""What is still missing in a plan's texts: placeholders, variables, programs; no clock, file or network.

A placeholder is what somebody meant to fill in: ``TBD``, ``[Phone]``, ``<your-host>``, ``changeme``, a name or an
address that RFC 2606 and RFC 5737 reserve for examples.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

PYTHON = "{python}"

_BLANKS = (
    "phone|telephone|e-?mail|mail|link|url|uri|name|names|date|time|number|address|company|contact|channel|team|"
    "person|role|version|host|hostname|domain|port|path|id|token|key|password|secret|amount|reason|placeholder"
)
_ORDER = r"(?:your|insert|enter|fill in)(?![a-z])[^\[\]<>]*"
_BLANK = rf"(?:{_ORDER}|(?:[\w-]+[ _-])?(?:{_BLANKS})(?:[ _-](?:{_BLANKS}|here))?)"
_WORDS = re.compile(
    r"(?<![\w-])(?:TBD|TBC|TBA|TODO|FIXME|XXX+|\?\?\?+)(?![\w-])"
    r"|(?i:\b(?:change|replace)[ _-]?me\b)"
    r"|(?i:\blorem ipsum\b)"
)
_WHOLE = re.compile(r"(?i)\s*(?:tbd|tbc|tba|todo|fixme|x{3,}|\?+|\.{3}|…|placeholder)\s*")
_SQUARE = re.compile(rf"(?i)(?<![\\\w\]])\[{_BLANK}\](?![(\[*+?{{])")
_ANGLE = re.compile(rf"(?i)(?<![?\\\w])<{_BLANK}>")
_SHOUTED = re.compile(r"(?<![?\\])<[A-Z][A-Z0-9]*(?:[ _-][A-Z0-9]+)+>")
_HOSTS = re.compile(
    r"(?i)(?<![\w-])(?:[\w-]+\.)*(?:"
    r"(?:your[-_.]?(?:domain|company|org|host|app|site|server|team)|my[-_.]?(?:domain|company))(?:\.[a-z]{2,})*"
    r"|example\.(?:com|net|org|edu)|[\w-]+\.(?:example|invalid))(?![\w-])"
)
_IPS = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|2001:0?db8:[0-9a-f:]*)(?![\w.])", re.IGNORECASE)
_EXAMPLES = tuple(
    ipaddress.ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
)
_VARIABLE = re.compile(r"\$(?:\$|\{([A-Z][A-Z0-9_]*)\}|([A-Z][A-Z0-9_]*)(?![\w(]))")
_SCRIPTS = (".py", ".sh", ".js", ".mjs", ".rb", ".pl", ".php", ".ts")
_INTERPRETERS = re.compile(r"(?:.*/)?(?:python[\d.]*|bash|sh|dash|zsh|node|ruby|perl|php|deno|tsx)")


@dataclass(frozen=True)
class Gap:
    """One thing of the plan that is missing."""

    key: str
    """Key of launch.toml, or line of the playbook."""
    found: str
    write: str
    """What belongs there."""

    def __str__(self) -> str:
        return f"{self.key}: {self.found}; {self.write}"


def placeholders(text: str, *, allowed: Collection[str] = ()) -> list[str]:
    """The placeholders in a text, in its own words and order, each once.

    Args:
        text: one value of launch.toml, or one line of Markdown.
        allowed: what looks like one and is meant.
    """
    if _WHOLE.fullmatch(text):
        found = [text.strip()]
    else:
        hits = sorted((hit.start(), -hit.end(), hit[0]) for kind in _KINDS for hit in kind.finditer(text))
        found, end = [], 0
        for start, until, hit in hits:
            if start >= end:  # what is part of a longer one is not named again
                found.append(hit)
                end = -until
        found += [ip for ip in _IPS.findall(text) if _is_example(ip)]
    return [hit for hit in dict.fromkeys(found) if hit not in allowed and text not in allowed]


_KINDS = (_WORDS, _SQUARE, _ANGLE, _SHOUTED, _HOSTS)


def _is_example(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(address in net for net in _EXAMPLES)


def variables(text: str) -> list[str]:
    """Names of the environment variables that ``$NAME`` in a text stands for, each once.

    Only capital letters count, because a small one after a dollar sign is somebody else's: a pattern, a query.
    """
    return list(dict.fromkeys(hit[1] or hit[2] for hit in _VARIABLE.finditer(text) if hit[1] or hit[2]))


def needed(command: Collection[str]) -> Iterator[tuple[str, str]]:
    """What must be there for a command to run: pairs of ``program``, ``module`` or ``file``, and its name.

    Args:
        command: program and arguments, with ``{python}`` left as it is.
    """
    program, *arguments = command
    if program == PYTHON:
        if arguments[:1] == ["-m"] and len(arguments) > 1:
            yield "module", arguments[1]
    else:
        yield "program", program
    if program == PYTHON or _INTERPRETERS.fullmatch(program):
        first = next((part for part in arguments if not part.startswith("-")), "")
        if first.endswith(_SCRIPTS) and not {"-m", "-c", "-e", "--eval"}.intersection(arguments):
            yield "file", first


def local_links(destinations: Collection[str]) -> list[str]:
    """Those of a document's links that lead to files beside it, without their anchors, each once."""
    files = [link.partition("#")[0].partition("?")[0] for link in destinations if not _leads_away(link)]
    return [link for link in dict.fromkeys(files) if link]


def _leads_away(link: str) -> bool:
    return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]*:|//", link))
