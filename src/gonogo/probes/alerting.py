"""Looks at an Alertmanager, and gives it an alert of its own to see whether it arrives.

API: version 2, https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml .
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from gonogo.alertrouting import Matcher, Reached, Routing, RoutingError, relabelled
from gonogo.errors import TargetError
from gonogo.jsonapi import JsonService
from gonogo.transport import ConnectTo

__all__ = [
    "Alertmanager",
    "Arrival",
    "Reached",
    "Routing",
    "RoutingError",
    "Silence",
    "await_arrival",
    "relabelled",
]

_POLL_S = 0.1


@dataclass(frozen=True)
class Silence:
    """One silence that holds now or begins later."""

    id: str
    by: str
    comment: str
    ends: str
    matchers: tuple[Matcher, ...]

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether it silences an alert with these labels."""
        return bool(self.matchers) and all(matcher.holds(labels) for matcher in self.matchers)


@dataclass(frozen=True)
class Arrival:
    """Whether a text was seen where alerts arrive."""

    after_s: float | None
    """Seconds from the alert to the first time it was seen; ``None`` if it was not."""
    looks: int
    """How often was looked."""


class Alertmanager:
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
        self.service = JsonService(url, ca_file=ca_file, connect_to=connect_to, token=token, timeout_s=timeout_s)

    def close(self) -> None:
        """Close all connections."""
        self.service.close()

    def routing(self) -> Routing:
        """The configuration that is loaded; Alertmanager leaves secrets out of it.

        Raises:
            TargetError: no answer, or not that of an Alertmanager. So do all other methods.
        """
        status = self._ask("/api/v2/status")
        try:
            config = yaml.safe_load(status["config"]["original"])
        except (LookupError, TypeError, AttributeError, ValueError, RecursionError, yaml.YAMLError):
            config = None
        if not isinstance(config, dict):
            raise self._strange("/api/v2/status", status)
        return Routing(config)

    def silences(self) -> list[Silence]:
        """Silences that hold now, or will."""
        found = self._ask("/api/v2/silences")
        try:
            return [_silence(one) for one in found if one["status"]["state"] != "expired"]
        except (LookupError, TypeError, AttributeError):
            raise self._strange("/api/v2/silences", found) from None

    def active(self) -> list[dict[str, str]]:
        """Labels of all alerts that it holds now, silenced and inhibited ones too."""
        found = self._ask("/api/v2/alerts")
        try:
            return [{str(k): str(v) for k, v in one["labels"].items()} for one in found]
        except (LookupError, TypeError, AttributeError):
            raise self._strange("/api/v2/alerts", found) from None

    def fire(self, labels: Mapping[str, str], summary: str, lasts_s: float) -> None:
        """Hand in an alert that ends by itself; with ``lasts_s=0`` it has ended.

        Args:
            labels: its labels, ``alertname`` among them.
            summary: what people read.
            lasts_s: for how long it is on, in seconds.
        """
        now = datetime.now(UTC)
        # One that has ended needs a beginning before its end; clocks may differ by seconds.
        begins = now if lasts_s else now - timedelta(seconds=1)
        alert = {
            "labels": dict(labels),
            "annotations": {"summary": summary},
            "startsAt": begins.isoformat(),
            "endsAt": (now + timedelta(seconds=lasts_s)).isoformat(),
        }
        answer = self.service.post("/api/v2/alerts", [alert])
        if answer.status != 200:
            raise TargetError(f"{answer.url} refused an alert with {answer.status}: {answer.excerpt}")

    def _ask(self, path: str) -> Any:
        answer = self.service.get(path)
        if answer.status != 200:
            raise TargetError(f"{answer.url} is no Alertmanager: it answered {answer.status}, {answer.excerpt}")
        return answer.json()

    def _strange(self, path: str, data: Any) -> TargetError:
        return TargetError(f"{self.service.base_url}{path} answered unlike Alertmanager: {str(data)[:160]}")


def await_arrival(
    url: str,
    word: str,
    fired_at: float,
    within_s: float,
    *,
    ca_file: Path | str | None = None,
    connect_to: ConnectTo | None = None,
    timeout_s: float = 10.0,
) -> Arrival:
    """Ask a receiver for what came in until a word appears there, or the time is up.

    Args:
        url: where it shows that.
        word: to be found anywhere in the body.
        fired_at: when the alert was fired, on the monotonic clock.
        within_s: limit in seconds from then on; at least one look is taken.
        ca_file: PEM file of the authorities to trust; the system's if ``None``.
        connect_to: maps the host and port to the address to connect to.
        timeout_s: limit for each look.

    Raises:
        TargetError: the receiver can't be asked, or answers with another status than 200.
    """
    receiver = JsonService(url, ca_file=ca_file, connect_to=connect_to, timeout_s=timeout_s)
    looks, sought = 0, word.encode()
    with contextlib.closing(receiver):
        while True:
            answer = receiver.get("")
            after_s = time.monotonic() - fired_at
            looks += 1
            if answer.status != 200:
                raise TargetError(f"{url} does not show what arrived: {answer.status}, {answer.excerpt}")
            if sought in answer.body:
                return Arrival(after_s, looks)
            if after_s >= within_s:
                return Arrival(None, looks)
            time.sleep(_POLL_S)


def _silence(one: Mapping[str, Any]) -> Silence:
    def matcher(raw: Mapping[str, Any]) -> Matcher:
        equal, regex = raw.get("isEqual", True), raw.get("isRegex", False)
        operator = {(True, False): "=", (False, False): "!=", (True, True): "=~", (False, True): "!~"}[equal, regex]
        return Matcher(str(raw["name"]), operator, str(raw["value"]))

    return Silence(
        id=str(one["id"]),
        by=str(one.get("createdBy", "")),
        comment=str(one.get("comment", "")),
        ends=str(one.get("endsAt", "")),
        matchers=tuple(matcher(raw) for raw in one["matchers"]),
    )
