"""Rules that look right and are not, rules that look odd and are right, and how they are asked for."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import servers
from gate_runs import ROOT
from gonogo.alertmeaning import meanings, reads
from gonogo.alertrouting import Reached, Routing, RoutingError, relabelled
from gonogo.errors import TargetError, ToolError
from gonogo.jsonapi import JsonService, place
from gonogo.probes.monitoring import RuleFacts, Sample, ScrapeFacts, Sending, SeriesKinds
from gonogo.promql import PromqlError
from gonogo.tables.monitoring import THRESHOLDS, Monitoring

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra import alert_rules, alerts
from tests.infra.alert_rules import Seen


@pytest.mark.parametrize(
    ("expression", "through"),
    [
        ("cpu < 0.5 > 0.7", ("cpu < 0.5",)),
        ("(cpu unless on() vector(1)) > 0.7", ("(cpu unless on() vector(1))",)),
        ("clamp_max(cpu, 0.5) > 0.7", ("clamp_max",)),
        ("clamp_min(used / size, 0) > 0.7", ()),
        ("count(cpu) > 0.7", ("count",)),
        ("min(cpu) > 0.7", ("min",)),
        ("min by (instance) (cpu) > 0.7", ()),
        ("min without (cpu) (cpu) > 0.7", ()),
        ("0.7 < min(cpu)", ("min",)),
        ("max(up) == 0", ("max",)),
        ("sum(up) == 0", ("sum",)),
        ("sum(rate(requests_total[5m])) == 0", ()),
        ("1 - max(free / size) > 0.8", ("max",)),
        ("max(1 - free / size) > 0.8", ()),
        ("sum(used) / max(most) > 0.8", ()),
        ("-1 * max(cpu) < -0.7", ()),
        ("max(cpu) / -1 < -0.7", ()),
        ("-min(cpu) < -0.7", ("min",)),
        ("cpu > scalar(limit)", ("scalar",)),
        ("sum(rate(e[5m])) / sum(increase(r[5m])) > 0.1", ("sum(rate(e[5m])) / sum(increase(r[5m]))",)),
        ("increase(e[5m]) > 0.1 * increase(r[1h])", ("increase(e[5m]) > 0.1 * increase(r[1h])",)),
        ("sum(increase(e[5m])) / sum(increase(r[5m])) > 0.1", ()),
        ("(sum(rate(e[5m])) or vector(0)) / clamp_min(sum(rate(r[5m])), 1) > 0.1", ()),
        ("absent(up == 1)", ("absent", "up == 1")),
        ("histogram_quantile(0.95, sum by (le) (rate(h_bucket[5m]))) > 0.5", ()),
    ],
)
def test_what_bends_a_quantity_is_told(expression: str, through: tuple[str, ...]) -> None:
    assert meanings(expression)[0].through == through


@pytest.mark.parametrize(
    ("expression", "operator", "threshold", "ratio"),
    [
        ("max by (instance) (100 * used / size) > 80", ">", 0.8, True),
        ("avg_over_time((100 * used / size)[5m:1m]) > 80", ">", 0.8, True),
        ('label_replace(used / size, "a", "b", "c", "d") > 0.8', ">", 0.8, True),
        ("max(1 - free / size) > 0.8", "<", 0.2, True),
        ("sum(used / size) > 0.8", ">", 0.8, False),
        ("sum(a + 1) > 5", ">", 5.0, False),
        ("absent_over_time(up[5m])", "==", 1.0, False),
    ],
)
def test_factors_are_found_within_aggregations(
    expression: str, operator: str, threshold: float, ratio: bool
) -> None:
    (found,) = meanings(expression)

    assert (found.operator, found.ratio) == (operator, ratio)
    assert found.threshold == pytest.approx(threshold)


def test_a_number_with_the_type_of_a_series_must_find_its_partner() -> None:
    assert meanings("cpu > vector(0.7)")[0].value == "cpu >= bool vector(0.7)"
    assert meanings("cpu > on () group_left () vector(0.7)")[0].value.endswith(
        "bool on () group_left () vector(0.7)"
    )


def test_conditions_hold_for_each_branch() -> None:
    found = meanings("(a > 1 or b > 2) and on (i) c unless d")

    assert [(one.threshold, one.narrowed) for one in found] == [
        (1.0, "and on (i) c unless d"),
        (2.0, found[0].narrowed),
    ]


def test_rates_and_what_is_none_are_told_apart() -> None:
    assert meanings("max_over_time(x_total[5m]) > 5")[0].instant == ("x_total",)
    assert meanings("rate(x_total[5m:1m]) > 5")[0].instant == ()
    assert meanings("rate(cpu[5m]) > 0.7")[0].rated == ("cpu",)
    assert meanings('seconds{quantile="0.95"} > 0.5')[0].quantiles == (0.95,)
    kinds = SeriesKinds({"cpu": frozenset({"gauge"}), "odd_total": frozenset({"gauge"})})
    assert kinds.gauge("cpu")
    assert [kinds.grows(name) for name in ("unknown_total", "odd_total", "cpu")] == [True, False, False]


def test_series_are_asked_for_with_their_conditions() -> None:
    (found,) = meanings("sum(rate(r{code=~'5..',job='x'}[5m])) / sum(rate(r{job='x'}[5m])) > 0.001")

    assert reads(found, "r{code=~'5..'}") == ['r{code=~"5..",job="x"}']
    assert len(reads(found, "r")) == 2
    assert reads(found, "r{code=~'4..'}") == reads(found, "s") == []
    for bad in ("two words", "r[5m]", "sum(r)"):
        with pytest.raises(PromqlError):
            reads(found, bad)


def test_an_alert_of_our_own_waits_for_no_group() -> None:
    def apart(*group_by: str, asks: str = "severity") -> dict[str, str]:
        below = {"matchers": [f'{asks}="x"'], "receiver": "other"}
        routing = Routing({"route": {"receiver": "team", "group_by": list(group_by), "routes": [below]}})
        return routing.apart({"alertname": "Own", "namespace": "orders"}, "word")

    assert apart("namespace")["namespace"] == "word"
    assert apart("severity", "job") == {"alertname": "Own", "namespace": "orders", "job": "word"}
    for one in (apart("alertname", "namespace"), apart("..."), apart("namespace", asks="namespace"), apart()):
        assert one == {"alertname": "Own", "namespace": "orders"}


def test_what_is_on_both_sides_of_an_inhibition_is_not_inhibited_by_its_like() -> None:
    rule = {"source_matchers": ['severity="critical"'], "target_matchers": ['severity=~"critical|warning"']}
    routing = Routing({"inhibit_rules": [rule]})
    active = [{"alertname": "Other", "severity": "critical"}]

    assert routing.inhibitors({"alertname": "A", "severity": "critical"}, active) == []
    assert routing.inhibitors({"alertname": "A", "severity": "warning"}, active) == ["Other"]


def test_malformed_configurations_are_told() -> None:
    for config in ({"route": {"routes": "x"}}, {"route": {"routes": [None]}}):
        with pytest.raises(RoutingError, match="routes is no list of mappings"):
            Routing(config).reached({})
    with pytest.raises(RoutingError, match="receivers is no list"):
        Routing({"receivers": ["x"]}).ways("x")
    assert Routing({"route": {"receiver": "a", "group_by": ["b"]}}).reached({}) == [Reached("a", (), ("b",))]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"action": "drop", "source_labels": ["a", "b"], "regex": "1;2"}, None),
        ({"action": "drop", "source_labels": ["a"], "regex": "2"}, {"a": "1", "b": "2"}),
        ({"action": "keep", "source_labels": ["a"], "regex": "2"}, None),
        ({"action": "labeldrop", "regex": "a|c"}, {"b": "2"}),
        ({"action": "labelkeep", "regex": "a"}, {"a": "1"}),
        ({"action": "labelmap", "regex": "(a)", "replacement": "x_$1"}, {"a": "1", "b": "2", "x_a": "1"}),
        ({"source_labels": ["b"], "target_label": "c", "replacement": "n${1}", "regex": "(.)"}, {"c": "n2"}),
        ({"source_labels": ["none"], "target_label": "a"}, {"b": "2"}),
        ({"action": "uppercase", "source_labels": ["a"], "target_label": "b"}, {"a": "1", "b": "1"}),
        ({"action": "dropequal", "source_labels": ["a"], "target_label": "b"}, {"a": "1", "b": "2"}),
    ],
)
def test_relabelling_is_applied_as_prometheus_does(step: dict[str, Any], expected: dict[str, str] | None) -> None:
    found = relabelled({"a": "1", "b": "2"}, [step])

    assert found == expected or (found is not None and expected is not None and found.items() >= expected.items())
    assert (found is None) == (expected is None)
    with pytest.raises(RoutingError, match="a step of alert_relabel_configs"):
        relabelled({}, [{"regex": "("}])


@contextlib.contextmanager
def recording() -> Iterator[tuple[str, list[str]]]:
    heads: list[str] = []

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        heads.append(connection.recv(65536).decode())
        connection.sendall(servers.HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}")

    with servers.serve(handler) as server:
        yield server.url, heads


def ask(url: str, path: str = "", token: str | None = None, **params: str) -> None:
    with contextlib.closing(JsonService(url, token=token)) as service:
        service.get(path, params)


def test_addresses_are_asked_as_written_and_secrets_stay_out_of_messages() -> None:
    with recording() as (url, heads):
        ask(f"{url}/inbox/?key=abc")
        ask(f"{url}/prometheus/?key=abc", "/api", query="a b")
        ask(url.replace("//", "//me:s3%40cret@"), "/api")
        ask(url, "/api", token="t0ken\n")
    assert [head.split(" ")[1] for head in heads[:2]] == ["/inbox/?key=abc", "/prometheus/api?key=abc&query=a+b"]
    assert "Authorization: Basic bWU6czNAY3JldA==" in heads[2]
    assert "Authorization: Bearer t0ken\r\n" in heads[3]
    with pytest.raises(TargetError) as caught:
        ask("http://me:s3cret@127.0.0.1:9/x?key=abc")
    assert "http://127.0.0.1:9/x failed" in str(caught.value)
    for token in ("t0\nken", "t0kén"):
        with pytest.raises(ToolError, match="no header may hold") as refused:
            ask("http://127.0.0.1:9", token=token)
        assert "t0" not in str(refused.value)


@pytest.mark.parametrize("url", ["prom:9090", "ftp://x", "http://", "http://a:b", "http://[::1", "http://u:p/w@h"])
def test_what_is_no_address_is_the_plans_fault(url: str) -> None:
    for use in (JsonService, place):
        with pytest.raises(ToolError, match="is no address of a service") as caught:
            use(url)
        assert "p/w" not in str(caught.value)


CPU = "cpu{job='x'} > 0.7"


def rule(expression: str = CPU, *, for_s: float = 60.0, **labels: str) -> RuleFacts:
    read = tuple(meanings(expression))
    return RuleFacts("cpu", "g", expression, read, "", for_s, labels, "ok", "", 100.0, 15.0)


def seen(*rules: RuleFacts, relabel: Any = (), **external: str) -> Seen:
    kinds, sending = SeriesKinds({"cpu": frozenset({"gauge"})}), Sending(external, relabel)
    targets = [ScrapeFacts("x", f"{name}:1", "up", "", 99.0, 15.0) for name in ("a", "b")]
    return Seen(100.0, targets, list(rules), [], [], kinds, sending)


def plan(cpu: dict[str, Any] | None = None, **keys: Any) -> Monitoring:
    subjects = {subject: {"name": subject, "metrics": ["m"]} for subject in THRESHOLDS}
    subjects["cpu"] = {"name": "cpu", "metrics": ["cpu"], **(cpu or {})}
    plain = {"prometheus": "http://p", "alertmanager": "http://a", "synthetic": False, "jobs": {"x": 2}}
    return Monitoring.model_validate(
        {**plain, "alerts": subjects, "traffic": {"path": "/"}, "moves": ["m"], **keys}
    )


def test_the_best_of_several_rules_is_the_one_in_time() -> None:
    slow, quick = rule(for_s=3600.0, severity="warning"), rule(severity="critical")

    for order in ((slow, quick), (quick, slow)):
        judged = alert_rules.best(plan(), "cpu", seen(*order))
        assert judged is not None
        assert judged.rule is quick


def test_what_is_bent_is_a_difference_unless_it_is_meant() -> None:
    def otherwise(expression: str, **cpu: Any) -> str:
        judged = alert_rules.best(plan(cpu), "cpu", seen(rule(expression)))
        assert judged is not None
        return "; ".join(judged.otherwise)

    assert otherwise(CPU) == ""
    assert "goes through count" in otherwise("count(cpu) > 0.7")
    assert otherwise("count(cpu) > 0.7", through=["count"]) == ""
    assert "rate of cpu, which is a gauge" in otherwise("rate(cpu[1m]) > 0.7")
    assert "does not read cpu{job='y'}" in otherwise(CPU, metrics=["cpu{job='y'}"])
    assert otherwise(CPU, metrics=['cpu{job="x"}']) == ""


def test_an_alert_may_look_at_the_series_of_this_target_alone() -> None:
    facts = seen(rule())
    facts.watched["cpu"] = {("x", "a:1")}
    assert alert_rules.overlooked(facts, "cpu") == ["it does not look at b:1 of job x"]
    facts.expected["cpu"] = {("x", "a:1")}
    assert alert_rules.overlooked(facts, "cpu") == []


def test_labels_are_those_that_arrive() -> None:
    drop = {"action": "drop", "source_labels": ["process"], "regex": "b"}
    facts = seen(rule(severity="page"), relabel=[drop], cluster="prod")
    facts.values["cpu"] = [Sample({"__name__": "cpu", "process": one}, 0.1) for one in ("a", "b")]

    full = {"cluster": "prod", "process": "a", "alertname": "cpu", "severity": "page"}
    assert alert_rules.sent_labels(plan(), "cpu", facts) == [full, None]


def test_a_planned_alert_without_the_label_of_ours_is_ours() -> None:
    wanted = plan(only={"cluster": "prod"})

    assert alerts.ours(wanted, {"alertname": "cpu"})
    assert alerts.ours(wanted, {"alertname": "Other", "cluster": "prod"})
    assert not alerts.ours(wanted, {"alertname": "cpu", "cluster": "test"})
    assert not alerts.ours(wanted, {"alertname": "Other"})


@pytest.mark.parametrize("metric", ["two words", "rate(x[5m])", "x{", ""])
def test_a_metric_that_is_none_is_refused_with_the_plan(metric: str) -> None:
    with pytest.raises(ValueError, match=r"metrics"):
        plan({"metrics": [metric]})
