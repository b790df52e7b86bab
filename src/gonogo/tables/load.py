"""``[targets.NAME.load]``: how much load, and what it must find."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from gonogo.tables.base import Path, Table


class LoadRequest(Table):
    """One kind of request of the load's mix."""

    path: Path
    weight: int = Field(default=1, ge=1)


class Load(Table):
    """How much load, and what it must find."""

    rps: float = Field(default=75.0, gt=0, le=10_000)
    """Requests per second that are offered; more than ``min_rps``, so that the target is not just met."""
    min_rps: float = Field(default=50.0, gt=0)
    duration_s: float = Field(default=42.0, gt=0, le=7200)
    warmup_s: float = Field(default=3.0, ge=0, le=600)
    p95_ms: float = Field(default=500.0, gt=0)
    max_error_rate: float = Field(default=0.001, gt=0, lt=1)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    timeout_s: float = Field(default=10.0, gt=0, le=120)
    requests: tuple[LoadRequest, ...] = Field(
        default=(LoadRequest(path="/api/health"),), min_length=1, strict=False
    )

    @model_validator(mode="after")
    def _offered(self) -> Self:
        if self.rps <= self.min_rps:
            raise ValueError(f"rps = {self.rps} can't prove more than min_rps = {self.min_rps}; raise rps")
        return self
