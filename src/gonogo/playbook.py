"""PLAYBOOK.md as phases and boxes.

The machine part of the Markdown hides in comments: ``<!-- phase: t3 owner: DevOps Lead within: 3d -->``
on a heading, ``<!-- gate: tls.certificate on: staging -->``, ``<!-- attest: Launch Manager -->`` or
``<!-- scope: finance owns it -->`` in a checklist item. This module reads text and touches no file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from gonogo.errors import PlanError
from gonogo.model import PHASES, Box, BoxKind, Phase

if TYPE_CHECKING:
    from markdown_it.token import Token

GATE_ID = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+")
_AREA = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.\*")
_PHASE_KEYS = ("phase", "owner", "within")
_BOX_KEYS = ("gate", "attest", "scope", "on")
_KEYS = _PHASE_KEYS + _BOX_KEYS
_COMMENT = re.compile(r"<!--(.*?)-->", re.DOTALL)
_KEY = re.compile(r"(?:^|(?<=\s))([A-Za-z_]+):(?=\s|$)")
_CHECKBOX = re.compile(r"\[[ xX]\]\s+")
_SHELF_LIFE = re.compile(r"(\d+)\s*(min|h|d)")
_UNITS = {"min": "minutes", "h": "hours", "d": "days"}


def parse_playbook(text: str, name: str = "PLAYBOOK.md") -> tuple[Phase, ...]:
    """Read phases and their boxes, in the order of the file.

    Args:
        text: the Markdown.
        name: how to call the file in messages.

    Raises:
        PlanError: one sentence with file, line, what was found and what is allowed.
    """
    phases: list[Phase] = []
    level = 0
    for heading_level, line, content, comment in _items(text):
        fields = _fields(comment, name, line) if comment is not None else {}
        if heading_level:
            if "phase" in fields:
                phases.append(_phase(content, fields, name, line))
                level = heading_level
            else:
                if fields:
                    raise PlanError(
                        f"{name}:{line}: '{next(iter(fields))}:' can't stand on a heading without 'phase: <id>'"
                    )
                if heading_level <= level:
                    level = 0  # a sibling heading closes the phase; deeper ones stay inside it
        elif content.startswith("["):
            if not level:
                if fields:
                    raise PlanError(f"{name}:{line}: this box belongs to no phase; put it below a phase heading")
                continue
            box = _box(_CHECKBOX.sub("", content, count=1), fields, name, line)
            phases[-1] = replace(phases[-1], boxes=(*phases[-1].boxes, box))
        elif fields:
            raise PlanError(f"{name}:{line}: a comment for a box needs a checklist item '- [ ] ...' before it")
    _check(phases, name)
    return tuple(phases)


def parse_shelf_life(text: str) -> timedelta:
    """Read ``3d``, ``12h`` or ``90min``.

    A lone ``m`` is refused: it has been read as a minute by some and as a month by others.

    Raises:
        ValueError: says what is allowed.
    """
    match = _SHELF_LIFE.fullmatch(text.strip())
    if not match or int(match[1]) == 0:
        raise ValueError(f"{text!r} is no shelf life; write a whole number and a unit, e.g. 3d, 12h or 90min")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _items(text: str) -> Iterator[tuple[int, int, str, str | None]]:
    """Headings and list items: (heading level or 0, line, text without comments, comment or None)."""
    from markdown_it import MarkdownIt  # noqa: PLC0415 - 60 ms that only a plan needs

    tokens = MarkdownIt("commonmark").parse(text)
    list_depth = 0
    for before, token in zip([None, *tokens], tokens, strict=False):
        list_depth += (token.type == "list_item_open") - (token.type == "list_item_close")
        if token.type == "inline" and before is not None:
            heading = int(before.tag[1]) if before.type == "heading_open" else 0
            if heading or list_depth:
                yield heading, token.map[0] + 1 if token.map else 0, *_split(token)
        elif token.type == "html_block" and _looks_like_ours(token.content):
            line = token.map[0] + 1 if token.map else 0
            yield 0, line, "", _comment(token.content)


def _comment(html: str) -> str:
    match = _COMMENT.search(html)
    return match[1].strip() if match else ""


def _looks_like_ours(html: str) -> bool:
    key = _KEY.match(_comment(html))
    return key is not None and key[1] in _KEYS


def _split(inline: Token) -> tuple[str, str | None]:
    """Visible text and the comment of one inline token, without looking into `code`."""
    comments: list[str] = []
    visible = ""
    for child in inline.children or []:
        if child.type == "html_inline" and (match := _COMMENT.fullmatch(child.content)):
            comments.append(match[1].strip())
        elif child.type in ("softbreak", "hardbreak"):
            visible += " "
        else:
            visible += child.content
    return " ".join(visible.split()), " ".join(comments) if comments else None


def _fields(comment: str, name: str, line: int) -> dict[str, str]:
    """The ``key: value`` pairs of one comment; ordinary comments have none."""
    keys = [key for key in _KEY.finditer(comment) if key.start() == 0 or key[1] in _KEYS]
    first = comment.split(maxsplit=1)[0] if comment.split() else ""
    if not keys or keys[0].start() != 0:
        if first.rstrip(":") in _KEYS:
            raise PlanError(
                f"{name}:{line}: the comment {comment!r} is malformed; write '{first.rstrip(':')}: value'"
            )
        return {}
    fields: dict[str, str] = {}
    for key, following in zip(keys, [*keys[1:], None], strict=False):
        if key[1] not in _KEYS:
            raise PlanError(f"{name}:{line}: unknown word {key[1]!r} in a comment; allowed are {', '.join(_KEYS)}")
        if key[1] in fields:
            raise PlanError(f"{name}:{line}: {key[1]!r} is given twice in one comment; keep one")
        value = comment[key.end() : following.start() if following else None].strip()
        if not value:
            raise PlanError(f"{name}:{line}: '{key[1]}:' has no value; write '{key[1]}: value'")
        fields[key[1]] = value
    return fields


def _phase(title: str, fields: dict[str, str], name: str, line: int) -> Phase:
    for key in fields:
        if key not in _PHASE_KEYS:
            raise PlanError(f"{name}:{line}: '{key}:' belongs to a box; a phase has {', '.join(_PHASE_KEYS)}")
    if fields["phase"] not in PHASES:
        raise PlanError(f"{name}:{line}: unknown phase {fields['phase']!r}; allowed are {', '.join(PHASES)}")
    try:
        within = parse_shelf_life(fields["within"]) if "within" in fields else None
    except ValueError as error:
        raise PlanError(f"{name}:{line}: within: {error}") from None
    return Phase(id=fields["phase"], title=title, line=line, owner=fields.get("owner"), within=within)


def _box(text: str, fields: dict[str, str], name: str, line: int) -> Box:
    for key in fields:
        if key not in _BOX_KEYS:
            raise PlanError(f"{name}:{line}: '{key}:' belongs to a phase heading; a box has {', '.join(_BOX_KEYS)}")
    if "attest" in fields and ("gate" in fields or "scope" in fields):
        raise PlanError(f"{name}:{line}: a box is attested, proven by gates or scoped out; choose one of them")
    if "on" in fields and "gate" not in fields:
        raise PlanError(f"{name}:{line}: 'on:' sends gates to a companion target; name the gates with 'gate:'")
    gates = tuple(fields.get("gate", "").replace(",", " ").split())
    for gate in gates:
        # A whole area can be left out, never asked for: which gates that means would change under a launch.
        if not (GATE_ID.fullmatch(gate) or ("scope" in fields and _AREA.fullmatch(gate))):
            raise PlanError(
                f"{name}:{line}: {gate!r} is no gate id; write lower-case words joined by dots, "
                "e.g. tls.certificate"
            )
    if len(set(gates)) != len(gates):
        raise PlanError(f"{name}:{line}: a gate is named twice in one box; name it once")
    kind = next((BoxKind(k) for k in ("scope", "attest", "gate") if k in fields), BoxKind.UNMAPPED)
    return Box(text, kind, line, gates, fields.get("attest"), fields.get("scope"), fields.get("on"))


def _check(phases: list[Phase], name: str) -> None:
    if not phases:
        raise PlanError(
            f"{name}: no phase found; a phase is a heading with a comment such as "
            "'<!-- phase: t3 owner: DevOps Lead -->'"
        )
    for before, phase in pairwise(phases):
        if PHASES.index(phase.id) == PHASES.index(before.id):
            raise PlanError(f"{name}:{phase.line}: phase {phase.id!r} is there twice (first at line {before.line})")
        if PHASES.index(phase.id) < PHASES.index(before.id):
            raise PlanError(
                f"{name}:{phase.line}: phase {phase.id!r} stands after {before.id!r}; "
                f"the order is {', '.join(PHASES)}"
            )
    for phase in phases:
        if not phase.boxes:
            raise PlanError(
                f"{name}:{phase.line}: phase {phase.id!r} has no box; add '- [ ] ...' items or remove the heading"
            )
