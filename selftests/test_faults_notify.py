"""Every fault of messages and documentation is caught by its gates, which name what is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fleet import Fleet, fleet
from fleetboard.faults.notify import FAULTS
from gate_calls import Called, call, target_at
from gate_runs import ROOT
from gonogo.model import Outcome
from gonogo.outbox import Outbox
from letter_boxes import letter_boxes, received

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra import test_announce as announce
from tests.infra.test_docs import test_links as doc_links

GATES: dict[str, Callable[..., None]] = {
    "announce.drafts": announce.test_drafts,
    "announce.preparation": announce.test_preparation,
    "announce.go-live": announce.test_go_live,
    "announce.rollback": announce.test_rollback,
    "docs.links": doc_links,
}
RECEIVERS = {
    "mail-refused": "go-live-mail to mail: the server takes it: 550 5.7.1",
    "mail-lost": "go-live-mail to mail: copies that arrived: 0",
    "webhook-500": "error=500",
    "message-lost": "copies that arrived: 0",
    "message-doubled": "copies that arrived: 2",
}
"""Faults of the receivers, and what the reason says."""
PAGES = {
    "doc-link-404": "/guide answered 404",
    "doc-link-not-found-200": "/guide answered 200, but says 'Page not found",
    "doc-anchor-missing": "/support has no section #contact",
}
"""Faults of the pages."""


@pytest.fixture(scope="module")
def target() -> Iterator[Fleet]:
    with fleet() as found:
        yield found


def tried(gate: str, info: dict[str, Any], boxes: dict[str, str], folder: Path) -> Called:
    """One gate, with receivers that are looked at for a moment only."""
    here = {**info, "env": {**info["env"], **boxes}}
    with closing(target_at(here, notify={"receipt_s": 0.3})) as target:
        return call(GATES[gate], target, outbox=Outbox(folder, "run-1"))


def links_of(info: dict[str, Any], root: Path, **docs: Any) -> Called:
    """The gate about links, with other documents."""
    with closing(target_at(info, root=root, docs=docs)) as target:
        return call(doc_links, target)


def test_every_fault_is_tried_by_name() -> None:
    assert {fault.name for fault in FAULTS} == set(RECEIVERS) | set(PAGES)
    assert {gate for fault in FAULTS for gate in fault.gates} == set(GATES)


@pytest.mark.parametrize("gate", GATES)
def test_the_healthy_target_passes(target: Fleet, tmp_path: Path, gate: str) -> None:
    with letter_boxes() as boxes:
        called = tried(gate, target.info, boxes, tmp_path)
        assert called.outcome is Outcome.PASS, called.reason
        assert bool(received(boxes)) is (gate not in ("announce.drafts", "docs.links"))


def judge(name: str, words: str, results: dict[str, Called]) -> None:
    """Red are the gates that the fault names, for its reason, and no others."""
    (fault,) = [fault for fault in FAULTS if fault.name == name]
    red = {gate for gate, called in results.items() if called.outcome is Outcome.FAIL}
    others = {called.outcome for gate, called in results.items() if gate not in red}
    assert red == set(fault.gates), {gate: called.reason for gate, called in results.items()}
    assert others <= {Outcome.PASS}
    for gate in red:
        assert words in results[gate].reason, results[gate].reason


@pytest.mark.parametrize("name", RECEIVERS)
def test_a_fault_of_a_receiver_turns_its_gates_red(target: Fleet, tmp_path: Path, name: str) -> None:
    with letter_boxes(name) as boxes:
        results = {gate: tried(gate, target.info, boxes, tmp_path) for gate in GATES}
    judge(name, RECEIVERS[name], results)


@pytest.mark.parametrize("name", PAGES)
def test_a_fault_of_a_page_turns_its_gates_red(target: Fleet, tmp_path: Path, name: str) -> None:
    with letter_boxes() as boxes, target.faults(name) as info:
        results = {gate: tried(gate, info, boxes, tmp_path) for gate in GATES}
    judge(name, PAGES[name], results)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("first\n\n[plan](plan.md)", "PLAYBOOK.md:3: plan.md is not there"),
        ("[part](#part)", "PLAYBOOK.md:1: #part: PLAYBOOK.md has no section #part"),
        ("<https://app.fleet.test:{port}/gone>", "/gone answered 404"),
        ("[up](../other.md)", "leads out of the project"),
    ],
)
def test_a_document_that_points_nowhere_is_named_with_its_line(
    target: Fleet, tmp_path: Path, document: str, words: str
) -> None:
    port = target.target.port
    (tmp_path / "PLAYBOOK.md").write_text(document.replace("{port}", str(port)))
    called = links_of(target.info, tmp_path, files=["PLAYBOOK.md"])
    assert called.outcome is Outcome.FAIL
    assert words in called.reason
    assert b"PLAYBOOK.md:" in called.evidence["links.json"]


def test_links_that_are_not_asked_are_told_with_the_reason_and_prove_nothing(target: Fleet, tmp_path: Path) -> None:
    (tmp_path / "PLAYBOOK.md").write_text("[x](https://nowhere.invalid/)")
    called = links_of(target.info, tmp_path, files=["PLAYBOOK.md"], links=[])
    assert called.outcome is Outcome.INCONCLUSIVE
    assert b"a rehearsal asks nobody outside" in called.evidence["links.json"]
    asked = links_of(target.info, tmp_path, files=["PLAYBOOK.md"], links=[], unasked=[])
    assert asked.outcome is Outcome.FAIL
    assert "https://nowhere.invalid/" in asked.reason


def test_a_document_that_is_not_there_is_our_own_fault(target: Fleet) -> None:
    called = links_of(target.info, ROOT, files=["GONE.md"])
    assert called.outcome is Outcome.ERROR
    assert "there is no GONE.md" in called.reason
