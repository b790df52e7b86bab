"""go-no-go.md: verdict first, nothing rendered that a target wrote, never above the limit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from gonogo.model import LaunchState, Outcome, PhaseState, Verdict
from gonogo.report.markdown_report import LIMIT, escape, render
from sample_state import all_go, gate, sample, t3_phase


def crowd(count: int, reason: str = "r" * 300) -> LaunchState:
    gates = tuple(gate(f"g.n{i}", "t3", "T", Outcome.FAIL, reason) for i in range(count))
    return sample(phases=(PhaseState(t3_phase().phase, Verdict.NO_GO, gates),))


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_verdict_comes_first(verdict: Verdict) -> None:
    assert render(all_go(verdict=verdict)).startswith(f"# {verdict}: Fleet Manager Dashboard")
    assert render(sample(verdict=verdict)).startswith(f"# REHEARSAL {verdict}: Fleet")


def test_rehearsal_faults_and_blockers_are_told() -> None:
    text = render(sample())

    assert "> **REHEARSAL" in text
    assert "faults on purpose: expired\\-certificate" in text
    assert "- **FAIL** T\\-3 `tls.certificate`: days left" in text
    assert "❌ FAIL (waived)" in text
    assert "REHEARSAL" not in render(all_go())


def test_every_outcome_has_a_row() -> None:
    text = render(sample())

    assert all(f" {outcome} " in text for outcome in Outcome)


def test_tables_have_even_rows() -> None:
    """A table parses as one, with as many cells in every row, whatever the texts hold."""
    state = sample()
    phases = tuple(
        replace(p, gates=tuple(replace(g, reason="a | b\n| c `d`") for g in p.gates)) for p in state.phases
    )
    tokens = MarkdownIt("commonmark").enable("table").parse(render(replace(state, phases=phases)))

    rows = sum(t.type == "tr_open" for t in tokens)
    with_gates = [p for p in state.phases if p.gates]
    heads = 1 + len(with_gates)
    assert rows == heads + len(state.phases) + sum(len(p.gates) for p in with_gates)


@given(st.text(st.characters(), min_size=1))
def test_no_text_becomes_markup(text: str) -> None:
    rendered = (
        MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(f"x {escape(text)}")
    )

    assert [t.type for t in rendered] == ["paragraph_open", "inline", "paragraph_close"]
    assert {c.type for c in rendered[1].children or []} <= {"text", "text_special"}


@pytest.mark.parametrize("limit", [LIMIT, 20_000, 5_000])
def test_the_limit_holds_and_the_cut_is_told(limit: int) -> None:
    text = render(crowd(4000), limit)

    assert len(text.encode()) <= limit
    assert "Cut short:" in text.splitlines()[-1]
    assert text.startswith("# REHEARSAL NO-GO")


def test_a_giant_text_is_cut() -> None:
    state = crowd(3, "é" * 3_000_000)
    state = replace(state, problems=("p" * 3_000_000,) * 3, target="t" * 3_000_000)

    assert len(render(state).encode()) < 20_000


def test_nothing_is_cut_from_a_usual_launch() -> None:
    assert "Cut short" not in render(sample())
