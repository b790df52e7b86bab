"""``[targets.NAME.change]``: the source of the release, its tests and its dependencies."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from gonogo.tables.base import Command, Files, FromEnv, Names, Table

SEVERITIES = ("info", "low", "moderate", "high", "critical")
"""How npm grades an advisory, mildest first."""


class Tests(Table):
    """The team's tests; ``{repository}`` in the command stands for the repository's folder."""

    command: Command
    junit: str = Field(min_length=1)
    """Where the command writes its JUnit files, relative to the repository, with wildcards and ``$NAME``."""
    max_s: float = Field(default=1800.0, gt=0, le=86_400)
    min_tests: int | None = Field(default=None, ge=1)
    """Fewest tests that there may be; beside it, the number of the last good run is remembered."""
    max_fewer: int = Field(default=0, ge=0)
    """Tests that may have gone since the last good run."""
    max_skipped: int = Field(default=0, ge=0)
    """The playbook wants all tests to pass, and a skipped one has not."""


class Allowed(Table):
    """One finding of the audit that the team accepts for some time."""

    id: str = Field(min_length=1)
    """The advisory, as the audit calls it (an alias will do), e.g. ``CVE-2024-12345``."""
    reason: str = Field(min_length=1)
    until: date
    """The last day on which it is accepted; the launch must not lie behind it."""


class Audit(Table):
    """The audit of the dependencies; ``{repository}`` in the command stands for the repository's folder."""

    command: Command
    format: Literal["pip-audit", "npm", "status"]
    """What it prints: JSON of pip-audit, JSON of npm, or nothing that says more than its exit status."""
    report: str | None = None
    """A file that the command writes its JSON to, relative to the repository; its output by default."""
    max_s: float = Field(default=300.0, gt=0, le=3600)
    level: Literal["info", "low", "moderate", "high", "critical"] = "info"
    """The mildest severity that counts; pip-audit names none, so that all its findings do."""
    min_packages: int = Field(default=1, ge=1)
    """Fewest packages that must have been looked at."""
    allow: tuple[Allowed, ...] = Field(default=(), strict=False)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        given = self.model_fields_set & {"report", "level", "allow", "min_packages"}
        if self.format == "status" and given:
            raise ValueError(f'format = "status" names no findings, so {", ".join(sorted(given))} can\'t be used')
        return self


class Change(Table):
    """What is going to be launched, as its repository tells."""

    repository: str = "."
    """Folder of the git repository, relative to the plan's, with ``$NAME``."""
    tag: str = Field(default="v{version}", min_length=1)
    """Tag of the release; ``{version}`` stands for ``launch.version``."""
    branch: str = Field(default="main", min_length=1)
    """Branch on which nothing may have come after the tag."""
    remote: str | None = None
    """Remote that must have the same tag and branch, e.g. ``origin``; not asked by default."""
    commit: str | FromEnv | None = None
    """Commit that the tag must be, as text with ``$NAME``; that of ``deploy.commit`` by default."""
    frozen_at: datetime | None = None
    """The freeze, with its zone: no commit of the release or the branch may be younger."""
    allow_dirty: Names = ()
    """Changed or new files that don't matter, as patterns, e.g. ``reports/*``."""
    timeout_s: float = Field(default=20.0, gt=0, le=300)
    """For each question to git, a remote included."""
    documents: Files = ()
    """Files that people need with this release; they must be there and not empty. ``{repository}`` and ``$NAME``
    are filled in."""
    tests: Tests | None = None
    audit: Audit | None = None
    allow_texts: Names = ()
    """Texts that look like placeholders and are none, word for word."""

    @field_validator("frozen_at")
    @classmethod
    def _zone(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} has no zone; append Z or an offset such as +01:00")
        return value.astimezone(UTC) if value is not None else None
