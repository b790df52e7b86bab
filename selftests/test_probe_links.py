"""Links of documents and of pages: those that lead somewhere, and those that only look like it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gonogo.errors import TargetError, ToolError
from gonogo.probes.http import HttpProbe
from gonogo.probes.links import Link, Visit, local_problem, read_document, visit
from servers import answer, hang, serve

DOCUMENT = """\
# Title with `code` & more!

First [plan](plan.md) and
then [a section](plan.md#the-ledger), ![image](shot.png).

- item with <a href="raw.md">raw</a> <!-- [hidden](gone.md) -->
- https://bare.test/x and <https://auto.test>

| table | cell |
| --- | --- |
| a | [cell](cell.md) |

## Same
## Same
<a name="by-hand"></a>

`[code](no-link.md)`

    [code](no-link.md)

[by reference][there]

[there]: reference.md#x
"""


def test_a_document_tells_its_links_with_lines_and_its_sections(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(DOCUMENT)
    found = read_document(tmp_path, tmp_path / "a.md")
    assert [(link.line, link.href) for link in found.links] == [
        (3, "plan.md"), (4, "plan.md#the-ledger"), (4, "shot.png"), (6, "raw.md"), (7, "https://bare.test/x"),
        (7, "https://auto.test"), (11, "cell.md"), (21, "reference.md#x"),
    ]  # fmt: skip
    assert found.anchors == {"title-with-code--more", "same", "same-1", "by-hand"}
    assert found.links[0].place == "a.md:3"


@pytest.mark.parametrize(
    ("href", "words"),
    [
        ("there.md", ""), ("there.md#part-two", ""), ("#own", ""), ("/docs/there.md", ""), ("../top.txt#L3", ""),
        ("there.md#part-tow", "there.md has no section #part-tow"), ("gone.md", "gone.md is not there"),
        ("#gone", "docs/here.md has no section #gone"), ("../../outside.md", "leads out of the project"),
        ("with%20space.md", ""), ("mailto:a@b.test", ""), ("", "it is empty"), ("THERE.md", "is not there"), (".", ""),
    ],
)  # fmt: skip
def test_links_within_the_project(tmp_path: Path, href: str, words: str) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "here.md").write_text("# Own\n")
    (docs / "there.md").write_text("# Part two\n")
    (docs / "with space.md").write_text("x")
    (tmp_path / "top.txt").write_text("x")
    problem = local_problem(tmp_path, Link("docs/here.md", 1, href), {})
    assert words in problem
    assert bool(problem) == bool(words)


def test_a_document_that_is_no_text_is_our_own_fault(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ToolError, match="a.md can't be read"):
        read_document(tmp_path, tmp_path / "a.md")


def visit_one(body: str, status: str = "200 OK", kind: str = "text/html", fragment: str = "") -> Visit:
    """What is said of a page with this body."""
    with serve(answer(body.encode(), status, f"Content-Type: {kind}")) as server, HttpProbe(server.url) as probe:
        url = f"{server.url}/page{fragment}"
        return visit([url], probe.get, own_host="127.0.0.1")[url]


@pytest.mark.parametrize(
    "title",
    ["404 Not Found", "Page not found", "Not found", "This page does not exist", "Error 404", "Page can't be found",
     "The page you want could not be found", "There is no such page"],
)  # fmt: skip
def test_a_page_that_says_it_is_none_is_none(title: str) -> None:
    found = visit_one(f"<html><title>Desk</title><h1>{title}</h1></html>")
    assert title in found.problem
    assert found.status == 200


@pytest.mark.parametrize(
    "title", ["User guide", "Lost and found", "What to do if nothing is found", "Finding vehicles", "Route 40"]
)
def test_a_page_about_finding_is_one(title: str) -> None:
    assert visit_one(f"<title>{title}</title><h1>{title}</h1><p>404 not found</p>").problem == ""


def test_status_login_and_sections_of_a_page() -> None:
    assert "answered 404" in visit_one("x", "404 Not Found").problem
    assert "answered 503" in visit_one("x", "503 Busy").problem
    assert "answered 204" in visit_one("", "204 Empty").problem
    assert "asks for a password" in visit_one("<form><input name=p type=PASSWORD></form>").problem
    assert "has no section #b" in visit_one("<h2 id='a'>A</h2>", fragment="#b").problem
    assert visit_one("<h2 id='a'>A</h2>", fragment="#a").problem == ""
    assert visit_one("%PDF not found", kind="application/pdf", fragment="#page=3").problem == ""


def test_a_redirect_to_a_login_is_no_page() -> None:
    with serve(answer(b"", "302 Found", "Location: /login?next=/page")) as server, HttpProbe(server.url) as probe:
        found = visit([f"{server.url}/page"], probe.get)[f"{server.url}/page"]
    assert "redirected more than" in found.problem or "login" in found.problem


def test_pages_are_fetched_once_and_side_by_side_and_one_that_hangs_hides_no_other() -> None:
    with (
        serve(answer(b"<h2 id=a>A</h2>", headers="Content-Type: text/html", delay_s=0.2)) as good,
        serve(hang) as bad,
    ):
        fetched = []

        with HttpProbe(good.url, timeout_s=0.5) as probe:

            def fetch(url: str) -> object:
                fetched.append(url)
                return probe.get(url)

            urls = [f"{good.url}/{n}#a" for n in range(6)] + [f"{good.url}/0", f"{bad.url}/x"]
            started = time.monotonic()
            found = visit(urls, fetch, own_host="127.0.0.1")  # type: ignore[arg-type]
            took = time.monotonic() - started
    assert took < 1.2
    assert len(fetched) == 7
    assert {url for url, seen in found.items() if seen.problem} == {f"{bad.url}/x"}
    assert "within 0.5 s" in found[f"{bad.url}/x"].problem


def test_what_can_not_be_fetched_is_told_in_its_own_words() -> None:
    def fetch(url: str) -> object:
        raise TargetError(f"GET {url} could not be connected")

    assert visit(["https://a.test/"], fetch)["https://a.test/"] == Visit(  # type: ignore[arg-type]
        "https://a.test/", None, "GET https://a.test/ could not be connected"
    )
