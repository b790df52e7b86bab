"""Follows links: of Markdown documents in a folder, and addresses on the web, several at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

from gonogo.errors import TargetError, ToolError
from gonogo.messages import links as links_in_text

_PARSER = MarkdownIt("commonmark").enable("table")
_ANYWHERE = ("http://", "https://")
_NOT_FOUND = re.compile(
    r"\b(?:404|410)\b|\b(?:page|file|document|site)\b.{0,20}\b(?:not|cannot|can.t|couldn.t)\s+(?:be\s+)?found\b|\A\W*not\s+found\b"
    r"|\bdoes(?:n.t|\s+not)\s+exist\b|\bno\s+(?:such|longer)\b.{0,20}\b(?:page|available)\b",
    re.IGNORECASE,
)
_LOGIN = re.compile(r"/(?:log-?in|sign-?in|sso|auth|oauth2?|saml2?)(?:/|$|\.)", re.IGNORECASE)
_DOCUMENTS = (".md", ".markdown")


class Page(Protocol):
    """An answer, as the HTTP probe gives it."""

    @property
    def url(self) -> str:
        """The address that answered, after redirects."""

    @property
    def status(self) -> int:
        """HTTP's status."""

    @property
    def content_type(self) -> str:
        """Media type."""

    @property
    def text(self) -> str:
        """The body."""


Fetch = Callable[[str], Page]
"""Fetches an address with verified TLS, within a time limit; raises TargetError."""


@dataclass(frozen=True)
class Visit:
    """What stood behind one address."""

    url: str
    status: int | None = None
    """``None`` if nothing answered."""
    problem: str = ""
    """Why a reader would not find there what was promised; empty if nothing speaks against it."""


@dataclass(frozen=True)
class Link:
    """One link of a document."""

    file: str
    """Relative to the folder."""
    line: int
    href: str

    @property
    def place(self) -> str:
        """Where it stands, e.g. ``docs/plan.md:12``."""
        return f"{self.file}:{self.line}"

    @property
    def abroad(self) -> bool:
        """Whether it leads to the web."""
        return self.href.lower().startswith(_ANYWHERE)


@dataclass(frozen=True)
class Document:
    """What a Markdown document points to, and what can be pointed to in it."""

    file: str
    links: tuple[Link, ...]
    anchors: frozenset[str]


def visit(urls: Collection[str], fetch: Fetch, *, own_host: str = "", workers: int = 8) -> dict[str, Visit]:
    """Fetch each address once, fragments apart, several at a time.

    Args:
        urls: absolute addresses.
        fetch: how; its time limit bounds each of them.
        own_host: of this host's pages the named section must be there as well; others' pages may make
            theirs by a script.
        workers: how many at a time.
    """
    pages = list(dict.fromkeys(url.partition("#")[0] for url in urls))
    with ThreadPoolExecutor(max_workers=workers) as pool:
        fetched = dict(zip(pages, pool.map(lambda page: _fetched(page, fetch), pages), strict=True))
    return {url: _judged(url, fetched[url.partition("#")[0]], own_host) for url in urls}


def read_document(root: Path, file: Path) -> Document:
    """Read one Markdown document.

    Args:
        root: folder of the project.
        file: the document, below it.

    Raises:
        ToolError: it can't be read.
    """
    name = file.relative_to(root).as_posix()
    try:
        tokens = _PARSER.parse(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ToolError(
            f"{name} can't be read ({error}); save it as UTF-8 text, or take it out of docs.files"
        ) from None
    links: list[Link] = []
    anchors: list[str] = []
    for position, token in enumerate(tokens):
        line = (token.map or [0])[0] + 1
        found = _inline(token, line) if token.type == "inline" else _of_html(token, line)
        links += [Link(name, at, href) for at, href in found]
        if position and tokens[position - 1].type == "heading_open":
            slug = _slug(token)
            number = sum(one == slug or re.fullmatch(rf"{re.escape(slug)}-\d+", one) is not None for one in anchors)
            anchors.append(f"{slug}-{number}" if number else slug)
    named = {one for token in tokens for one in _Html.read(_raw(token)).anchors}
    return Document(name, tuple(links), frozenset(anchors) | named)


def local_problem(root: Path, link: Link, documents: dict[str, Document]) -> str:
    """Why a link within the project leads nowhere; empty if it leads somewhere.

    Args:
        root: folder of the project.
        link: one that is not ``abroad``.
        documents: those that were read already, by name; what is read here is added.

    Raises:
        ToolError: a document that it leads to can't be read.
    """
    if not link.href or re.match(r"(?i)(?:mailto|tel|data):", link.href):
        return "" if link.href else "leads nowhere: it is empty"
    path, _, fragment = unquote(link.href).partition("#")
    path = path.partition("?")[0]
    base = root if path.startswith("/") else (root / link.file).parent
    found = (base / path.lstrip("/")).resolve() if path else (root / link.file).resolve()
    if not found.is_relative_to(root.resolve()):
        return f"{link.href} leads out of the project"
    if not found.exists():
        return f"{link.href} is not there"
    if not fragment or found.suffix.lower() not in _DOCUMENTS:
        return ""
    name = found.relative_to(root.resolve()).as_posix()
    if name not in documents:
        documents[name] = read_document(root.resolve(), found)
    return "" if fragment in documents[name].anchors else f"{link.href}: {name} has no section #{fragment}"


def _fetched(page: str, fetch: Fetch) -> Page | str:
    try:
        return fetch(page)
    except TargetError as error:
        return str(error)


def _judged(url: str, page: Page | str, own_host: str) -> Visit:
    if isinstance(page, str):
        return Visit(url, None, page)
    if page.status != 200:
        return Visit(url, page.status, f"{page.url} answered {page.status}")
    if _LOGIN.search(urlsplit(page.url).path) and not _LOGIN.search(urlsplit(url).path):
        return Visit(url, page.status, f"leads to a login, {page.url}")
    if page.content_type not in ("text/html", "application/xhtml+xml"):
        return Visit(url, page.status)
    html = _Html.read(page.text)
    if html.asks_password and not _LOGIN.search(urlsplit(url).path):
        return Visit(url, page.status, f"{page.url} answered 200 and asks for a password")
    for title in html.titles:
        if _NOT_FOUND.search(title):
            return Visit(url, page.status, f"{page.url} answered 200, but says {title!r}")
    fragment = unquote(urlsplit(url).fragment)
    if fragment and urlsplit(url).hostname == own_host and fragment not in html.anchors:
        return Visit(url, page.status, f"{page.url} has no section #{fragment}")
    return Visit(url, page.status)


@dataclass
class _Html(HTMLParser):
    """What a page says of itself; broken HTML is read as far as it goes."""

    titles: list[str] = field(default_factory=list)
    """Its title and first headings."""
    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    asks_password: bool = False
    _open: bool = False

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    @classmethod
    def read(cls, text: str) -> _Html:
        """Read a page, or a part of one."""
        page = cls()
        if "<" in text:
            page.feed(text)
            page.close()
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag in ("a", "img"):
            self.links += [given[name] for name in ("href", "src") if name in given]
        if tag == "input" and given.get("type", "").lower() == "password":
            self.asks_password = True
        if tag in ("title", "h1"):
            self.titles.append("")
            self._open = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("title", "h1"):
            self._open = False

    def handle_data(self, data: str) -> None:
        if self._open:
            self.titles[-1] = " ".join((self.titles[-1] + data).split())


def _raw(token: Token) -> str:
    """The HTML that stands in a token."""
    if token.type == "html_block":
        return token.content
    return "".join(child.content for child in token.children or () if child.type == "html_inline")


def _of_html(token: Token, line: int) -> Iterator[tuple[int, str]]:
    if token.type == "html_block":
        for number, text in enumerate(token.content.split("\n")):
            yield from ((line + number, href) for href in _Html.read(text).links)


def _inline(token: Token, line: int) -> Iterator[tuple[int, str]]:
    """Line and address of each link of a paragraph, a heading, a cell."""
    inside = False
    for child in token.children or ():
        if child.type in ("softbreak", "hardbreak"):
            line += 1
        elif child.type == "link_open":
            inside = True
            yield line, str(child.attrs.get("href", ""))
        elif child.type == "link_close":
            inside = False
        elif child.type == "image":
            yield line, str(child.attrs.get("src", ""))
        elif child.type == "html_inline":
            yield from ((line, href) for href in _Html.read(child.content).links)
        elif child.type == "text" and not inside:  # GitHub makes links of bare addresses
            yield from ((line, href) for href in links_in_text(child.content))


def _slug(heading: Token) -> str:
    """The name that GitHub gives a heading's section."""
    text = "".join(child.content for child in heading.children or () if child.type in ("text", "code_inline"))
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
