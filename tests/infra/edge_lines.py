"""What is asked of each address of the outer side, and what the answers are worth in lines of a report."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gonogo import Target, TargetError, ToolError
from gonogo.probes.edge import MAX_HOPS, Answer, CutError, Edge, canonical, origin, path_of
from gonogo.probes.headers import frames_restricted, hsts_max_age_s

WORTH_COMPRESSING = 1024
"""Bytes below which servers leave an answer as it is: it fits into one packet."""
_LOGIN = re.compile(r"log-?in|sign-?in|oauth|/auth\b|sso", re.IGNORECASE)
REFUSED = (401, 403, 404, 405, 410)
REFUSED_WRITE = (401, 403, 404, 405)


def port_number(target: Target, value: int | str) -> int:
    """A port of the plan, its variable looked up.

    Raises:
        ToolError: the variable is not set, or holds no port.
    """
    text = target.expand(str(value))
    if text.isascii() and text.isdigit() and 0 < int(text) < 65_536:
        return int(text)
    raise ToolError(f"launch.toml: edge: {value!r} must be a port from 1 to 65535; it is {text!r}")


def url_of(target: Target, scheme: str, port: int, path: str) -> str:
    """A path of the target's host under another scheme or port, in the form that redirects are compared in."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    return canonical(f"{scheme}://{host}:{port}{path}")


@dataclass
class Seen:
    """Answers of one address, and what was wrong with them by kind."""

    pages: list[Answer] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    problems: dict[str, list[str]] = field(default_factory=dict)

    def ask(self, kind: str, path: str, how: Callable[[str], tuple[Answer, ...]], url: str) -> Answer | None:
        """Ask for something and keep the answers; one that can't be had is a problem of its kind."""
        found = self.problems.setdefault(kind, [])
        try:
            chain = how(url)
        except TargetError as error:
            found.append(f"{path}: {error}")
            return None
        self.answers.extend(chain)
        return chain[-1]

    def blame(self, kind: str, problem: str) -> None:
        """Note one problem."""
        self.problems.setdefault(kind, []).append(problem)


def look(target: Target, client: Edge, seen: Seen) -> None:
    """Ask one address for every page and path of the plan, and for some that nobody made.

    Pages are asked as a stranger does. The API, and what nobody made beside it, is asked with the plan's headers:
    behind a sign-in everything looks alike to a stranger, what is there and what is not.
    """
    edge, identified = target.settings("edge"), target.credentials

    def once(url: str) -> tuple[Answer, ...]:
        return (client.ask(url, headers=identified),)

    for path in edge.pages:
        page = seen.ask("pages", path, client.follow, target.url(path))
        if page is None:
            continue
        if problem := no_page(page):
            seen.blame("pages", f"{path}: {problem}")
        else:
            seen.pages.append(page)
    for path in edge.api:
        answer = seen.ask("api", path, once, target.url(path))
        if answer is not None and (problem := not_json(answer)):
            seen.blame("api", f"{path}: {problem}")
    for path in unknown_paths(edge.api):
        answer = seen.ask("unknown", path, once, target.url(path))
        if answer is not None and answer.status not in edge.unknown_status:
            seen.blame("unknown", f"{path}: {status_of(answer)}")


def unknown_paths(api: tuple[str, ...]) -> list[str]:
    """Two paths that nobody made: one at the top, one beside the first path that answers JSON."""
    name = f"/gonogo-{secrets.token_hex(6)}"
    folder = api[0].partition("?")[0].rpartition("/")[0] if api else ""
    return list(dict.fromkeys((name, folder + name)))


def status_of(answer: Answer) -> str:
    """Status of an answer, and where it leads."""
    return f"{answer.status} to {answer.leads_to}" if answer.leads_to else str(answer.status)


def no_page(answer: Answer) -> str | None:
    """What keeps an answer from being a page, if anything does."""
    if answer.leads_to is not None:
        return status_of(answer)
    if answer.status != 200 or answer.content_type != "text/html":
        return f"{answer.status} {answer.content_type or 'without a content type'}"
    return None if answer.body.strip() else "200 with an empty body"


def not_json(answer: Answer) -> str | None:
    """What keeps an answer from being good JSON, if anything does."""
    if answer.status != 200:
        return status_of(answer)
    kind = answer.content_type
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        return f"200 with content type {kind or 'missing'}"
    if not answer.complete:  # too long to be read to its end, so its form is for others to judge
        return None
    try:
        json.loads(answer.body)
    except (ValueError, RecursionError):
        return f"200 with content type {kind}, and a body that is not JSON"
    return None


def hsts_age(pages: list[Answer]) -> int | str:
    """Shortest time that the pages keep browsers on HTTPS, in seconds; a sentence if one does not."""
    ages = []
    for page in pages:
        sent = page.values("strict-transport-security")
        age = hsts_max_age_s(sent[0]) if sent else None  # of several, browsers take the first (RFC 6797, 8.1)
        if age is None:
            return f"{path_of(page.url)}: " + (f"unusable, {sent[0]!r}" if sent else "the header is absent")
        ages.append(age)
    return min(ages, default=0)


def without_header(pages: list[Answer], name: str, pattern: str) -> list[str]:
    """Pages whose header is absent or not as the plan has it."""
    wrong = []
    for page in pages:
        value = page.header(name)
        if value is None:
            wrong.append(f"{path_of(page.url)}: absent")
        elif not re.search(pattern, value, re.IGNORECASE):
            wrong.append(f"{path_of(page.url)}: {value}")
    return wrong


def frameable(pages: list[Answer]) -> list[str]:
    """Pages that any site may put into a frame."""
    return [
        f"{path_of(page.url)}: neither frame-ancestors nor X-Frame-Options forbids it"
        for page in pages
        if not frames_restricted(page.values("content-security-policy"), page.values("x-frame-options"))
    ]


def uncompressed(client: Edge, pages: list[Answer]) -> tuple[list[str], int]:
    """Pages that come as they are although the client takes gzip, and how many are large enough to tell."""
    large = [page for page in pages if len(page.body) >= WORTH_COMPRESSING]
    wrong = []
    for page in large:
        path = path_of(page.url)
        try:
            answer = client.ask(page.url, headers={"Accept-Encoding": "gzip, deflate"})
        except TargetError as error:
            wrong.append(f"{path}: {error}")
            continue
        coding = answer.header("content-encoding") or "identity"
        if answer.status != 200 or not answer.body:
            wrong.append(f"{path}: {status_of(answer)} with {len(answer.body)} bytes, once gzip is asked for")
        elif coding.lower() not in {"gzip", "x-gzip", "deflate"}:
            wrong.append(f"{path}: {coding}, {len(page.body)} bytes")
    return wrong, len(large)


def redirect_end(chain: tuple[Answer, ...]) -> int | str:
    """Number of redirects up to an answer that is none, or a sentence about where they lead."""
    last = chain[-1]
    if last.leads_to is None:
        if origin(last.url)[0] != "https":
            return f"ends unencrypted at {last.url}"
        return len(chain) - 1
    if len(chain) > MAX_HOPS:
        return f"more than {MAX_HOPS}, last to {last.leads_to}"
    return f"leaves for {last.leads_to}"


def exposed(client: Edge, target: Target, path: str) -> tuple[str | None, list[Answer]]:
    """What a path that must be refused was answered with, ``None`` if it was refused; and the answers.

    Being sent elsewhere, as to a login, is a refusal, and so is a connection that is closed without a word. Being
    sent to the same path with another end, or to what lies below it and is no login, is not.

    Raises:
        TargetError: there was no answer.
    """
    try:
        answers = [client.ask(target.url(path), max_bytes=100_000)]
    except CutError:
        return None, []
    plain = path.partition("?")[0].rstrip("/")
    while (there := answers[-1].leads_to) is not None and len(answers) <= MAX_HOPS:
        if origin(there)[1] != origin(target.base_url)[1] or not _inside(path_of(there), plain):
            return None, answers
        answers.append(client.ask(there, max_bytes=100_000))
    last = answers[-1]
    return (None if last.status in REFUSED else f"{path}: {status_of(last)}"), answers


def _inside(path: str, plain: str) -> bool:
    where = path.partition("?")[0].rstrip("/")
    return where == plain or (where.startswith(f"{plain}/") and _LOGIN.search(where) is None)


def write_of(write: Any) -> str:
    """A write of the plan as people write it down."""
    return f"{write.method} {write.path}"
