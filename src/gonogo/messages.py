"""What people are told: texts with placeholders, filled in, and looked over before anybody reads them.

Pure: no file, no network. A placeholder is ``{name}``; ``{{`` and ``}}`` stand for the braces themselves.
"""

from __future__ import annotations

import re
import string
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

BUILT_IN = ("project", "version", "target", "base_url", "at")
"""Placeholders that every launch has: what ``[launch]`` says, and the target's name and address."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_LINK = re.compile(r"https?://[^\s<>\"'`|\\^{}]+", re.IGNORECASE)
_OPEN = {")": "(", "]": "["}
_GAPS = re.compile(
    r"""
    \b(?:TBD|TODO|TBC|FIXME|XXX+)\b
    | \[\s*(?:(?:insert|enter|add|your)\b[^\]\n]*
        | (?:the\s+)?(?:link|url|name|names|date|time|phone|e-?mail|address|reason|contact|version|here)
        | \.{2,} | …)\s*\](?!\()
    | <\s*(?:link|url|name|date|time|phone|reason|insert[^>\n]*|your[^>\n]*)\s*>
    | \byour-?(?:domain|company|app|team)\b(?:\.[a-z]+)*
    | \b(?:[\w-]+\.)*example\.(?:com|org|net)\b
    | \blorem\s+ipsum\b
    | \{[^}\n]*\} | \$\{?[A-Z][A-Z0-9_]{2,}\}? | _{3,} | \?{3,}
    """,
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True)
class Draft:
    """One message as it will be read."""

    id: str
    to: tuple[str, ...]
    """Names of the channels."""
    subject: str
    text: str

    def marked(self, mark: str) -> Draft:
        """The same with a mark at the beginning of subject and text."""
        return Draft(self.id, self.to, mark + self.subject if self.subject else "", mark + self.text)

    @property
    def whole(self) -> str:
        """Subject and text, one below the other."""
        return f"{self.subject}\n\n{self.text}" if self.subject else self.text


def placeholders(text: str) -> tuple[str, ...]:
    """Names of the placeholders, each once, in their order.

    Raises:
        ValueError: a brace without its partner, or something in braces that is no name.
    """
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:
        raise ValueError("a brace has no partner; write {{ or }} for a brace itself") from None
    found = []
    for _, name, form, conversion in parts:
        if name is None:
            continue
        if form or conversion or not _NAME.fullmatch(name):
            raise ValueError(f"{{{name}}} is no placeholder; write a name in small letters, or {{{{ for a brace")
        found.append(name)
    return tuple(dict.fromkeys(found))


def unknown(text: str, known: Collection[str]) -> tuple[str, ...]:
    """Placeholders that nothing fills in.

    Raises:
        ValueError: as ``placeholders`` does.
    """
    return tuple(name for name in placeholders(text) if name not in known)


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its placeholders filled in; a line end at the end is taken off.

    Raises:
        ValueError: a placeholder has no value; it is named.
    """
    if missing := unknown(text, values):
        raise ValueError(f"nothing fills in {{{missing[0]}}}; known are {', '.join(sorted(values))}")
    return text.format_map(values).rstrip()


def gaps(text: str) -> list[str]:
    """What somebody forgot to fill in: ``TBD``, ``[link]``, ``yourdomain.com``, a placeholder that stayed.

    Each as it stands in the text, once.
    """
    return list(dict.fromkeys(found.group().strip() for found in _GAPS.finditer(text)))


def links(text: str) -> list[str]:
    """Addresses in a text, each once, without the punctuation of the sentence around them."""
    found = []
    for match in _LINK.finditer(text):
        link = match.group()
        while link[-1] in ".,;:!?*_)]" and not (link[-1] in _OPEN and _OPEN[link[-1]] in link):
            link = link[:-1]
        found.append(link)
    return list(dict.fromkeys(found))


def copies(received: Any, text: str) -> int:
    """How often a message is among what a receiver lists.

    Args:
        received: the list, as read from JSON: texts, or tables that hold the text somewhere.
        text: the message; differences of white space don't count, as mail and chat wrap lines.

    Raises:
        ValueError: it is no list.
    """
    entries = _entries(received)
    if entries is None:
        raise ValueError(f"it is no list of messages, but {type(received).__name__}")
    wanted = _plain(text)
    return sum(any(wanted in _plain(part) for part in _texts(entry)) for entry in entries)


def _entries(received: Any) -> list[Any] | None:
    if isinstance(received, Mapping):  # many services wrap their list into a table
        lists = [value for value in received.values() if isinstance(value, list)]
        return lists[0] if len(lists) == 1 else None
    return received if isinstance(received, list) else None


def _plain(text: str) -> str:
    return " ".join(text.split())


def _texts(value: Any) -> list[str]:
    """Every text in plain data, however deep."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [text for part in value for text in _texts(part)] if isinstance(value, list | tuple) else []
