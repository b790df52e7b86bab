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
    group_by: tuple[str, ...] = ()
    """Labels that set one message apart from another; ``...`` for all."""


@dataclass(frozen=True)
class Routing:
    """A configuration of Alertmanager, read."""

    config: Mapping[str, Any]

    def reached(self, labels: Labels) -> list[Reached]:
        """Where an alert with these labels goes, in order, each receiver once.

        Raises:
            RoutingError: the tree is malformed.
        """
        return list(dict.fromkeys(_walk(self._root(), labels, Reached(""))))

    def apart(self, labels: Labels, word: str) -> dict[str, str]:
        """The same labels, changed so that they go the same ways but wait for no message of another alert.

        Args:
            labels: of the alert, with a name that no other has.
            word: value for a label by which alerts are grouped and that no route asks for; without such a label
                nothing is changed.

        Raises:
            RoutingError: the tree is malformed.
        """
        found, asked = dict(labels), _asked(self._root())
        for one in self.reached(labels):
            free = [label for label in one.group_by if label not in asked]
            if not {"alertname", "..."} & set(one.group_by) and free:
                found[free[0]] = word
        return found

    def _root(self) -> Mapping[str, Any]:
        root = self.config.get("route")
        if not isinstance(root, Mapping):
            raise RoutingError("it has no route")
        return root

    def ways(self, receiver: str) -> list[str]:
        """Kinds of notification that a receiver sends, e.g. ``email``; none means that it tells nobody."""
        for one in _list(self.config, "receivers"):
            if one.get("name") == receiver:
                return sorted(key.removesuffix("_configs") for key in one if key.endswith("_configs") and one[key])
        return []

    def inhibitors(self, labels: Labels, active: Sequence[Labels]) -> list[str]:
        """Names of active alerts that keep one with these labels from being told."""
        found = []
        for rule in _list(self.config, "inhibit_rules"):
            source, target = _matchers(rule, "source_"), _matchers(rule, "target_")
            if not _hold(target, labels):
                continue
            both = _hold(source, labels)  # what is on both sides is not inhibited by what is on both, too
            for other in active:
                if both and _hold(target, other):
                    continue
                same = all(other.get(name, "") == labels.get(name, "") for name in rule.get("equal") or ())
                if other != labels and same and _hold(source, other):
                    found.append(other.get("alertname", str(dict(other))))
        return list(dict.fromkeys(found))


def _hold(matchers: Sequence[Matcher], labels: Labels) -> bool:
    return all(matcher.holds(labels) for matcher in matchers)


def _list(part: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = part.get(key) or []
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise RoutingError(f"{key} is no list of mappings: {str(found)[:80]}")
    return found


def _asked(route: Mapping[str, Any]) -> set[str]:
    """Labels that routes ask for."""
    below = [_asked(child) for child in _list(route, "routes")]
    return {matcher.label for matcher in _matchers(route)}.union(*below)


def _walk(route: Mapping[str, Any], labels: Labels, above: Reached) -> Iterator[Reached]:
    muted = [*(route.get("mute_time_intervals") or ()), *(route.get("active_time_intervals") or ())]
    group_by = route["group_by"] if isinstance(route.get("group_by"), list) else above.group_by
    receiver = str(route.get("receiver") or above.receiver)
    here = Reached(receiver, tuple(map(str, muted)), tuple(map(str, group_by)))
    taken = False
    for child in _list(route, "routes"):
        if not _hold(_matchers(child), labels):
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


def relabelled(labels: Labels, steps: Sequence[Mapping[str, Any]]) -> dict[str, str] | None:
    """What Prometheus' ``alert_relabel_configs`` make of an alert's labels; ``None`` if they drop it.

    Follows https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config but for
    ``hashmod``, which changes nothing here.

    Raises:
        RoutingError: a step can't be read.
    """
    found = dict(labels)
    for step in steps:
        try:
            pattern = re.compile(str(step.get("regex", "(.*)")))
            sources = [str(one) for one in step.get("source_labels") or ()]
            joined = str(step.get("separator", ";")).join(found.get(one, "") for one in sources)
        except (re.error, TypeError, AttributeError):
            raise RoutingError(f"a step of alert_relabel_configs can't be read: {str(step)[:80]}") from None
        action, target = str(step.get("action", "replace")).lower(), str(step.get("target_label", ""))
        matched = pattern.fullmatch(joined)
        equal = joined == found.get(target, "")
        stays = {"keep": matched, "drop": not matched, "keepequal": equal, "dropequal": not equal}.get(action, True)
        if not stays:
            return None
        if action == "replace" and matched:
            found |= {_filled(target, matched): _filled(str(step.get("replacement", "$1")), matched)}
        elif action in {"lowercase", "uppercase"}:
            found[target] = joined.lower() if action == "lowercase" else joined.upper()
        elif action == "labelmap":
            fits = [(one, value) for name, value in found.items() if (one := pattern.fullmatch(name))]
            found |= {_filled(str(step.get("replacement", "$1")), one): value for one, value in fits}
        elif action in {"labeldrop", "labelkeep"}:
            found = {k: v for k, v in found.items() if bool(pattern.fullmatch(k)) == (action == "labelkeep")}
        found = {name: value for name, value in found.items() if value}
    return found


def _filled(template: str, matched: re.Match[str]) -> str:
    """A text in which ``$1`` and ``${name}`` stand for groups, as in Go."""

    def group(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        try:
            return matched[int(name) if name.isdigit() else name] or ""
        except IndexError:
            return ""

    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", group, template)
