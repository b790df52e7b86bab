"""``[targets.NAME.ramp]`` and ``.availability``: how traffic comes to the new release, and what users notice."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from gonogo.tables.base import Command, Names, Path, Table
from gonogo.tables.load import LoadRequest

STEPS = (10, 50, 100)
"""Percent of the playbook's steps, for each of which there is a gate."""


class HaproxyControl(Table):
    """HAProxy's runtime API."""

    api: str = Field(min_length=1)
    """Path of its socket with level admin, or ``host:port``; may hold ``$NAME``."""
    backend: str = Field(min_length=1)
    new: Names = Field(min_length=1)
    """Servers of the new release."""
    old: Names = Field(min_length=1)
    """Servers of the earlier one."""


class NginxControl(Table):
    """A file that nginx includes, written from a template."""

    template: str = Field(min_length=1)
    """Has ``{new}`` and ``{old}`` behind the servers' addresses; relative to the plan's folder."""
    file: str = Field(min_length=1)
    reload: Command


class RampStep(Table):
    """What differs in one step."""

    share: Literal[10, 50, 100]
    hold_s: float | None = Field(default=None, gt=0, le=86_400)
    proven_error_rate: float | None = Field(default=None, gt=0, lt=1)
    """Rate that this step must prove; ``max_error_rate`` must not be refuted at any step."""


class Ramp(Table):
    """How traffic is shifted from the earlier release to the new one, and what makes it go back."""

    haproxy: HaproxyControl | None = None
    nginx: NginxControl | None = None
    command: Command | None = None
    """The team's own, with ``{share}`` for the percent."""
    drain: Command | None = None
    """Goes with ``command``: waits until the new release has nothing to do."""
    command_s: float = Field(default=60.0, gt=0, le=3600)
    """Longest time for one of these commands."""
    steps: tuple[RampStep, ...] = Field(default=(), strict=False)
    hold_s: float = Field(default=300.0, gt=0, le=86_400)
    """The playbook gives each step five minutes."""
    settle_s: float = Field(default=30.0, gt=0, le=3600)
    """Longest time until new connections come as planned."""
    release_header: str = Field(default="X-Release", min_length=1)
    """Header with which each answer tells the version that gave it."""
    requests: tuple[LoadRequest, ...] = Field(
        default=(LoadRequest(path="/api/health"),), min_length=1, strict=False
    )
    rps: float = Field(default=5.0, gt=0, le=2000)
    """Of our own, beside the users'."""
    sockets: int = Field(default=3, ge=0, le=100)
    """Live connections that are held through the step; as many are opened after the switch. Needs ``websocket``."""
    samples: int = Field(default=240, ge=60, le=10_000)
    """New connections that tell the real share."""
    tolerance: float = Field(default=0.06, gt=0, lt=0.5)
    """How far that may be from the planned one."""
    max_error_rate: float = Field(default=0.001, gt=0, lt=1)
    max_throttled_rate: float = Field(default=0.001, gt=0, lt=1)
    """Of 429, and of 503 with Retry-After, which are no errors and no good answers either."""
    p95_ms: float = Field(default=500.0, gt=0)
    max_slower: float = Field(default=0.2, ge=0, le=10)
    """How much higher the p95 of the new release may be than the earlier one's at the same time, as a share."""
    slack_ms: float = Field(default=10.0, ge=0)
    """A difference on top that nobody feels."""
    max_memory_mb_per_min: float = Field(default=20.0, gt=0)
    """Growth of one process, in units of 10^6 bytes a minute. Needs ``process``."""
    look_s: float = Field(default=1.0, gt=0, le=60)
    timeout_s: float = Field(default=10.0, gt=0, le=120)
    drain_s: float = Field(default=10.0, ge=0, le=600)
    """After a breach: what the new release still does after so long is cut."""

    @field_validator("command")
    @classmethod
    def _told(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and not any("{share}" in part for part in value):
            raise ValueError("command must have an argument with {share}, the percent of the new release")
        return value

    @model_validator(mode="after")
    def _possible(self) -> Self:
        given = [name for name in ("haproxy", "nginx", "command") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"name one way to shift traffic: haproxy, nginx or command; found {given or 'none'}")
        if self.drain is not None and self.command is None:
            raise ValueError("drain goes with command; HAProxy and nginx are drained as they can")
        shares = [step.share for step in self.steps]
        if len(shares) != len(set(shares)):
            raise ValueError(f"steps name a share twice: {shares}")
        if weak := [
            s.share for s in self.steps if s.proven_error_rate and s.proven_error_rate < self.max_error_rate
        ]:
            raise ValueError(f"proven_error_rate of step {weak[0]} is below max_error_rate, which is the promise")
        return self

    def hold_of(self, share: int) -> float:
        """Seconds for which a step is held."""
        return next((step.hold_s for step in self.steps if step.share == share and step.hold_s), self.hold_s)

    def proven_of(self, share: int) -> float:
        """Error rate that a step must prove."""
        found = (step.proven_error_rate for step in self.steps if step.share == share and step.proven_error_rate)
        return next(found, self.max_error_rate)


class Availability(Table):
    """What users may notice from before the deployment until after the ramp."""

    per_s: float = Field(default=10.0, gt=0, le=100)
    """Questions a second, on each of the paths."""
    page: Path = "/"
    """A real page, asked for over a connection that is kept; ``http.health`` gets a new one each time."""
    timeout_s: float = Field(default=5.0, gt=0, le=60)
    max_failed: int = Field(default=0, ge=0)
    max_gap_s: float = Field(default=1.0, ge=0)
    """Longest time without a good answer."""
    budget: float = Field(default=0.001, gt=0, lt=1)
    """Share of failed requests that the playbook's uptime of 99.9 % leaves."""
    max_reconnect_s: float = Field(default=5.0, gt=0)
    """Longest time until the live channel is back, if it was lost."""
    max_s: float = Field(default=14_400.0, gt=0, le=86_400)
    """The prober ends by itself after so long."""
