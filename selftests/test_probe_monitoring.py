"""What expressions of alerts mean, where Alertmanager sends them, and servers that answer badly."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import servers
from gonogo.alertmeaning import meanings
from gonogo.alertrouting import Matcher, Reached, Routing, RoutingError, read_matcher
from gonogo.errors import TargetError
from gonogo.probes.alerting import Alertmanager, await_arrival
from gonogo.probes.monitoring import Prometheus, place
from gonogo.promql import PromqlError, parse, seconds, selectors
from gonogo.tables.monitoring import THRESHOLDS, Monitoring

RATE = "sum(rate(errors_total[5m])) / sum(rate(requests_total[5m]))"


@pytest.mark.parametrize(
    ("expression", "operator", "threshold", "ratio"),
    [
        ('up{job="fleet"} == 0', "==", 0.0, False),
        (f"{RATE} > 0.001", ">", 0.001, True),
        (f"100 * {RATE} > 0.1", ">", 0.001, True),
        (f"{RATE} * 100 > 0.1", ">", 0.001, True),
        (f"0.1 < 100 * ({RATE})", ">", 0.001, True),
        ("sum(rate(errors_total[5m])) > 0.001 * sum(rate(requests_total[5m]))", ">", 0.001, True),
        ("used > on (instance) group_left (pod) 0.8 * size", ">", 0.8, True),
        ("1 - free / size > 0.8", "<", 0.2, True),
        ("-a < -3", ">", 3.0, False),
        ("a / 1e9 >= 80 / 100", ">=", 8e8, False),
        ("a ^ 2 > 2 ^ 3 ^ 0", ">", 2.0, False),
        ("a > 0x10", ">", 16.0, False),
        ("a != -1", "!=", -1.0, False),
        ("vector(0.5) < a", ">", 0.5, False),
        ("a > b + 1", ">", None, False),
        ("a > Inf # endless", ">", float("inf"), False),
        ("0 * a > 1", ">", None, False),
        ("a", "", None, False),
    ],
)
def test_an_expression_is_brought_to_quantity_operator_and_number(
    expression: str, operator: str, threshold: float | None, ratio: bool
) -> None:
    (found,) = meanings(expression)

    assert found.operator == operator
    assert found.threshold == (None if threshold is None else pytest.approx(threshold, rel=1e-12))
    assert found.ratio is ratio


def test_quantiles_windows_and_names_are_found() -> None:
    (found,) = meanings("histogram_quantile(0.95, sum by (le) (rate(h_bucket{a='b'}[5m] offset 1h))) > 500e-3")

    assert found.quantiles == (0.95,)
    assert found.metrics == ("h_bucket",)
    assert found.watches == (("h_bucket", 'h_bucket{a="b"}'),)
    assert found.lookback_s == 3900
    assert found.instant == ()
    assert found.value.startswith("histogram_quantile(")


@pytest.mark.parametrize(
    ("expression", "what", "value"),
    [
        ("x_total > 5", "instant", ("x_total",)),
        ("x_total - x_total offset 5m > 5", "instant", ()),
        ("count(x_total) < 5", "instant", ()),
        ("a @ 1600000000 > 3", "pinned", True),
        ("a @ end() > 3", "pinned", True),
        ("a > bool 3", "returns_bool", True),
        ("(a > 3) and on () (b > 5)", "narrowed", "and on () (b > 5)"),
        ("a > 3 unless b and c", "narrowed", "unless b and c"),
        ("max_over_time(rate(x[1m])[10m:30s]) > 1", "lookback_s", 660.0),
        ("a > on (i) b * 0.8", "value", "a >= bool on (i) b * 0.8"),
        ('{__name__="foo",x="y"} > 1', "metrics", ("foo",)),
    ],
)
def test_what_else_matters_is_told(expression: str, what: str, value: Any) -> None:
    assert getattr(meanings(expression)[0], what) == value


def test_each_branch_of_or_is_a_meaning_of_its_own() -> None:
    assert [one.threshold for one in meanings("a > 1 or b > 2 or absent(c)")] == [1.0, 2.0, 1.0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a >",
        "(a",
        "a[5m",
        "a[5]x",
        "sum(a",
        "a{b=}",
        "a ? b",
        '"open',
        "rate(a)[5m]",
        "1 offset 5m",
        "(" * 500 + "a",
    ],
)
def test_what_is_no_promql_is_told(text: str) -> None:
    with pytest.raises(PromqlError):
        parse(text)


@settings(max_examples=200, deadline=None)
@given(st.text("ab_:10.5m[]{}()\"'`=~!<>+-*/%^@ ,#\\ortndy", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(PromqlError):
        list(selectors(parse(text)))


@given(st.floats(0.001, 1e6), st.floats(0.001, 1e6), st.sampled_from([">", "<", ">=", "<="]))
def test_factors_on_either_side_change_nothing(limit: float, factor: float, operator: str) -> None:
    plain = meanings(f"a {operator} {limit!r}")[0]
    scaled = meanings(f"{factor!r} * a {operator} {factor!r} * {limit!r}")[0]
    mirrored = meanings(f"{limit!r} {operator.translate(str.maketrans('<>', '><'))} a")[0]

    assert (scaled.operator, mirrored.operator) == (operator, operator)
    assert scaled.threshold == pytest.approx(plain.threshold)
    assert mirrored.threshold == plain.threshold == limit


def test_durations() -> None:
    assert seconds("1h30m") == 5400
    assert seconds("500ms") == 0.5
    with pytest.raises(PromqlError, match="no duration"):
        seconds("soon")


CONFIG = {
    "route": {
        "receiver": "all",
        "routes": [
            {"match": {"severity": "none"}, "receiver": "nobody"},
            {
                "matchers": ['severity="critical"'],
                "receiver": "pager",
                "continue": True,
                "mute_time_intervals": ["night"],
            },
            {"match_re": {"team": "fleet|ops"}, "routes": [{"matchers": ['env!~"test.*"'], "receiver": "team"}]},
        ],
    },
    "receivers": [
        {"name": "all", "email_configs": [{"to": "x"}]},
        {"name": "pager", "pagerduty_configs": [{}], "webhook_configs": []},
        {"name": "team", "webhook_configs": [{"url": "x"}]},
        {"name": "nobody"},
    ],
    "inhibit_rules": [
        {"source_matchers": ['alertname="Down"'], "target_match": {"severity": "warning"}, "equal": ["instance"]}
    ],
}


def test_routes_are_followed_as_alertmanager_does() -> None:
    routing = Routing(CONFIG)

    assert routing.reached({"severity": "none"}) == [Reached("nobody")]
    assert routing.reached({}) == [Reached("all")]
    critical = {"severity": "critical", "team": "fleet"}
    assert routing.reached(critical) == [Reached("pager", ("night",)), Reached("team")]
    assert routing.reached({"team": "fleet", "env": "testing"}) == [Reached("all")]
    assert routing.reached({"team": "fleets"}) == [Reached("all")]
    assert (routing.ways("pager"), routing.ways("nobody"), routing.ways("unknown")) == (["pagerduty"], [], [])


def test_inhibition_needs_an_active_source_with_equal_labels() -> None:
    routing = Routing(CONFIG)
    warning = {"severity": "warning", "instance": "a"}

    assert routing.inhibitors(warning, [{"alertname": "Down", "instance": "a"}]) == ["Down"]
    assert routing.inhibitors(warning, [{"alertname": "Down", "instance": "b"}]) == []
    assert routing.inhibitors({**warning, "severity": "page"}, [{"alertname": "Down", "instance": "a"}]) == []


def test_what_is_no_routing_is_told() -> None:
    assert read_matcher('a=~"b|\\"c"') == Matcher("a", "=~", 'b|"c')
    for bad in ("severity", "=x", ""):
        with pytest.raises(RoutingError):
            read_matcher(bad)
    with pytest.raises(RoutingError, match="no route"):
        Routing({}).reached({})
    with pytest.raises(RoutingError, match="regular expression"):
        Matcher("a", "=~", "(").holds({"a": "x"})


def answering(*bodies: bytes, status: bytes = b"200 OK") -> servers.Handler:
    """Answers one after another, from the first again at the end."""
    answers = itertools.cycle(bodies)

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        while servers.read_request(connection):
            body = next(answers)
            head = b"HTTP/1.1 " + status + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
            connection.sendall(head + body)

    return handler


def says(data: Any) -> bytes:
    return json.dumps({"status": "success", "data": data}).encode()


@contextlib.contextmanager
def prometheus(handler: servers.Handler) -> Iterator[Prometheus]:
    with servers.serve(handler) as server, contextlib.closing(Prometheus(server.url, timeout_s=0.4)) as client:
        yield client


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (answering(b"<html>login</html>"), "is not JSON: <html>login"),
        (answering(b"{}", status=b"401 Unauthorized"), "is no Prometheus: it answered 401"),
        (answering(b'{"status":"error","error":"no"}'), "is no Prometheus"),
        (answering(says([])), "answered unlike Prometheus"),
        (answering(says(None)), "answered unlike Prometheus"),
        (servers.hang, "was not answered completely within 0.4 s"),
        (servers.drip(servers.HEAD + b"Content-Length: 1000\r\n\r\n"), "was not answered completely within 0.4 s"),
        (servers.garbage, "failed"),
        (servers.hang_up, "failed"),
    ],
    ids=["page", "401", "error", "list", "nothing", "hang", "drip", "garbage", "hang-up"],
)
def test_a_prometheus_that_answers_badly_is_the_targets_fault(handler: servers.Handler, words: str) -> None:
    with prometheus(handler) as client, pytest.raises(TargetError, match=words) as caught:
        client.targets()

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["now", "targets", "rules", "alerts", "alertmanagers", "sending", "kinds"])
def test_no_question_breaks_on_strange_data(name: str) -> None:
    strange = [
        *([1], {"x": 1}, "text", {"groups": [{}]}, {"activeTargets": [{"labels": 1}]}),
        *({"yaml": "["}, {"yaml": "[" * 2000}, {"yaml": "alerting: {alert_relabel_configs: [{regex: '('}]}"}),
        *({"alerts": [{"labels": "text", "state": "x"}]}, {"activeAlertmanagers": [{"url": "http://a:b"}]}),
    ]
    with prometheus(answering(*map(says, strange))) as client:
        for _ in strange:
            with pytest.raises(TargetError):
                getattr(client, name)()


def test_an_expression_that_cant_be_read_is_a_fact() -> None:
    rule = {"type": "alerting", "name": "A", "query": "???", "duration": 0, "health": "ok"}
    rule["lastEvaluation"] = "2026-11-25T15:46:42.773536781+01:00"
    with prometheus(answering(says({"groups": [{"name": "g", "interval": 1, "rules": [rule]}]}))) as client:
        (found,) = client.rules()

    assert found.meanings == ()
    assert "no PromQL at character 1" in found.unread
    assert found.evaluated_at == pytest.approx(1795618002.773536, abs=0.001)


@contextlib.contextmanager
def alertmanager(handler: servers.Handler) -> Iterator[Alertmanager]:
    with servers.serve(handler) as server, contextlib.closing(Alertmanager(server.url)) as client:
        yield client


def test_an_alertmanager_that_answers_badly_is_the_targets_fault() -> None:
    bodies = (b"[]", b"{}", b'{"config":{"original":"["}}', b'{"config":{"original":"text"}}')
    with alertmanager(answering(*bodies)) as client:
        for _ in bodies:
            with pytest.raises(TargetError, match="unlike Alertmanager"):
                client.routing()
    with alertmanager(answering(b"no", status=b"400 Bad Request")) as client:
        with pytest.raises(TargetError, match="refused an alert with 400: no"):
            client.fire({"alertname": "x"}, "test", 1.0)
        with pytest.raises(TargetError, match="is no Alertmanager"):
            client.silences()


def test_an_arrival_is_waited_for_until_its_time_is_up() -> None:
    with servers.serve(answering(b"nothing here")) as server:
        missed = await_arrival(server.url, "word", time.monotonic(), 0.3)
        found = await_arrival(server.url, "here", time.monotonic(), 0.3)

    assert missed.after_s is None
    assert missed.looks > 1
    assert found.after_s is not None
    assert found.after_s < 0.3


def test_a_place_has_its_port() -> None:
    assert place("https://a.example/x") == "a.example:443"
    assert place("http://a.example:9093") == "a.example:9093"


def table(**keys: Any) -> dict[str, Any]:
    alerts = {subject: {"name": subject, "metrics": ["m"]} for subject in THRESHOLDS}
    plain = {"prometheus": "http://p", "alertmanager": "http://a", "synthetic": False, "jobs": {"x": 1}}
    return {**plain, "alerts": alerts, "traffic": {"path": "/"}, "moves": ["m"], **keys}


def test_the_playbooks_thresholds_are_all_asked_for() -> None:
    monitoring = Monitoring.model_validate(table())

    assert monitoring.bound("error_rate") == (">", 0.001, "default: monitoring.alerts.error_rate.threshold")
    assert monitoring.quantile("p95") == 0.95
    fewer = {k: v for k, v in table()["alerts"].items() if k != "cpu"}
    with pytest.raises(ValidationError, match="alerts has none for cpu"):
        Monitoring.model_validate(table(alerts=fewer))
    assert Monitoring.model_validate(table(alerts=fewer, without={"cpu": "the platform's team watches it"}))


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"synthetic": True}, "received must say where"),
        ({"without": {"cpu": "no"}}, "without names 'cpu'"),
        ({"token": "abc"}, "name of an environment variable"),
        ({"jobs": {}}, "at least 1"),
        (
            {"alerts": {**table()["alerts"], "disk": {"name": "D", "metrics": ["d"]}}},
            "needs operator and threshold",
        ),
        ({"traffic": {"path": "x"}}, "must begin with a slash"),
    ],
)
def test_impossible_settings_are_refused(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Monitoring.model_validate(table(**keys))
