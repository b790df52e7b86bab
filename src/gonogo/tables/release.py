"""The tables of launch.toml about the database, its backups, and the release that is brought and taken back."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from gonogo.tables.base import Command, FromEnv, Names, Table

EXPECTED_OUTPUT = (
    "Pre-flight checks passed",
    "Backup created",
    "Code updated",
    "Dependencies installed",
    "Tests passed",
    "Build completed",
    "Application deployed",
    "Health check passed",
)
"""What the playbook expects a deployment to say, in this order."""


class Database(Table):
    """Where the release's schema comes from, and how much room the server must have."""

    schema_name: str = Field(default="public", alias="schema", min_length=1)
    migrate: Command
    """Brings the database that ``$DATABASE_URL`` and ``$PG...`` name to the schema of the release; it is only ever
    run on scratch databases."""
    migrate_down: Command | None = None
    """Takes the newest ``{steps}`` migrations back."""
    history: str | None = None
    """``table.column`` that names the migrations which were applied."""
    ignore: Names = ()
    """Objects that may differ, as ``kind:name`` with wildcards, e.g. ``index:tmp_*``."""
    timeout_s: float = Field(default=10.0, gt=0, le=120)
    migrate_s: float = Field(default=900.0, gt=0, le=86_400)
    """The playbook gives the migration 15 minutes."""
    large_rows: int = Field(default=100_000, ge=1)
    """A table with so many rows is large: a migration may not rewrite it, nor lock it for long."""
    max_lock_s: float = Field(default=1.0, ge=0, le=3600)
    """Longest time for which a large table may be locked against writes."""
    max_connections_percent: float = Field(default=80.0, gt=0, le=100)
    pool_role: str | None = None
    pool_size: int | None = Field(default=None, ge=1)
    """Connections that all processes of the application may open together, as role ``pool_role``."""
    max_transaction_s: float = Field(default=60.0, gt=0)
    max_idle_in_transaction_s: float = Field(default=60.0, gt=0)
    replicas: int = Field(default=0, ge=0)
    max_lag_s: float = Field(default=10.0, gt=0)
    disk_gb: float | None = Field(default=None, gt=0)
    """Disk that the database may fill, in units of 10^9 bytes; SQL can't ask for it."""
    max_disk_percent: float = Field(default=80.0, gt=0, le=100)
    max_wraparound_percent: float = Field(default=50.0, gt=0, le=100)
    """Of the 2^31 transactions after which a server stops to prevent wraparound."""
    scratch_url: str | FromEnv | None = None
    """A PostgreSQL server for scratch databases, as a superuser; one of our own by default."""
    pg_bin: str | None = None
    """Folder with pg_dump, pg_restore and psql; found by itself by default."""

    @field_validator("history")
    @classmethod
    def _qualified(cls, value: str | None) -> str | None:
        if value is not None and value.count(".") != 1:
            raise ValueError(f"{value!r} must be written as table.column, e.g. schema_migrations.name")
        return value

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if (self.pool_role is None) != (self.pool_size is None):
            raise ValueError("pool_role and pool_size belong together; give both or neither")
        steps = self.migrate_down is not None and any("{steps}" in part for part in self.migrate_down)
        if steps and self.history is None:
            raise ValueError("migrate_down counts {steps}, so history must name the table that tells them")
        return self


class Backup(Table):
    """How the database is saved, and what proves that it was."""

    command: Command | None = None
    """The team's backup job; the gate runs it first. It only reads the database."""
    files: str | None = None
    """Where the job puts its dumps, with wildcards and ``$NAME``; without it the gate makes a dump of its own."""
    folder: str | None = None
    """For the gate's own dumps, and for what is remembered of each dump (counts and digests, no data); by default
    ``backups`` in the reports' folder."""
    max_age_s: float = Field(default=7200.0, gt=0)
    """The playbook makes the backup in phase 1, two hours before the launch."""
    min_size_ratio: float = Field(default=0.5, ge=0, le=1)
    """Smallest size against the median of the earlier dumps."""
    max_drift: float = Field(default=0.01, ge=0, lt=1)
    """How far a table's rows may have changed since a dump that the gate did not see being made."""
    volatile: Names = ()
    """Tables whose rows change all the time: they must be there, their rows are not compared."""
    dump_s: float = Field(default=1800.0, gt=0, le=86_400)
    """Phase 1 takes 30 minutes."""
    restore_s: float = Field(default=600.0, gt=0, le=86_400)
    """A rollback restores within the playbook's 10 minutes."""
    full_rows: int = Field(default=100_000, ge=1)
    """Tables up to this size are compared row by row, larger ones by a sample."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.command is not None and self.files is None:
            raise ValueError("command makes a dump, so files must say where it is")
        return self


class Deploy(Table):
    """The team's deployment, and what must run after it."""

    run: Command
    dry_run: Command | None = None
    expect: Names = Field(default=EXPECTED_OUTPUT, min_length=1)
    """Texts that its output must hold, each in a line after the one before."""
    max_s: float = Field(default=1200.0, gt=0, le=86_400)
    """The playbook gives the application's deployment 20 minutes."""
    commit: str | FromEnv | None = None
    """Commit that must run, 7 to 64 hexadecimal digits."""
    instances: Names = ()
    """Names of the instances that must answer, as health tells them."""
    samples: int = Field(default=20, ge=1, le=10_000)
    interval_s: float = Field(default=0.25, gt=0, le=60)
    """From one question to health to the next, while the deployment runs."""
    settle_s: float = Field(default=10.0, ge=0, le=600)
    """Time that the release may take to answer everywhere after the command has ended."""

    @field_validator("commit")
    @classmethod
    def _hexadecimal(cls, value: str | FromEnv | None) -> str | FromEnv | None:
        return commit_hash(value) if isinstance(value, str) else value


class Prompt(Table):
    """One question of a command, and what is answered."""

    prompt: str = Field(min_length=1)
    text: str


class Rollback(Table):
    """The team's rollback, and how fast it must be."""

    command: Command
    answers: tuple[Prompt, ...] = Field(default=(), strict=False)
    version: str = Field(min_length=1)
    """The release that it goes back to."""
    restores: str = Field(min_length=1)
    """The dump that the answers choose, with wildcards and ``$NAME``; the newest match counts."""
    max_s: float = Field(default=600.0, gt=0, le=86_400)
    """The playbook promises 5 to 10 minutes."""
    max_outage_s: float = Field(default=60.0, ge=0)
    """Longest time without a good health check meanwhile."""
    interval_s: float = Field(default=0.25, gt=0, le=60)
    """From one question to health to the next, while the rollback runs."""


def commit_hash(text: str) -> str:
    """A commit, in lower case.

    Raises:
        ValueError: it is none.
    """
    plain = text.strip().lower()
    if not 7 <= len(plain) <= 64 or any(digit not in "0123456789abcdef" for digit in plain):
        raise ValueError(f"{text!r} must be a commit, 7 to 64 hexadecimal digits")
    return plain
