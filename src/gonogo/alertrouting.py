"""How Alertmanager routes an alert: its tree of routes, its receivers, what silences and inhibits.

Follows https://prometheus.io/docs/alerting/latest/configuration/ : the first child that matches takes the alert,
and the ones after it only with ``continue``; a route whose children do not match keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MATCHER = re.compile(r'\s*"?([^=!~"\s]+)"?\s*(=~|!~|!=|=)\s*(.*?)\s*')
Labels = Mapping[str, str]


class RoutingError(ValueError):
    """A configuration that can't be read; the message says which part."""


@dataclass(frozen=True)
class Matcher:
    """One condition on one label; a label that is absent counts as empty."""

    label: str
    operator: str
    value: str

    def holds(self, labels: Labels) -> bool:
        """Whether these labels meet it; regular expressions are anchored on both sides."""
        actual = labels.get(self.label, "")
        if self.operator in {"=", "!="}:
            return (actual == self.value) == (self.operator == "=")
        try:
            matched = re.fullmatch(self.value, actual) is not None
        except re.error as error:
            raise RoutingError(f"{self.value!r} can't be read as a regular expression: {error}") from None
        return matched == (self.operator == "=~")

    def __str__(self) -> str:
        return f'{self.label}{self.operator}"{self.value}"'


@dataclass(frozen=True)
class Reached:
    """A receiver that an alert comes to."""

    receiver: str
    muted_by: tuple[str, ...] = ()
    """Names of time intervals that keep the route from telling anybody at times."""


@dataclass(frozen=True)
class Routing:
    """A configuration of Alertmanager, read."""

    config: Mapping[str, Any]

    def reached(self, labels: Labels) -> list[Reached]:
        """Where an alert with these labels goes, in order, each receiver once.

        Raises:
            RoutingError: the tree is malformed.
        """
        root = self.config.get("route")
        if not isinstance(root, Mapping):
            raise RoutingError("it has no route")
        return list(dict.fromkeys(_walk(root, labels, Reached(""))))

    def ways(self, receiver: str) -> list[str]:
        """Kinds of notification that a receiver sends, e.g. ``email``; none means that it tells nobody."""
        for one in self.config.get("receivers") or ():
            if one.get("name") == receiver:
                return sorted(key.removesuffix("_configs") for key in one if key.endswith("_configs") and one[key])
        return []

    def inhibitors(self, labels: Labels, active: Sequence[Labels]) -> list[str]:
        """Names of active alerts that keep one with these labels from being told."""
        found = []
        for rule in self.config.get("inhibit_rules") or ():
            source, target = _matchers(rule, "source_"), _matchers(rule, "target_")
            if not all(matcher.holds(labels) for matcher in target):
                continue
            for other in active:
                same = all(other.get(name, "") == labels.get(name, "") for name in rule.get("equal") or ())
                if other != labels and same and all(matcher.holds(other) for matcher in source):
                    found.append(other.get("alertname", str(dict(other))))
        return list(dict.fromkeys(found))


def _walk(route: Mapping[str, Any], labels: Labels, above: Reached) -> Iterator[Reached]:
    muted = [*(route.get("mute_time_intervals") or ()), *(route.get("active_time_intervals") or ())]
    here = Reached(str(route.get("receiver") or above.receiver), tuple(map(str, muted)))
    taken = False
    for child in route.get("routes") or ():
        if not all(matcher.holds(labels) for matcher in _matchers(child)):
            continue
        taken = True
        yield from _walk(child, labels, here)
        if not child.get("continue"):
            break
    if not taken:
        yield here


def _matchers(part: Mapping[str, Any], prefix: str = "") -> list[Matcher]:
    plain = "match" if not prefix else f"{prefix}match"
    try:
        found = [Matcher(str(k), "=", str(v)) for k, v in (part.get(plain) or {}).items()]
        found += [Matcher(str(k), "=~", str(v)) for k, v in (part.get(f"{plain}_re") or {}).items()]
        return found + [read_matcher(str(one)) for one in part.get(f"{prefix}matchers") or ()]
    except (AttributeError, TypeError):
        raise RoutingError(f"its matchers can't be read: {part!r}") from None


def read_matcher(text: str) -> Matcher:
    """A matcher as written, e.g. ``severity="critical"``.

    Raises:
        RoutingError: it is none.
    """
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise RoutingError(f'{text!r} is no matcher such as severity="critical"')
    label, operator, value = found.groups()
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", lambda one: {"n": "\n"}.get(one.group(1), one.group(1)), value[1:-1])
    return Matcher(label, operator, value)
