"""Looks at a Prometheus: its targets, its rules and what they mean, the alerts it has, the figures it keeps.

API: https://prometheus.io/docs/prometheus/latest/querying/api/ ; nothing is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml  # type: ignore[import-untyped]

from gonogo.alertmeaning import Meaning, meanings, query_for, reads, selector
from gonogo.alertrouting import relabelled
from gonogo.errors import TargetError, ToolError
from gonogo.jsonapi import JsonService, place
from gonogo.promql import PromqlError, seconds
from gonogo.transport import ConnectTo

__all__ = ["AlertFacts", "Meaning", "Prometheus", "RuleFacts", "Sample", "ScrapeFacts", "Sending", "SeriesKinds"]
__all__ += ["place", "query_for", "reads", "selector"]

_LARGEST = 100_000_000
"""Thousands of targets, each with everything that discovery told of it, come in one answer."""
_PARTS = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("_count", "_sum"), "counter": ("", "_total")}
"""Endings of the series that only grow; some formats declare a counter without its ending."""
_CONFIG = "/api/v1/status/config"


@dataclass(frozen=True)
class ScrapeFacts:
    """One place that Prometheus asks for figures."""

    job: str
    instance: str
    health: str
    """``up``, ``down``, or ``unknown`` before it was first asked."""
    error: str
    scraped_at: float | None
    """Seconds since the epoch; ``None`` if it was never asked."""
    interval_s: float


@dataclass(frozen=True)
class RuleFacts:
    """One alerting rule as Prometheus has loaded it."""

    name: str
    group: str
    expression: str
    meanings: tuple[Meaning, ...]
    unread: str
    """Why the expression could not be understood; empty if it was."""
    for_s: float
    labels: Mapping[str, str]
    health: str
    """``ok``, ``err``, or ``unknown`` before it was first evaluated."""
    error: str
    evaluated_at: float | None
    """Seconds since the epoch; ``None`` if it never was."""
    interval_s: float


@dataclass(frozen=True)
class AlertFacts:
    """One alert that Prometheus holds."""

    name: str
    state: str
    """``firing`` or ``pending``."""
    labels: Mapping[str, str]
    since: str


@dataclass(frozen=True)
class Sample:
    """One value of a query's answer."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Sending:
    """What is done to an alert's labels before it is sent."""

    external: Mapping[str, str]
    """Added where they are not there already."""
    relabel: Sequence[Mapping[str, Any]]
    """Steps of ``alert_relabel_configs``."""


@dataclass(frozen=True)
class SeriesKinds:
    """What the processes declare of their series, by name."""

    kinds: Mapping[str, frozenset[str]]

    def grows(self, name: str) -> bool:
        """Whether it only grows; what nobody declared is taken at its name."""
        return "counter" in self.kinds.get(name, {"counter"} if name.endswith("_total") else ())

    def gauge(self, name: str) -> bool:
        """Whether it goes up and down."""
        return self.kinds.get(name) == frozenset({"gauge"})


class Prometheus:
    """A client for one server."""

    def __init__(
        self,
        url: str,
        *,
        ca_file: Path | str | None = None,
        connect_to: ConnectTo | None = None,
        token: str | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        """As :class:`gonogo.jsonapi.JsonService`, which tells the arguments.

        Raises:
            ToolError: ``ca_file`` can't be used.
        """
        self.service = JsonService(
            url, ca_file=ca_file, connect_to=connect_to, token=token, timeout_s=timeout_s, max_bytes=_LARGEST
        )

    def close(self) -> None:
        """Close all connections."""
        self.service.close()

    def now(self) -> float:
        """The server's own clock, in seconds since the epoch; ages are counted by it.

        Raises:
            TargetError: no answer, or not that of a Prometheus. So do all other methods.
        """
        data = self._ask("/api/v1/query", {"query": "time()"})
        try:
            return float(data["result"][1])
        except (LookupError, TypeError, ValueError):
            raise self._strange("/api/v1/query", data) from None

    def targets(self) -> list[ScrapeFacts]:
        """Everything that is scraped."""
        data = self._ask("/api/v1/targets", {"state": "active"})
        try:
            return [_scrape(one) for one in data["activeTargets"]]
        except (LookupError, TypeError, ValueError, AttributeError):
            raise self._strange("/api/v1/targets", data) from None

    def rules(self) -> list[RuleFacts]:
        """All alerting rules."""
        data = self._ask("/api/v1/rules", {"type": "alert"})
        try:
            return list(_rules(data))
        except (LookupError, TypeError, ValueError, AttributeError):
            raise self._strange("/api/v1/rules", data) from None

    def alerts(self) -> list[AlertFacts]:
        """Alerts that are pending or firing now."""
        data = self._ask("/api/v1/alerts")
        try:
            return [_alert(one) for one in data["alerts"]]
        except (LookupError, TypeError, ValueError, AttributeError):
            raise self._strange("/api/v1/alerts", data) from None

    def alertmanagers(self) -> list[str]:
        """Each Alertmanager that alerts are sent to now: host and port, and the path below which its API is."""
        data = self._ask("/api/v1/alertmanagers")
        try:
            urls = [str(one["url"]) for one in data["activeAlertmanagers"]]
            return [place(url) + re.sub(r"/api/v\d+/alerts$", "", urlsplit(url).path) for url in urls]
        except (LookupError, TypeError, ToolError):
            raise self._strange("/api/v1/alertmanagers", data) from None

    def sending(self) -> Sending:
        """What it does to the labels of each alert that is sent."""
        data = self._ask(_CONFIG)
        try:
            config = yaml.safe_load(data["yaml"]) or {}
            external = (config.get("global") or {}).get("external_labels") or {}
            alerting = config.get("alerting") or {}
            told = alerting.get("alertmanagers") or []
            steps = [*(alerting.get("alert_relabel_configs") or ())]
            if len(told) == 1:  # of several, one that gets the alert is enough
                steps += told[0].get("alert_relabel_configs") or ()
            relabelled({}, steps)  # so that what can't be read is told here
            return Sending({str(k): str(v) for k, v in external.items()}, steps)
        except (LookupError, TypeError, AttributeError, ValueError, RecursionError, yaml.YAMLError):
            raise self._strange(_CONFIG, data) from None

    def kinds(self) -> SeriesKinds:
        """What each series is, as its processes declare it."""
        data = self._ask("/api/v1/metadata")
        try:
            kinds = {name: frozenset(str(one["type"]) for one in told) for name, told in data.items()}
        except (LookupError, TypeError, AttributeError):
            raise self._strange("/api/v1/metadata", data) from None
        growing = [name + end for name, own in kinds.items() for kind in own for end in _PARTS.get(kind, ())]
        return SeriesKinds({**kinds, **dict.fromkeys(growing, frozenset({"counter"}))})

    def query(self, expression: str) -> list[Sample]:
        """Present values of an expression; a single number comes without labels."""
        data = self._ask("/api/v1/query", {"query": expression})
        try:
            if data["resultType"] == "scalar":
                return [Sample({}, float(data["result"][1]))]
            return [
                Sample({str(k): str(v) for k, v in one["metric"].items()}, float(one["value"][1]))
                for one in data["result"]
            ]
        except (LookupError, TypeError, ValueError, AttributeError):
            raise self._strange("/api/v1/query", data) from None

    def _ask(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        answer = self.service.get(path, params)
        content = answer.json() if answer.status == 200 else None
        if not isinstance(content, dict) or content.get("status") != "success":
            raise TargetError(f"{answer.url} is no Prometheus: it answered {answer.status}, {answer.excerpt}")
        return content.get("data")

    def _strange(self, path: str, data: Any) -> TargetError:
        return TargetError(f"{self.service.base_url}{path} answered unlike Prometheus: {str(data)[:160]}")


def _scrape(one: Mapping[str, Any]) -> ScrapeFacts:
    labels = one["labels"]
    return ScrapeFacts(
        job=str(labels.get("job", "")),
        instance=str(labels.get("instance", "")),
        health=str(one["health"]),
        error=str(one.get("lastError", "")),
        scraped_at=_moment(one["lastScrape"]),
        interval_s=seconds(str(one.get("scrapeInterval") or "1m")),
    )


def _rules(data: Mapping[str, Any]) -> Iterator[RuleFacts]:
    for group in data["groups"]:
        for rule in group["rules"]:
            if rule["type"] != "alerting":
                continue
            understood, unread = _understood(str(rule["query"]))
            yield RuleFacts(
                name=str(rule["name"]),
                group=str(group["name"]),
                expression=str(rule["query"]),
                meanings=understood,
                unread=unread,
                for_s=float(rule["duration"]),
                labels=dict(rule.get("labels") or {}),
                health=str(rule["health"]),
                error=str(rule.get("lastError", "")),
                evaluated_at=_moment(rule["lastEvaluation"]),
                interval_s=float(group["interval"]),
            )


def _understood(expression: str) -> tuple[tuple[Meaning, ...], str]:
    try:
        return tuple(meanings(expression)), ""
    except PromqlError as error:
        return (), str(error)


def _alert(one: Mapping[str, Any]) -> AlertFacts:
    labels = dict(one["labels"])
    return AlertFacts(labels.get("alertname", ""), str(one["state"]), labels, str(one.get("activeAt", "")))


def _moment(text: str) -> float | None:
    """A time of the API in seconds; Go's zero time means never."""
    if text.startswith("0001-"):
        return None
    whole = re.sub(r"(\.\d{1,6})\d*", r"\1", text.replace("Z", "+00:00"))  # Python reads microseconds at most
    return datetime.fromisoformat(whole).astimezone(UTC).timestamp()
