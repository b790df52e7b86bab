"""PLAYBOOK.md: what is read, and one sentence for each mistake."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonogo.errors import PlanError
from gonogo.model import Ask, BoxKind, Launch
from gonogo.plan import Plan, check_gates
from gonogo.playbook import parse_playbook, parse_shelf_life

ROOT = Path(__file__).parent.parent

GOOD = """\
# A launch

Some prose with `<!-- gate: not.this -->` in code.

### T-3 days <!-- phase: t3 owner: DevOps Lead within: 3d -->
- [ ] Certificate <!-- gate: tls.certificate tls.protocols -->
- [x] Briefing <!-- attest: Launch Manager -->
- [ ] Cost analysis <!-- scope: finance: they own it -->
- [ ] Nobody thought of this one
- a plain bullet
#### A step inside
- [ ] A box that goes
  over two lines <!-- gate: release.deployed, dns.records on: staging -->

## Another chapter
- [ ] belongs to no phase

### Phase 1 <!-- phase: phase1 -->
- [ ] Backup <!-- gate: backup.created -->
"""


def test_phases_and_boxes_are_read() -> None:
    t3, phase1 = parse_playbook(GOOD)
    assert (t3.id, t3.title, t3.owner, t3.within, t3.line) == (
        "t3",
        "T-3 days",
        "DevOps Lead",
        timedelta(days=3),
        5,
    )
    assert [(b.text, b.kind, b.gates, b.line) for b in t3.boxes] == [
        ("Certificate", BoxKind.GATE, ("tls.certificate", "tls.protocols"), 6),
        ("Briefing", BoxKind.ATTEST, (), 7),
        ("Cost analysis", BoxKind.SCOPE, (), 8),
        ("Nobody thought of this one", BoxKind.UNMAPPED, (), 9),
        ("A box that goes over two lines", BoxKind.GATE, ("release.deployed", "dns.records"), 12),
    ]
    assert t3.boxes[1].role == "Launch Manager"
    assert t3.boxes[2].reason == "finance: they own it"
    assert t3.boxes[4].on == "staging"
    assert (phase1.owner, phase1.within) == (None, None)


PHASE = "### T-3 <!-- phase: t3 -->\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("# no phase", "PLAYBOOK.md: no phase found; a phase is a heading"),
        ("# A <!-- phase: t33 -->\n- [ ] a", "PLAYBOOK.md:1: unknown phase 't33'; allowed are t7, t3"),
        (PHASE, "PLAYBOOK.md:1: phase 't3' has no box; add"),
        (
            PHASE + "- [ ] a <!-- gates: a.b -->",
            "PLAYBOOK.md:2: unknown word 'gates' in a comment; allowed are phase",
        ),
        (
            PHASE + "- [ ] a <!-- gate a.b -->",
            "PLAYBOOK.md:2: the comment 'gate a.b' is malformed; write 'gate: value'",
        ),
        (PHASE + "- [ ] a <!-- gate: -->", "PLAYBOOK.md:2: 'gate:' has no value"),
        (PHASE + "- [ ] a <!-- gate: a.b gate: c.d -->", "PLAYBOOK.md:2: 'gate' is given twice"),
        (PHASE + "- [ ] a <!-- gate: A.b -->", "PLAYBOOK.md:2: 'A.b' is no gate id; write lower-case words"),
        (PHASE + "- [ ] a <!-- gate: ab -->", "PLAYBOOK.md:2: 'ab' is no gate id"),
        (PHASE + "- [ ] a <!-- gate: a.b a.b -->", "PLAYBOOK.md:2: a gate is named twice in one box"),
        (PHASE + "- [ ] a <!-- gate: a.b attest: me -->", "PLAYBOOK.md:2: a box is attested, proven by gates or"),
        (PHASE + "- [ ] a <!-- attest: me on: staging -->", "PLAYBOOK.md:2: 'on:' sends gates to a companion"),
        (PHASE + "- [ ] a <!-- owner: me -->", "PLAYBOOK.md:2: 'owner:' belongs to a phase heading"),
        (PHASE + "- a <!-- gate: a.b -->", "PLAYBOOK.md:2: a comment for a box needs a checklist item"),
        (PHASE + "- [ ] a\n\n<!-- gate: a.b -->", "PLAYBOOK.md:4: a comment for a box needs a checklist item"),
        ("# A <!-- phase: t3 within: 1m -->\n- [ ] a", "PLAYBOOK.md:1: within: '1m' is no shelf life; write"),
        ("# A <!-- phase: t3 gate: a.b -->\n- [ ] a", "PLAYBOOK.md:1: 'gate:' belongs to a box"),
        ("# A <!-- gate: a.b -->", "PLAYBOOK.md:1: 'gate:' can't stand on a heading without 'phase: <id>'"),
        ("- [ ] a <!-- gate: a.b -->", "PLAYBOOK.md:1: this box belongs to no phase"),
        (PHASE + "- [ ] a\n" + PHASE + "- [ ] b", "PLAYBOOK.md:3: phase 't3' is there twice (first at line 1)"),
        (
            PHASE + "- [ ] a\n# B <!-- phase: t7 -->\n- [ ] b",
            "PLAYBOOK.md:3: phase 't7' stands after 't3'; the order",
        ),
    ],
)
def test_each_mistake_is_one_sentence_with_its_line(text: str, sentence: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_playbook(text)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3d", timedelta(days=3)), ("12h", timedelta(hours=12)), ("90min", timedelta(minutes=90))],
)
def test_shelf_lives(text: str, expected: timedelta) -> None:
    assert parse_shelf_life(text) == expected


@pytest.mark.parametrize("text", ["", "3", "3m", "0d", "-1d", "1.5d", "three days", "3d12h", "1y"])
def test_what_is_no_shelf_life(text: str) -> None:
    with pytest.raises(ValueError, match="e.g. 3d, 12h or 90min"):
        parse_shelf_life(text)


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    try:
        phases = parse_playbook(text)
    except PlanError as error:
        assert str(error).startswith("PLAYBOOK.md")
    else:
        assert phases


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs"]), max_size=60))
def test_any_comment_in_a_box_is_read_or_refused_with_its_line(comment: str) -> None:
    try:
        parse_playbook(f"{PHASE}- [ ] a <!-- gate: {comment} -->")
    except PlanError as error:
        assert str(error).startswith("PLAYBOOK.md")


def _plan(text: str) -> Plan:
    return Plan(Launch("p", "1", None), "rehearsal", "disposable", parse_playbook(text))


def test_asks_come_in_the_order_of_the_playbook_each_once() -> None:
    text = PHASE + "- [ ] a <!-- gate: b.b a.a -->\n- [ ] b <!-- gate: a.a c.c -->\n"
    assert _plan(text).asks() == (Ask("b.b", "t3"), Ask("a.a", "t3"), Ask("c.c", "t3"))


def test_a_gate_no_test_carries_is_named_with_its_line_and_what_looks_like_it() -> None:
    with pytest.raises(PlanError) as caught:
        check_gates(_plan(PHASE + "- [ ] a <!-- gate: tls.certifcate -->"), frozenset({"tls.certificate"}), "P.md")
    assert str(caught.value).startswith(
        "P.md:2: no test carries the gate 'tls.certifcate'; known are tls.certificate;"
    )


def test_keys_of_asks_read_back() -> None:
    for ask in (Ask("a.b", "t3"), Ask("a.b", "t1", "staging")):
        assert Ask.parse(ask.key) == ask
    with pytest.raises(ValueError, match="gate@phase"):
        Ask.parse("nonsense")


def test_the_digest_follows_the_machine_part_and_not_the_prose() -> None:
    assert _plan(GOOD).digest == _plan(GOOD.replace("Some prose", "Other prose")).digest
    assert _plan(GOOD).digest != _plan(GOOD.replace("tls.protocols", "tls.policy")).digest


def test_our_own_playbook_has_no_unmapped_box() -> None:
    phases = parse_playbook((ROOT / "PLAYBOOK.md").read_text(encoding="utf-8"))
    assert [b.text for p in phases for b in p.boxes if b.kind is BoxKind.UNMAPPED] == []


def test_a_whole_area_can_be_scoped_out_but_not_asked_for() -> None:
    head = "## T-3 <!-- phase: t3 -->\n- [ ] a <!-- gate: tls.certificate -->\n- [ ] b "
    phases = parse_playbook(head + "<!-- scope: another team's gate: database.* tls.* -->\n")
    plan = Plan(Launch("p", "1", None), "production", "production", phases)

    assert [plan.scopes_out(gate) for gate in ("database.schema", "databases.x", "dns.records")] == [
        True,
        False,
        False,
    ]
    assert [ask.gate for ask in plan.asks()] == ["tls.certificate"]  # what a box asks for stays asked
    for wrong in ("gate: database.*", "scope: no gate: *", "scope: no gate: data*", "scope: no gate: .*"):
        with pytest.raises(PlanError, match="is no gate id"):
            parse_playbook(f"{head}<!-- {wrong} -->\n")
