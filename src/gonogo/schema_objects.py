"""What a schema consists of, as plain data: objects, catalogs, differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Fact = str | bool | int | None

KINDS = (
    "extension",
    "type",
    "sequence",
    "table",
    "view",
    "column",
    "constraint",
    "index",
    "function",
    "trigger",
    "rule",
    "policy",
)
"""Every kind of object, in the order in which differences are told."""


@dataclass(frozen=True)
class SchemaObject:
    """One object of a schema."""

    kind: str
    """One of ``KINDS``."""
    name: str
    """Without the schema: ``vehicles``, ``vehicles.plate``, ``touch_updated_at()``."""
    parent: str
    """Name of the table or view that it belongs to and goes with, or empty."""
    facts: Mapping[str, Fact]
    """What is compared, by words that people read."""
    create: str
    """SQL that makes it, without the last semicolon; empty if it comes with the parent of its table."""
    address: str = ""
    """What SQL calls it, quoted where needed; columns, constraints and triggers go without their table."""


@dataclass(frozen=True)
class Catalog:
    """One schema as one server holds it, at one moment."""

    server_version: str
    encrypted: bool
    """The session that read it was encrypted."""
    schema: str
    objects: tuple[SchemaObject, ...]
    """Types, sequences, tables, functions and views come first, in the order in which they were made."""
    elsewhere: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Tables by name, with the other schemas that hold one of that name."""
    silenced: tuple[str, ...] = ()
    """Settings that switch triggers off for a database or a role, in words."""

    @property
    def major(self) -> int:
        """Major version of the server: 17 for ``17.10``, 18 for ``18beta1``; 0 if it is unknown."""
        digits = ""
        for character in self.server_version:
            if not character.isdigit():
                break
            digits += character
        return int(digits or 0)


@dataclass(frozen=True)
class Step:
    """One SQL statement, or a comment, on the way from one schema to another."""

    stage: int
    """Statements of a lower stage come first."""
    position: int
    """Order within the stage: that in which the expected objects were made."""
    statement: str


@dataclass(frozen=True)
class Difference:
    """One object that is not as it should be."""

    kind: str
    name: str
    what: str
    """``missing``, ``unexpected`` or ``different``."""
    detail: str
    """One line for people."""
    steps: tuple[Step, ...] = ()

    @property
    def sql(self) -> str:
        """What closes it, when nothing else differs."""
        return "\n".join(ended(step.statement) for step in sorted(self.steps, key=_order))


def in_order(steps: list[Step]) -> list[str]:
    """Statements in an order that works, each once."""
    return list(dict.fromkeys(step.statement for step in sorted(steps, key=_order)))


def ended(statement: str) -> str:
    """A statement with its semicolon; a comment as it is."""
    return statement if statement.startswith("--") else f"{statement.rstrip()};"


def _order(step: Step) -> tuple[int, int]:
    return step.stage, step.position
