"""go-no-go.html: escaped, self-contained, without script, and honest about what it shows."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import Enum
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonogo.model import Evidence, GateState, LaunchState, Outcome, PhaseState, Verdict
from gonogo.report.html import render
from gonogo.report.text import percent
from sample_state import all_go, gate, holding, png, sample, t3_phase, write_evidence

HERE = Path("reports")
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}&amp;"


class Page(HTMLParser):
    """All tags with their attributes, and all text outside style sheets."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.in_style = False
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the base class names it
        self.in_style = False

    def handle_data(self, data: str) -> None:
        if not self.in_style:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def addresses(self) -> Iterator[str]:
        for _, attrs in self.tags:
            for name in ("href", "src", "srcset", "action", "data", "xlink:href"):
                if (value := attrs.get(name)) is not None:
                    yield value


def page(state: LaunchState, folder: Path = HERE, ledger: Path = HERE / "ledger") -> Page:
    return Page(render(state, folder, ledger))


def poisoned(value: Any, text: str) -> Any:
    """The same data with ``text`` put into every string."""
    if isinstance(value, Enum | datetime | timedelta):
        return value
    if isinstance(value, str):
        return value + text
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changes = {f.name: poisoned(getattr(value, f.name), text) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **changes)
    if isinstance(value, Mapping):
        return {poisoned(k, text): poisoned(v, text) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(poisoned(v, text) for v in value)
    return value


def one_gate(item: GateState, verdict: Verdict = Verdict.NO_GO) -> LaunchState:
    return sample(phases=(PhaseState(t3_phase().phase, verdict, (item,)),))


def assert_harmless(found: Page) -> None:
    assert not {tag for tag, _ in found.tags} & {"script", "iframe", "object", "embed", "base", "link", "form"}
    assert not [name for _, attrs in found.tags for name in attrs if name.startswith("on")]
    for address in found.addresses():
        assert re.match(r"#|data:image/png;base64,|ledger/|session\.html$", address), address


def test_hostile_text_is_shown_as_text() -> None:
    """Given markup in every text of the state, the page shows it and obeys none of it."""
    source = render(poisoned(sample(), HOSTILE), HERE, HERE / "ledger")

    found = Page(source)
    assert_harmless(found)
    assert "<script" not in source
    assert "49" not in re.findall(r"\{\{.*?\}\}|49&amp;amp;", source)
    assert [tag for tag, _ in found.tags].count("img") == 0
    assert "alert(1)" in found.text


@given(st.text(st.characters(), max_size=40))
@settings(max_examples=25, deadline=None)
def test_any_text_keeps_the_page_whole(text: str) -> None:
    """Whatever a target answers, tags and the number of rows stay the same."""
    plain = page(sample())
    found = page(poisoned(sample(), text))

    assert_harmless(found)
    # A text may bring a line its own clipping, never a tag of its own.
    assert [t for t, _ in found.tags if t in {"table", "tr", "li", "section"}] == [
        t for t, _ in plain.tags if t in {"table", "tr", "li", "section"}
    ]


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (None, "—"),
        (0.0, "0 %"),
        (0.05, "+5.0 %"),
        (-1.05, "-105 %"),
        (9.9, "+990 %"),
        (155.0, ">+999 %"),
        (-20, "<-999 %"),
    ],
)
def test_a_margin_is_short(share: float | None, shown: str) -> None:
    assert percent(share) == shown


def test_direction_marks_and_terminal_colours_are_dropped() -> None:
    state = one_gate(gate("a.b", "t3", "T", Outcome.FAIL, "\x1b[31mred\x1b[0m \u202egnorw\u202c\x00"))

    source = render(state, HERE, HERE / "ledger")
    assert "red gnorw" in source
    assert not re.search("[\x00\x1b\u202e\u202c]", source)


def test_page_needs_no_network_and_no_script() -> None:
    source = render(sample(), HERE, HERE / "ledger")

    assert_harmless(Page(source))
    assert "@import" not in source
    assert "url(" not in source
    assert "default-src 'none'" in source


@pytest.mark.parametrize("outcome", list(Outcome))
@pytest.mark.parametrize("waived", [False, True])
def test_every_outcome_renders(outcome: Outcome, waived: bool) -> None:
    found = page(one_gate(gate("some.gate", "t3", "Some gate", outcome, "because", waived=waived)))

    details = next(attrs for tag, attrs in found.tags if attrs.get("id") == "some.gate@t3")
    assert ("open" in details) is (outcome is not Outcome.PASS)
    assert outcome.value in found.text
    assert ("waived" in (details["class"] or "")) is waived


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("rehearsal", [False, True])
def test_every_verdict_renders(verdict: Verdict, rehearsal: bool) -> None:
    state = all_go(verdict=verdict, rehearsal=rehearsal)
    found = page(state)
    title = re.search("<title>(.*?)</title>", render(state, HERE, HERE / "ledger"))

    assert title
    assert title[1].startswith(("REHEARSAL " if rehearsal else "") + verdict.value)
    assert [a for t, a in found.tags if a.get("href") == f"#i-{verdict.value.replace(' ', '-')}"]
    assert ("VOID" in found.text) is rehearsal


def test_icons_that_are_used_are_drawn() -> None:
    found = page(sample())

    symbols = {a["id"] for t, a in found.tags if t == "symbol"}
    used = {(a["href"] or "")[1:] for t, a in found.tags if t == "use"}
    drawn_for = {f"i-{word.value.replace(' ', '-')}" for word in [*Outcome, *Verdict]}
    assert used | drawn_for <= symbols


def test_links_within_the_page_have_a_goal() -> None:
    found = page(sample())

    ids = [a["id"] for _, a in found.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a[1:] for a in found.addresses() if a.startswith("#")} <= set(ids)


def test_a_rehearsal_says_so_everywhere() -> None:
    source = render(sample(), HERE, HERE / "ledger")

    assert "REHEARSAL" in source.splitlines()[0]
    assert "<!doctype html>" in source.splitlines()[1]
    for place in ("<title>REHEARSAL", 'class="rehearsal-bar"', 'class="watermark"', 'content: "REHEARSAL', "VOID"):
        assert place in source


def test_production_never_says_rehearsal() -> None:
    found = page(all_go())

    assert "REHEARSAL" not in found.text
    assert not [a for _, a in found.tags if a.get("class") in {"watermark", "rehearsal-bar"}]


def test_the_first_screen_says_why() -> None:
    text = page(sample()).text

    sentence = (
        "1 gate failed: tls.certificate at T-3: days left: -1 d; required >= 21 d (launch.toml: tls.min_days)"
    )
    assert sentence in text
    assert text.index(sentence) < text.index("What blocks it") < text.index("Board")
    assert text.index("put into the target on purpose: expired-certificate") < text.index("What blocks it")


def test_a_hold_says_what_is_missing() -> None:
    text = page(holding()).text

    assert "no gate failed, but 1 gate measured too little (ramp.errors at T-1)" in text
    assert "1 gate never ran (rollback.tried at T-1)" in text
    assert "'War room booked' (line 47) is mapped to no gate" in text


def marks(state: LaunchState) -> dict[str, str]:
    source = render(state, HERE, HERE / "ledger")
    found = re.findall(r'<li class="mark-(\w+)">.*?</span>\s*(.*?)\s*<span class="by">', source, re.DOTALL)
    return {text: mark for mark, text in found}


def test_a_box_is_ticked_only_when_all_its_gates_are() -> None:
    found = marks(sample())

    assert found["Names point where they should"] == "done"
    assert found["Certificates are in order"] == "failed"
    assert found["Only modern TLS is spoken"] == "waived"
    assert found["Alerts reach a person"] == "open"
    assert found["Stakeholders have been told"] == "open"
    assert found["Penetration test repeated"] == "scope"
    assert found["Last staging deployment done"] == "done"
    assert found["War room booked"] == "open"


def test_an_attestation_is_claimed_only_when_it_is_on_record() -> None:
    state = sample()
    given_one = dataclasses.replace(
        state.phases[2],
        gates=tuple(
            dataclasses.replace(g, outcome=Outcome.PASS) if g.outcome is Outcome.PENDING else g
            for g in state.phases[2].gates
        ),
    )

    assert " attested by" not in page(state).text.replace("to be attested by", "")
    assert " attested by Launch Manager" in page(sample(phases=(given_one,))).text


def test_a_box_whose_gate_has_no_state_stays_open() -> None:
    state = sample()
    without = dataclasses.replace(state, phases=tuple(dataclasses.replace(p, gates=()) for p in state.phases))

    assert set(marks(without).values()) == {"open", "scope"}


def test_small_pictures_travel_inside_and_other_evidence_is_linked(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    evidence = write_evidence(ledger)

    found = page(sample(evidence), tmp_path, ledger)
    assert [a["src"] for t, a in found.tags if t == "img" and (a["src"] or "").startswith("data:image/png")]
    assert "ledger/evidence/trace.json" in set(found.addresses())


def test_a_chart_is_embedded_where_no_script_of_it_can_run(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    ledger.mkdir()
    content = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    (ledger / "load.svg").write_bytes(content)
    (ledger / "page.svg").write_bytes(b"<html>no picture</html>")
    digest = hashlib.sha256(content).hexdigest()

    found = evidence_page(tmp_path, Evidence("load.svg", "load.svg", digest))
    other = evidence_page(
        tmp_path, Evidence("page.svg", "page.svg", hashlib.sha256((ledger / "page.svg").read_bytes()).hexdigest())
    )

    (source,) = [a["src"] for t, a in found.tags if t == "img"]
    assert source == "data:image/svg+xml;base64," + base64.b64encode(content).decode()
    assert "script" not in {t for t, _ in found.tags}
    assert "not a SVG" in other.text
    assert not [t for t, _ in other.tags if t == "img"]


def evidence_page(tmp_path: Path, item: Evidence) -> Page:
    state = one_gate(gate("a.b", "t3", "T", evidence=(item,)))
    return page(state, tmp_path, tmp_path / "ledger")


def test_large_changed_lost_or_stray_evidence_is_never_embedded(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    good, _ = write_evidence(ledger)
    (ledger / "big.png").write_bytes(png() + b"\0" * 300_000)
    (tmp_path / "outside.png").write_bytes(png())
    cases = {
        "digest differs": dataclasses.replace(good, sha256="0" * 64),
        "not in the ledger": dataclasses.replace(good, path="evidence/lost.png"),
        "leads out of the ledger": dataclasses.replace(good, path="../outside.png"),
        "sha256": Evidence("big.png", "big.png", good.sha256),
    }
    for words, item in cases.items():
        found = evidence_page(tmp_path, item)
        assert not [t for t, _ in found.tags if t == "img"], words
        assert words in found.text
    assert not [a for a in evidence_page(tmp_path, cases["leads out of the ledger"]).addresses() if ".." in a]


def test_file_names_cannot_leave_their_link(tmp_path: Path) -> None:
    found = evidence_page(tmp_path, Evidence("x", 'e/a b"#?.txt', "0" * 64))

    assert "ledger/e/a%20b%22%23%3F.txt" in set(found.addresses())


def test_every_table_has_headers_with_a_scope_and_the_page_has_landmarks() -> None:
    found = page(sample())

    tags = [tag for tag, _ in found.tags]
    assert tags.count("main") == tags.count("h1") == 1
    assert {"header", "footer"} <= set(tags)
    assert all(attrs.get("scope") in {"col", "row"} for tag, attrs in found.tags if tag == "th")
    assert dict(found.tags)["html"]["lang"] == "en"


def test_a_launch_without_phases_or_runs_still_reads() -> None:
    text = page(sample(phases=(), runs=(), problems=(), verdict=Verdict.HOLD)).text

    assert "The plan has no phase." in text
    assert "No run is in the ledger." in text
