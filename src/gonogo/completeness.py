"""What is still missing in a plan's texts: placeholders, variables, programs; no clock, file or network.

A placeholder is what somebody meant to fill in: ``TBD``, ``[Phone]``, ``<your-host>``, ``changeme``, a name or an
address that RFC 2606 and RFC 5737 reserve for examples.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import takewhile
from urllib.parse import unquote

PYTHON = "{python}"

_BLANKS = (
    "phone|telephone|e-?mail|mail|link|url|uri|name|names|date|time|number|address|company|contact|channel|team|"
    "person|role|version|host|hostname|domain|port|path|id|token|key|password|secret|amount|reason|placeholder"
)
_ORDER = r"(?:your|insert|enter|fill in)(?![a-z])[^\[\]<>]*"
_BLANK = rf"(?:{_ORDER}|(?:[\w-]+[ _-])?(?:{_BLANKS})(?:[ _/-](?:{_BLANKS}|here))?)"
_WORDS = re.compile(
    r"(?<![\w-])(?:(?i:TBD)|TBC|TBA|TODO|FIXME|XXX+|\?\?\?+)(?![\w-])"
    r"|(?i:(?<![\w-])x{3}(?:[- ]x{3,4})+(?![\w-]))"
    r"|(?i:\b(?:change|replace)[ _-]?me\b)"
    r"|(?i:\blorem ipsum\b)"
)
_WHOLE = re.compile(
    r"(?i)\s*(?:(?:tbd|tbc|tba|todo|fixme|x{3,}|placeholder"
    r"|to be (?:announced|confirmed|decided|defined|determined))\.?|\?+|\.{3}|…|_{2,})\s*"
)
_TARGET = r":\s+<?(?:https?:|mailto:|\.{0,2}/|#|[\w./-]+\.(?:md|html|pdf)\b)"
"""What makes a name in brackets the definition of a link."""
_SQUARE = re.compile(rf"(?i)(?<![\\\w\]])\[ ?{_BLANK} ?\](?![(\[*+?{{]|{_TARGET})")
_ANGLE = re.compile(rf"(?i)(?<![?\\\w])<{_BLANK}>")
_SHOUTED = re.compile(r"(?<![?\\])<[A-Z][A-Z0-9]*(?:[ _-][A-Z0-9]+)+>")
_ENDINGS = "env|toml|ya?ml|json|ini|conf|cfg|config|properties|xml|service|py|js|ts|sh|sql|md|txt"
"""A file that people copy is called so, as ``.env.example``."""
_HOSTS = re.compile(
    r"(?i)(?<![\w-])(?:[\w-]+\.)*(?:"
    r"(?:your[-_.]?(?:domain|company|org|host|app|site|server|team)|my[-_.]?(?:domain|company))(?:\.[a-z]{2,})*"
    rf"|example\.(?:com|net|org|edu)|(?!(?:{_ENDINGS})\.example)[\w-]+\.(?:example|invalid))(?![\w-])"
)
_IPS = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|2001:0?db8:[0-9a-f:]*)(?![\w.])", re.IGNORECASE)
_EXAMPLES = tuple(
    ipaddress.ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
)
_VARIABLE = re.compile(r"\$(?:\$|\{([A-Z][A-Z0-9_]*)\}|([A-Z][A-Z0-9_]*)(?![\w(]))")
_SCRIPTS = (".py", ".sh", ".js", ".mjs", ".rb", ".pl", ".php", ".ts")
_INTERPRETERS = re.compile(r"(?:.*/)?(?:python[\d.]*|bash|sh|dash|zsh|ksh|node|ruby|perl|php|deno|tsx)")
_INLINE = re.compile(r"-m.*|-e|--eval|-[a-z]*c")
"""An option after which no file is named: a module or the program's text."""


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
        if module := _module(arguments):
            yield "module", module
    else:
        yield "program", program
    if program == PYTHON or _INTERPRETERS.fullmatch(program):
        first = next((part for part in arguments if not part.startswith("-")), "")
        options = takewhile(lambda part: part != first, arguments)
        if first.endswith(_SCRIPTS) and not any(_INLINE.fullmatch(part) for part in options):
            yield "file", first


def _module(arguments: Collection[str]) -> str:
    """The module that Python is told to run; empty if it is told otherwise."""
    rest = iter(arguments)
    for part in rest:
        if found := re.fullmatch(r"-[bBdEhiIOPqsSuvx]*m(.*)", part):
            return found[1] or next(rest, "")
        if part in {"-W", "-X"}:
            next(rest, "")
        elif not part.startswith("-") or part == "-c":
            break
    return ""


def local_links(destinations: Collection[str]) -> list[str]:
    """Those of a document's links that lead to files of its folder, as paths, without their anchors, each once.

    One that begins with a slash begins in that folder, as ``docs.links`` has it.
    """
    files = [unquote(link.partition("#")[0].partition("?")[0]) for link in destinations if not _leads_away(link)]
    return [link for link in dict.fromkeys(file.lstrip("/") for file in files) if link]


def _leads_away(link: str) -> bool:
    return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]*:|//", link))
