"""``[targets.NAME.load]``: how much load, and what it must find."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from gonogo.tables.base import Files, Names, Path, Table


class LoadRequest(Table):
    """One kind of request of the load's mix."""

    path: Path
    """``{n}`` here and in the body becomes the request's number, so that no two writes are the same."""
    weight: int = Field(default=1, ge=1)
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    body: str = ""
    """``{tomorrow}`` in it becomes this time tomorrow."""
    headers: dict[str, str] = Field(default={})
    """Beside the plan's own; ``$NAME`` is filled in when the gate runs."""
    account: Literal["manager", "dispatcher", "viewer"] | None = None
    """Who asks: somebody whom ``smoke`` knows, signed in once before the run; the plan's own headers if nobody."""
    undo: bool = False
    """What it makes, as ``Location`` of its answer says, is deleted after the run."""

    @property
    def writes(self) -> bool:
        """Whether it may change something."""
        return self.method not in {"GET", "HEAD"}


class Spike(Table):
    """A sudden rise in the middle of the load, and the time after it."""

    rps: float = Field(gt=0, le=10_000)
    duration_s: float = Field(default=5.0, gt=0, le=600)
    settle_s: float = Field(default=2.0, ge=0, le=600)
    """How long the target may take to be as quick as before."""
    recover_s: float = Field(default=4.0, gt=0, le=600)
    """How long it is watched after that, at the usual rate."""
    p95_ms: float = Field(default=1000.0, gt=0)
    max_error_rate: float = Field(default=0.01, gt=0, lt=1)
    max_throttled_rate: float = Field(default=0.05, gt=0, lt=1)
    """Turning some away is an answer to a spike."""


class Endurance(Table):
    """What must not grow while the load lasts."""

    duration_s: float = Field(default=0.0, ge=0, le=86_400)
    """The steady part lasts at least so long when this gate is asked for."""
    max_growth_ms: float = Field(default=50.0, gt=0)
    """How much the median latency may grow from the beginning of the steady part to its end."""
    max_memory_mb_per_min: float = Field(default=20.0, gt=0)
    """Growth of one process meanwhile, in units of 10^6 bytes a minute. Needs ``process``."""


class Load(Table):
    """How much load, and what it must find."""

    rps: float = Field(default=75.0, gt=0, le=10_000)
    """Requests per second that are offered; more than ``min_rps``, so that the target is not just met."""
    min_rps: float = Field(default=50.0, gt=0)
    duration_s: float = Field(default=42.0, gt=0, le=86_400)
    warmup_s: float = Field(default=3.0, ge=0, le=600)
    arrivals: Literal["constant", "poisson"] = "constant"
    seed: int = 0
    """Of random arrivals: the same ones each time."""
    p95_ms: float = Field(default=500.0, gt=0)
    p99_ms: float = Field(default=1000.0, gt=0)
    slowest_ms: float = Field(default=2000.0, gt=0)
    """No single request may take longer: at a p95 beyond 2 s the playbook considers a rollback."""
    max_error_rate: float = Field(default=0.001, gt=0, lt=1)
    max_throttled_rate: float = Field(default=0.001, gt=0, lt=1)
    """Of 429, and of 503 with Retry-After, which are no errors and no good answers either."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    timeout_s: float = Field(default=10.0, gt=0, le=120)
    requests: tuple[LoadRequest, ...] = Field(
        default=(LoadRequest(path="/api/health"),), min_length=1, strict=False
    )
    websockets: int = Field(default=0, ge=0, le=50)
    """Live connections that are held beside the requests."""
    look_s: float = Field(default=1.0, gt=0, le=60)
    """How often health and a real read are asked meanwhile."""
    read: Path | None = None
    """That read; the first GET of the mix that is not health, if it is left out."""
    max_rps: float | None = Field(default=None, gt=0)
    """Cap for everything that is ever sent; kept by the generator itself."""
    stop_error_rate: float = Field(default=0.5, gt=0, le=1)
    """Share of failures within 5 s at which the load ends."""
    max_late_ms: float = Field(default=100.0, gt=0)
    """A generator that is later than this was the limit itself."""
    max_cpu_percent: float = Field(default=90.0, gt=0, le=100)
    """Of one processor, for each process of the generator."""
    hooks: Files = ()
    """Files of the team's that Locust reads after ours, for listeners; may hold ``$NAME`` and wildcards."""
    workers: int = Field(default=0, ge=0, le=64)
    """Further processes on this machine that share the schedule."""
    expect_workers: int = Field(default=0, ge=0, le=1000)
    """Workers on other machines that are awaited."""
    bind: str = "127.0.0.1"
    """Address of this machine at which those find us."""
    port: int = Field(default=5557, ge=1, le=65535)
    workers_within_s: float = Field(default=30.0, ge=1, le=3600)
    shared_with: Names = ()
    """Production targets whose addresses this one has on purpose."""
    spike: Spike | None = None
    endurance: Endurance = Endurance()

    @property
    def peak_rps(self) -> float:
        """Highest rate that is offered."""
        return max(self.rps, self.spike.rps if self.spike else 0.0)

    @property
    def planned(self) -> int:
        """Requests that count for the error rate."""
        return math.floor(self.rps * self.duration_s + 1e-9)

    @model_validator(mode="after")
    def _offered(self) -> Self:
        if self.rps <= self.min_rps:
            raise ValueError(f"rps = {self.rps} can't prove more than min_rps = {self.min_rps}; raise rps")
        if self.spike and self.spike.rps <= self.rps:
            raise ValueError(f"spike.rps = {self.spike.rps} is no spike over rps = {self.rps}; raise spike.rps")
        if self.max_rps is not None and self.peak_rps > self.max_rps:
            raise ValueError(
                f"max_rps = {self.max_rps} is below the {self.peak_rps} RPS that are planned; lower these"
            )
        for request in self.requests:
            if request.undo and request.method != "POST":
                raise ValueError(f"undo is for POST, not for {request.method} {request.path}; take it out")
        return self
