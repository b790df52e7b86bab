"""What an answer must never contain: secrets, and the insides of a program that broke.

Pure: text in, findings out. A finding never repeats the secret itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_HIDDEN = "[removed]"
_MOST_CHARACTERS = 20_000_000
"""What lies beyond is not read; clients refuse a body long before."""

_QUOTED = r"""(?:"[^"\n]{1,500}"|'[^'\n]{1,500}')"""
_BARE = r"""[^\s,;&"'<>(){}\[\]]{3,500}"""
_NAMES = (
    r"(?:password|passwd|pwd|secret[_-]?(?:access[_-]?)?key|client[_-]?secret|api[_-]?key|private[_-]?key"
    r"|auth[_-]?token|(?:jwt|session|cookie|app|webhook)[_-]?secret|(?:db|smtp|mail|redis|mysql|pg)[_-]?pass)"
)

_TRACES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("a Python traceback", ("traceback",), r"Traceback \(most recent call last\):"),
    ("a Python stack frame", (".py",), r'File "[^"\n]{1,300}\.py", line \d+'),
    (
        "a Java stack frame",
        (".java:", ".kt:", ".scala:", ".groovy:"),
        r"\bat [\w.$/]{1,200}\.[\w$<>]{1,100}\([\w$]{1,100}\.(?:java|kt|scala|groovy):\d+\)",
    ),
    (
        "a Node.js stack frame",
        ("at ",),
        r"\bat (?:async )?(?:[\w.$<>\[\] ]{1,200} \()?(?:node:|file:/|/|[A-Z]:\\)[^\s()\"]{1,300}:\d+:\d+\)?",
    ),
    ("a .NET stack frame", (":line ",), r"\bat [\w.`<>]{1,200}\([^()\n]{0,200}\) in [^\n\"]{1,300}:line \d+"),
    ("a Go stack", ("goroutine ",), r"\bgoroutine \d+ \[\w+"),
    (
        "a PHP error",
        (".php",),
        r"\b(?:Fatal error|Parse error|Uncaught \w+): [^\n]{1,300} in [^\n]{1,300}\.php\b",
    ),
    ("a Ruby stack frame", (".rb:",), r"\.rb:\d+:in ['`]"),
)
"""Each with what a text that has it must contain in small letters: that is looked for first, as it is quick."""
_SECRETS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "a private key",
        ("private key",),
        r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----(?s:.{0,10000}?-----END (?:[A-Z]+ )*PRIVATE KEY-----)?",
    ),
    (
        "an address with a password",
        ("://",),
        r"\b[a-z][a-z0-9+.-]{1,30}://[^\s:@/\"'<>]{0,200}:(?P<secret>[^\s@/\"'<>]{1,200})@",
    ),
    ("an AWS access key", ("akia", "asia"), r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    (
        "a password",
        ("pass", "pwd", "secret", "key", "token"),
        rf"(?i){_NAMES}[\"']?(?:\s*[=:]\s*(?P<secret>{_QUOTED})|=(?P<bare>{_BARE}))",
    ),
    (
        "a token of GitHub or Slack",
        ("gh", "xox"),
        r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|xox[abprs]-[A-Za-z0-9-]{10,})",
    ),
)
_HARMLESS = re.compile(
    r"""(?i)["']?(?:\*+|x{3,}|<?redacted>?|\[?removed\]?|hidden|null|none|true|false|undefined|required)["']?"""
)

_PATTERNS = tuple((kind, hints, re.compile(pattern)) for kind, hints, pattern in (*_TRACES, *_SECRETS))
_SECRET_KINDS = frozenset(kind for kind, _, _ in _SECRETS)


@dataclass(frozen=True)
class Leak:
    """One finding."""

    kind: str
    line: int
    """Counted from 1."""

    def __str__(self) -> str:
        return f"{self.kind} in line {self.line}"


def find(text: str) -> tuple[Leak, ...]:
    """Secrets and stack traces in an answer, one of each kind, in the order of their lines.

    JSON escapes line breaks and quotes; both the text as it is and what such escapes stand for are read.
    Values such as ``***`` or ``null`` are no secrets.
    """
    found: dict[str, int] = {}
    for kind, start, _ in _spans(text[:_MOST_CHARACTERS]):
        line = text.count("\n", 0, start) + 1
        found[kind] = min(found.get(kind, line), line)
    if "\\" in text:
        for kind, _, _ in _spans(_unescaped(text[:_MOST_CHARACTERS])):
            found.setdefault(kind, 1)
    return tuple(
        sorted((Leak(kind, line) for kind, line in found.items()), key=lambda leak: (leak.line, leak.kind))
    )


def redacted(text: str) -> str:
    """The text with each secret that ``find`` knows taken out; stack traces stay, they are what was found."""
    for kind, _, pattern in _PATTERNS:
        if kind in _SECRET_KINDS:
            text = pattern.sub(_without_secret, text)
    return text


def _spans(text: str) -> list[tuple[str, int, int]]:
    spans = []
    small = text.lower()
    for kind, hints, pattern in _PATTERNS:
        if not any(hint in small for hint in hints):
            continue
        for match in pattern.finditer(text):
            if _HARMLESS.fullmatch(_secret(match)) is None:
                spans.append((kind, *match.span()))
                break
    return spans


def _secret(match: re.Match[str]) -> str:
    groups = match.groupdict()
    return groups.get("secret") or groups.get("bare") or match.group()


def _without_secret(match: re.Match[str]) -> str:
    secret = _secret(match)
    if _HARMLESS.fullmatch(secret):
        return match.group()
    quote = secret[0] if secret[0] in "\"'" else ""
    return match.group().replace(secret, f"{quote}{_HIDDEN}{quote}")


def _unescaped(text: str) -> str:
    return re.sub(r"\\(?:n|r|t|/|\"|\\)", lambda found: _ESCAPES[found.group()], text)


_ESCAPES = {r"\n": "\n", r"\r": "\n", r"\t": "\t", r"\/": "/", r"\"": '"', "\\\\": "\\"}
