"""``go-no-go.html``: the report that people read, print and sign; one file, no script, no network."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gonogo.model import (
    Box,
    Evidence,
    GateState,
    LaunchState,
    Measurement,
    Outcome,
    PhaseState,
    show,
)
from gonogo.report import facts, text
from gonogo.report.facts import Mark, Obstacle, Tally
from gonogo.report.json_report import state_digest

if TYPE_CHECKING:
    from jinja2 import Template

_PNG = b"\x89PNG\r\n\x1a\n"
_IMAGES = {".png": ("png", _PNG), ".jpg": ("jpeg", b"\xff\xd8\xff")}
_IMAGE_LIMIT = 300_000  # bytes of one picture that is embedded; a larger one is linked
_IMAGES_LIMIT = 12_000_000  # bytes of all embedded pictures; beyond it a mail server refuses the file
_SMALL = ".preview.jpg"  # end of the name of a picture's small copy, as gonogo.pictures gives it
_SHOTS = 3  # pictures of one gate that are shown beside its box
_LISTED = 24  # obstacles told one by one on the first screen

_TONES = {
    "GO": "go",
    "PASS": "go",
    "NO-GO": "stop",
    "FAIL": "stop",
    "HOLD": "hold",
    "LEDGER": "hold",
    "ERROR": "hold",
    "INCONCLUSIVE": "hold",
    "ROLLBACK": "back",
    "CONSIDER ROLLBACK": "back",
}

ROLES = ("Tech Lead", "DevOps Lead", "QA Lead", "Product Owner")
"""Who signs before the launch; the Launch Manager signs its completion."""


@dataclass(frozen=True)
class File:
    """One piece of evidence as the page shows it."""

    name: str
    sha256: str
    href: str = ""
    """Relative address; empty if the path leads out of the ledger."""
    image: str = ""
    """A data: address, if the picture is small enough to travel inside the page."""
    note: str = ""


@dataclass(frozen=True)
class BoxView:
    """One item of the playbook's checklist."""

    box: Box
    mark: Mark
    gates: tuple[tuple[str, str], ...]
    """Gate id and the anchor of its state; an empty anchor if it has none."""
    pictures: tuple[File, ...] = ()
    """What its gates saw, small."""


@dataclass(frozen=True)
class GateView:
    """One gate of a phase."""

    state: GateState
    anchor: str
    name: str
    reason: str
    files: tuple[File, ...]

    @property
    def open(self) -> bool:
        """Unfolded on screen: whatever isn't plainly green."""
        return self.state.outcome is not Outcome.PASS

    @property
    def tightest(self) -> Measurement | None:
        """The measurement with the least room left to its bound."""
        result = self.state.result
        known = [m for m in result.measurements if bar(m)] if result else []
        return min(known, key=lambda m: m.margin or 0.0, default=None)


@dataclass(frozen=True)
class PhaseView:
    """One phase."""

    state: PhaseState
    anchor: str
    tally: Tally
    boxes: tuple[BoxView, ...]
    gates: tuple[GateView, ...]


@dataclass
class _Shelf:
    """Reads evidence out of the ledger, within a budget of embedded bytes."""

    folder: Path
    ledger: Path
    left: int = _IMAGES_LIMIT
    base: str = field(init=False)

    def __post_init__(self) -> None:
        self.base = Path(os.path.relpath(self.ledger, self.folder)).as_posix()

    def target_logs(self, run: str) -> str:
        """Address of the target's own logs of a run; empty if there are none."""
        folder = self.ledger / "evidence" / run / "target-logs"
        return quote(f"{self.base}/evidence/{run}/target-logs/") if folder.is_dir() else ""

    def take_all(self, items: Sequence[Evidence]) -> tuple[File, ...]:
        """What the page says of a gate's evidence; a picture is shown by its small copy, if it has one."""
        small: dict[str, list[Evidence]] = {}
        for item in items:
            if item.name.endswith(_SMALL):
                small.setdefault(item.name.removesuffix(_SMALL), []).append(item)
        files = []
        for item in items:
            copies = small.get(item.name.removesuffix(".png")) if item.name.endswith(".png") else None
            if copies:
                preview = self.take(copies.pop(0))
                whole = self.take(item, embed=not preview.image)
                files.append(replace(whole, image=preview.image or whole.image))
            elif not item.name.endswith(_SMALL):
                files.append(self.take(item))
        return tuple(files)

    def take(self, item: Evidence, *, embed: bool = True) -> File:
        """What the page says of one piece of evidence; a picture that is small enough is in it."""
        path = PurePosixPath(item.path)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            return File(item.name, item.sha256, note="its path leads out of the ledger, so it is not linked")
        href = quote(f"{self.base}/{text.encodable(path.as_posix())}")
        file = self.ledger / path
        try:
            size = file.stat().st_size
            kind, magic = _IMAGES.get(path.suffix.lower(), ("", b""))
            if not kind or not embed or size >= _IMAGE_LIMIT or size > self.left:
                return File(item.name, item.sha256, href)
            content = file.read_bytes()
        except (OSError, ValueError):
            return File(item.name, item.sha256, href, note="not in the ledger that this report was made from")
        if hashlib.sha256(content).hexdigest() != item.sha256:
            return File(item.name, item.sha256, href, note="changed since it was recorded: digest differs")
        if not content.startswith(magic):
            return File(item.name, item.sha256, href, note=f"not a {kind.upper()} picture, in spite of its name")
        self.left -= len(content)
        image = f"data:image/{kind};base64," + base64.b64encode(content).decode()
        return File(item.name, item.sha256, href, image)


def render(state: LaunchState, folder: Path, ledger: Path) -> str:
    """The report as an HTML page.

    Args:
        state: what is told.
        folder: where the page will lie; evidence is linked relative to it.
        ledger: the ledger's folder; PNG evidence below 300 kB is read from it and embedded.
    """
    shelf = _Shelf(folder.absolute(), ledger.absolute())
    phases = tuple(_phase(p, shelf) for p in state.phases)
    blocks = facts.obstacles(state)
    return _template().render(
        state=state,
        launch=state.launch,
        phases=phases,
        why=facts.why(state).partition(": ")[2],
        blocks=blocks[:_LISTED],
        more_blocks=len(blocks) - len(blocks[:_LISTED]),
        totals=facts.tally(g for p in state.phases for g in p.gates),
        faults=facts.faults_of(state),
        digest=state_digest(state),
        roles=ROLES,
        logs={run.id: shelf.target_logs(run.id) for run in state.runs},
    )


def _phase(state: PhaseState, shelf: _Shelf) -> PhaseView:
    have = {(g.ask.gate, g.ask.on): anchor_of(g) for g in state.gates}
    gates = tuple(_gate(gate, shelf) for gate in state.gates)
    shots = {(view.state.ask.gate, view.state.ask.on): _shots(view) for view in gates}
    boxes = tuple(
        BoxView(
            box,
            facts.mark_of(box, state),
            tuple((gate, have.get((gate, box.on), "")) for gate in box.gates),
            tuple(file for gate in box.gates for file in shots.get((gate, box.on), ())),
        )
        for box in state.phase.boxes
    )
    return PhaseView(
        state,
        f"phase-{_slug(state.phase.id)}",
        facts.tally(state.gates),
        boxes,
        gates,
    )


def _gate(state: GateState, shelf: _Shelf) -> GateView:
    evidence = state.result.evidence if state.result else ()
    return GateView(
        state,
        anchor_of(state),
        state.ask.gate,
        facts.reason_of(state) if state.outcome is not Outcome.PASS else state.reason.strip(),
        shelf.take_all(evidence),
    )


def _shots(view: GateView) -> tuple[File, ...]:
    """Its pictures that are small enough to stand beside a box: those that have a small copy."""
    return tuple(file for file in view.files if file.image.startswith("data:image/jpeg"))[:_SHOTS]


def anchor_of(gate: GateState) -> str:
    """The page's address of one gate, e.g. ``tls.certificate@t3``, stable from render to render."""
    return _slug(gate.ask.key)


def names_of(block: Obstacle) -> tuple[tuple[str, str], ...]:
    """Gate names and anchors of a line in "What blocks it", at most twelve."""
    return tuple(
        (gate.ask.gate + (f"/{gate.ask.on}" if gate.ask.on else ""), anchor_of(gate)) for gate in block.gates[:12]
    )


def tone(word: str) -> str:
    """The colour family of a verdict, an outcome or an obstacle's word."""
    return _TONES.get(word, "idle")


def bar(item: Measurement) -> dict[str, Any] | None:
    """Geometry of a margin bar: the bound in the middle of 0..100, free room right, excess left."""
    margin = item.margin
    if margin is None or margin != margin:  # noqa: PLR0124 - NaN is the one number unequal to itself
        return None
    width = round(min(abs(margin), 1.0) * 50, 2)
    tone = "bad" if item.ok is False or margin < 0 else "thin" if margin < 0.1 or item.ok is None else "good"
    return {"x": 50 if margin >= 0 else round(50 - width, 2), "width": max(width, 0.8), "tone": tone}


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._@/-]+", "-", name)


def _finalize(value: Any) -> Any:
    """Clean each string on its way into the page; markup of our own macros stays as it is."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return text.clean(str(value))
    return value


@cache
def _template() -> Template:
    """The compiled template; Jinja is imported only by a session that writes a report."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    env = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters: Mapping[str, Any] = {
        "when": text.when,
        "took": text.took,
        "span": text.span,
        "plural": text.plural,
        "percent": text.percent,
        "clip": text.clip,
        "show": show,
        "label": text.phase_label,
        "bar": bar,
        "names": names_of,
        "tone": tone,
        "slug": _slug,
        "tries": facts.tries_of,
    }
    env.filters.update(filters)
    env.globals.update(MEANING=facts.MEANING, REHEARSAL=facts.REHEARSAL)
    return env.get_template("go-no-go.html.j2")
