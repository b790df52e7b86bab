"""``[targets.NAME.process]``, ``.logs`` and ``.services``: what runs, what it writes, what it needs."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from gonogo.tables.base import Command, FromEnv, Names, Table

ERRORS = (
    r"\b(?:ERRO?R?|FATAL?|FTL|CRIT|CRITICAL|SEVERE|ALERT|EMERG|EMERGENCY|PANIC)\b",
    r"\[(?:\w+:)?(?:error|crit|alert|emerg|fatal)\]",
    r"(?i)\b(?:level|lvl|severity)=\"?(?:err|error|fatal|crit|critical|alert|emerg|panic)\b",
    r"(?i)[\"'](?:@l|(?:log[_.]?)?level|lvl|severity(?:_?text)?|levelname)\\*[\"']\s*:\s*\\*[\"'](?:err|error|fatal|crit|critical|alert|emerg|panic)\b",
    r"\"level\\*\"\s*:\s*[56]0\b",
    r"^[EF]\d{4} \d\d:\d\d:\d\d",
    r"^(?:fail|crit): ",
    r"(?i)\b(?:error|panic):",
    r"\b[A-Z]\w*(?:Error|Exception|Rejection)\b",
    r"panicked at ",
    r"Failed with result '",
    r"Traceback \(most recent call last\)",
    r"(?i)\b(?:unhandled|uncaught|segmentation fault|core dumped|out of memory)\b",
)
"""Lines that report an error, as the usual loggers, web servers and journald write them."""


_UNLIKE = ("2026-11-25 ERROR: it broke", "}", '{"level":50}', "panic", "[crit] 7#7")
"""Lines that have nothing in common."""


def _regular(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    if re.search(pattern, "") is not None or all(re.search(pattern, line) for line in _UNLIKE):
        raise ValueError(f"{pattern!r} matches every line; name what the lines have in common")
    return pattern


def _zone(name: str) -> str:
    try:
        if name != "UTC":  # known on machines without a list of zones, too
            ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ValueError(f"{name!r} is no time zone of this machine; write e.g. UTC or Europe/Berlin") from None
    return name


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_regular)]
"""A regular expression that is looked for anywhere in a line."""


class Process(Table):
    """The processes of the application."""

    manager: Literal["pm2", "systemd", "pidfile"]
    names: Names = ()
    """Of applications (PM2) or units (systemd)."""
    pid_files: str | None = None
    """Their pid files on this machine, with wildcards and ``$NAME``."""
    match: str | None = Field(default=None, min_length=1)
    """Text in the command line of a pid file's process: its number may belong to another program by now."""
    command: Command | None = None
    """How ``pm2`` or ``systemctl`` is called, e.g. ``["ssh", "app1", "pm2"]``; this machine's by default."""
    instances: int = Field(default=1, ge=1)
    """Processes of each name; with pid files, all of them together."""
    window_s: float = Field(default=10.0, gt=0, le=600)
    """For so long they are watched: none may restart meanwhile."""
    memory_mb: float | None = Field(default=None, gt=0)
    """What one process may take, in units of 10^6 bytes; the memory of this machine where it runs here."""
    max_memory_percent: float = Field(default=80.0, gt=0, le=100)
    cpus: float = Field(default=1.0, gt=0, le=1024)
    """Processors that one process may use."""
    max_cpu_percent: float = Field(default=70.0, gt=0, le=100)
    min_uptime_s: float = Field(default=0.0, ge=0)
    max_uptime_s: float | None = Field(default=None, gt=0)
    """An older process was not started by the deployment."""
    timeout_s: float = Field(default=10.0, gt=0, le=120)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.manager == "pidfile":
            if self.pid_files is None:
                raise ValueError("manager is pidfile, so pid_files must say where they are")
            if self.names or self.command:
                raise ValueError("names and command are for pm2 and systemd; with pid files leave them out")
        elif not self.names:
            raise ValueError(f"manager is {self.manager}, so names must say what runs under it")
        elif self.pid_files or self.match:
            raise ValueError("pid_files and match are for manager pidfile; leave them out")
        if self.manager == "systemd" and self.instances != 1:
            raise ValueError("a systemd unit is one instance; name each unit, e.g. fleet@1.service")
        if self.max_uptime_s is not None and self.max_uptime_s <= self.min_uptime_s:
            raise ValueError("max_uptime_s must be more than min_uptime_s")
        return self


class LogSource(Table):
    """One place where lines come from: files, a unit of journald, or the output of a command."""

    files: str | None = Field(default=None, min_length=1)
    """With wildcards and ``$NAME``; rotated and compressed ones (.gz) belong to their log."""
    unit: str | None = Field(default=None, min_length=1)
    """Of journald."""
    command: Command | None = None
    """With ``unit`` how ``journalctl`` is called; else the program whose output is the log."""
    errors_only: bool = False
    """Nothing but errors is written to it, so that it is empty while all is well."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.files is not None and (self.unit is not None or self.command is not None):
            raise ValueError("files stand alone; unit and command belong into a source of their own")
        if self.files is None and self.unit is None and self.command is None:
            raise ValueError("a source needs files, unit or command")
        return self


class LogException(Table):
    """Error lines that are known and accepted, with the reason."""

    pattern: Pattern
    reason: str = Field(min_length=1)


class Logs(Table):
    """Where the application writes what goes wrong."""

    sources: tuple[LogSource, ...] = Field(min_length=1, strict=False)
    errors: tuple[Pattern, ...] = Field(default=ERRORS, min_length=1, strict=False)
    allow: tuple[LogException, ...] = Field(default=(), strict=False)
    within_s: float = Field(default=5400.0, gt=0, le=31_536_000)
    """How far back: the playbook deploys 90 minutes before the launch."""
    zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    """Of times that are written without their zone."""
    min_lines: int = Field(default=1, ge=0)
    """Each log must have so many lines in that time: one that is empty proves nothing."""
    max_mb: float = Field(default=64.0, gt=0, le=4096)
    """Most that is read of one file, from its end, in units of 10^6 bytes."""
    timeout_s: float = Field(default=30.0, gt=0, le=600)

    @model_validator(mode="after")
    def _telling(self) -> Self:
        if all(source.errors_only for source in self.sources):
            raise ValueError(
                "errors_only is for logs beside one that shows that anything is written at all; name it"
            )
        return self


class Service(Table):
    """One service outside the application."""

    name: str = Field(min_length=1)
    kind: Literal["redis", "smtp", "tcp", "tls", "http"]
    address: str | None = Field(default=None, min_length=1)
    """``host:port``, which may hold ``$NAME``."""
    url: str | None = Field(default=None, min_length=1)
    """Of a service of kind ``http``; may hold ``$NAME``."""
    status: int = Field(default=200, ge=100, le=599)
    """What ``url`` must answer."""
    tls: bool = False
    """Redis or SMTP speak TLS from the first byte."""
    starttls: bool = False
    """SMTP must offer STARTTLS, and it must work."""
    ca_file: str | None = None
    """Authorities of this service; those of the target by default."""
    server_name: str | None = None
    """Name that its certificate must be for; the host of the address by default."""
    user: str | None = None
    password: FromEnv | None = None
    writable: bool = False
    """Redis must be the one that takes writes, no replica."""
    max_ms: float = Field(default=1000.0, gt=0)
    """Longest time for connection and hello together."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        place, other = ("url", "address") if self.kind == "http" else ("address", "url")
        if getattr(self, place) is None or getattr(self, other) is not None:
            raise ValueError(f"{self.name}: a service of kind {self.kind} has the key {place}, and no {other}")
        only = {
            "starttls": {"smtp"},
            "tls": {"redis", "smtp"},
            "writable": {"redis"},
            "user": {"redis", "smtp"},
            "password": {"redis", "smtp"},
            "status": {"http"},
        }
        for key, kinds in only.items():
            if key in self.model_fields_set and self.kind not in kinds:
                raise ValueError(f"{self.name}: {key} is for {' and '.join(sorted(kinds))}, not for {self.kind}")
        if self.tls and self.starttls:
            raise ValueError(f"{self.name}: either tls from the first byte or starttls, not both")
        if self.user is not None and self.password is None:
            raise ValueError(f'{self.name}: user needs a password, from a variable: {{ env = "NAME" }}')
        if (
            self.kind == "smtp"
            and self.password is not None
            and (self.user is None or not (self.tls or self.starttls))
        ):
            raise ValueError(f"{self.name}: a password is sent to SMTP with a user, and over tls or starttls alone")
        return self


class Services(Table):
    """Services outside the application that it needs."""

    needed: tuple[Service, ...] = Field(min_length=1, strict=False)
    timeout_s: float = Field(default=5.0, gt=0, le=60)
    """For one service, its second try included."""

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        names = [one.name for one in self.needed]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"each service needs a name of its own; there is more than one {', '.join(twice)}")
        return self
