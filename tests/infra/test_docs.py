"""Documentation: what the plan and its documents point to is there."""

from __future__ import annotations

import pytest
from tests.infra.visiting import measure_visit, visited

from gonogo import EvidenceKeeper, Measure, Target, ToolError, empty
from gonogo.probes.links import Document, Link, local_problem, read_document

ACTIVE = "playbook: documentation links are active"


@pytest.mark.gate("docs.links")
def test_links(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The documentation that the plan names answers, and its documents point nowhere in vain."""
    docs = target.settings("docs")
    pages = [_absolute(target, target.expand(link)) for link in docs.links]
    documents, absent = _documents(target)
    links = [link for document in list(documents.values()) for link in document.links]
    urls = [*pages, *(link.href for link in links if link.abroad)]
    behind, left_out = visited(target, urls, docs.timeout_s, docs.unasked)

    for page in dict.fromkeys(pages):
        if page in behind:
            measure_visit(measure, page, behind[page], ACTIVE)
    problems = {}
    for link in links:
        if link.abroad:
            problem = behind[link.href].problem if link.href in behind else ""
        else:
            problem = local_problem(target.root, link, documents)
        problems[link] = problem
    for file in sorted({link.file for link in links}):
        own = [link for link in links if link.file == file and link.href not in left_out]
        if own:
            broken = [f"{link.place}: {problems[link]}" for link in own if problems[link]]
            measure(f"{file}: links that lead nowhere", broken, empty(ACTIVE), n=len(own))
    evidence.json("links.json", [_told(link, problems[link], left_out) for link in links])
    if absent:
        raise ToolError(
            f"launch.toml: targets.{target.name}.docs.files: there is no {absent[0]} in the plan's folder; "
            "mend the name"
        )


def _absolute(target: Target, link: str) -> str:
    return target.url(link) if link.startswith("/") else link


def _documents(target: Target) -> tuple[dict[str, Document], list[str]]:
    """The documents that the plan names, by their names, and patterns that nothing matches."""
    documents: dict[str, Document] = {}
    absent = []
    root = target.root.resolve()
    for pattern in target.settings("docs").files:
        files = [file.resolve() for file in target.files(pattern) if file.is_file()]
        if not files:
            absent.append(pattern)
        for file in files:
            if not file.is_relative_to(root):
                raise ToolError(
                    f"launch.toml: docs.files: {pattern} lies outside the plan's folder; name one within"
                )
            documents[file.relative_to(root).as_posix()] = read_document(root, file)
    return documents, absent


def _told(link: Link, problem: str, left_out: dict[str, str]) -> dict[str, str]:
    judged = f"not asked: {left_out[link.href]}" if link.href in left_out else problem or "there"
    return {"at": link.place, "leads to": link.href, "found": judged}
