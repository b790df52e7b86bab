"""``[targets.NAME.monitoring]``: who watches the service, and of what it must warn."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from gonogo.alertmeaning import selector
from gonogo.tables.base import Names, Path, Table

Operator = Literal[">", ">=", "<", "<=", "==", "!="]

THRESHOLDS: dict[str, tuple[Operator, float]] = {
    "error_rate": (">", 0.001),
    "p95": (">", 0.5),
    "database_connections": (">", 0.8),
    "memory": (">", 0.8),
    "cpu": (">", 0.7),
    "instance_down": ("==", 0.0),
}
"""What the playbook watches after the launch: shares between 0 and 1, times in seconds, ``up`` as it is."""

QUANTILES = {"p95": 0.95}
"""Subjects that are a quantile by their name."""


def _variable(text: str) -> str:
    if not text.startswith("$"):
        raise ValueError(
            "must be the name of an environment variable, such as $PROMETHEUS_TOKEN, not the token itself"
        )
    return text


def _selectors(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        selector(text)  # its own error says what is wrong
    return texts


class WantedAlert(Table):
    """One alert that must be there, and what it must mean."""

    name: str = Field(min_length=1)
    """Its ``alertname``."""
    metrics: Annotated[Names, AfterValidator(_selectors)] = Field(min_length=1)
    """Series that its expression must read; conditions, as in ``requests_total{code=~'5..'}``, it must have too."""
    operator: Operator | None = None
    """The playbook's, for the subjects that it knows."""
    threshold: float | None = Field(default=None, allow_inf_nan=False)
    """In the unit of the quantity, constant factors aside: 0.001 also where the rule says ``100 * a / b > 0.1``."""
    quantile: float | None = Field(default=None, gt=0, lt=1)
    ratio: bool | None = None
    """Whether the quantity must be one thing divided by another."""
    for_s: float = Field(default=300.0, ge=0)
    """Longest ``for``."""
    lookback_s: float = Field(default=600.0, ge=0)
    """How far back the expression may look, offset included."""
    series: int = Field(default=1, ge=0)
    """Smallest number of series that the quantity has now; 0 for one that is there only when something is wrong."""
    labels: dict[str, str] = Field(default={})
    """Labels that tell the rule from others of its name."""
    condition: str = ""
    """What ``and`` or ``unless`` may add to the rule, word for word as Prometheus shows it."""
    through: Names = ()
    """Functions and inner conditions that are meant, though they make another quantity of it or hide some."""
    among: dict[str, str] = Field(default={})
    """Labels that the series of this target have, if the jobs they come from serve others as well."""


class Traffic(Table):
    """Requests that the gate sends, so that the figures move."""

    path: Path
    requests: int = Field(default=20, ge=1, le=1000)


class AllowedAlert(Table):
    """An alert that may fire."""

    name: str = Field(min_length=1)
    reason: str = Field(min_length=1)


class Monitoring(Table):
    """Prometheus, Alertmanager, and the alerts that must be there."""

    prometheus: str = Field(min_length=1)
    """Base URL; ``$NAME`` is filled in here and in the next four."""
    alertmanager: str = Field(min_length=1)
    alertmanager_as: str | None = None
    """``host:port`` at which Prometheus knows the Alertmanager, if it is another than ours; may hold ``*``."""
    received: str | None = None
    """Address that shows what arrived at the receiver."""
    token: Annotated[str, AfterValidator(_variable)] | None = None
    """Variable with the bearer token for Prometheus and Alertmanager."""
    jobs: dict[str, Annotated[int, Field(ge=1)]] = Field(min_length=1)
    """Jobs of Prometheus, and how many targets each must have at least."""
    alerts: dict[str, WantedAlert] = Field(min_length=1)
    """By subject; those of the playbook are all required."""
    without: dict[str, Annotated[str, Field(min_length=1)]] = Field(default={})
    """Subjects of the playbook that have no alert, each with the reason."""
    traffic: Traffic
    moves: Names = Field(min_length=1)
    """Counters that must grow by at least as many as the requests that are sent."""
    synthetic: bool = True
    """Whether an alert of the gate's own must arrive at the receiver."""
    arrives_s: float = Field(default=60.0, gt=0, le=120)
    receivers: Names = ()
    """Receivers that may be reached; any that tells somebody if left out."""
    allow_firing: tuple[AllowedAlert, ...] = Field(default=(), strict=False)
    only: dict[str, str] = Field(default={})
    """Labels of the alerts that concern this target; all alerts if left out."""
    interval_s: float = Field(default=60.0, gt=0)
    """Longest interval at which rules may be evaluated."""
    settle_s: float = Field(default=60.0, ge=0, le=90)
    """Time for what was just started to be scraped and evaluated, and for figures to move."""
    timeout_s: float = Field(default=10.0, gt=0, le=60)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        missing = [one for one in THRESHOLDS if one not in self.alerts and one not in self.without]
        if missing:
            raise ValueError(
                f"alerts has none for {', '.join(missing)}, which the playbook watches; add it, or give the "
                f'reason: without = {{ {missing[0]} = "..." }}'
            )
        both = [one for one in self.without if one in self.alerts or one not in THRESHOLDS]
        if both:
            raise ValueError(
                f"without names {both[0]!r}; allowed are those that alerts has not: {list(THRESHOLDS)}"
            )
        for subject, alert in self.alerts.items():
            if subject not in THRESHOLDS and (alert.threshold is None or alert.operator is None):
                raise ValueError(f"alerts.{subject} needs operator and threshold, because the playbook has none")
        if self.synthetic and self.received is None:
            raise ValueError(
                "synthetic sends an alert, so received must say where one sees that it arrived; without that "
                "address write synthetic = false"
            )
        return self

    def bound(self, subject: str) -> tuple[Operator, float, str]:
        """Operator and number that an alert must have, and where the number comes from."""
        alert = self.alerts[subject]
        operator, threshold = THRESHOLDS.get(subject, (">", 0.0))
        written = alert.threshold is not None
        source = "launch.toml" if written else "default"
        return (
            alert.operator or operator,
            alert.threshold if alert.threshold is not None else threshold,
            f"{source}: monitoring.alerts.{subject}.threshold",
        )

    def quantile(self, subject: str) -> float | None:
        """Quantile that an alert must speak of; ``None`` if that does not matter."""
        return self.alerts[subject].quantile or QUANTILES.get(subject)
