"""What Prometheus and Alertmanager of the target are told: rules, whom to ask, whom to tell."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

JOB = "fleet"
NOBODY = "127.0.0.1:9"
"""An address where nobody listens (the discard port)."""


@dataclass(frozen=True)
class Alert:
    """One rule; it fires for ``lasts`` after its expression began to hold."""

    name: str
    expression: str
    lasts: str
    severity: str
    says: str


_OWN = f'{{job="{JOB}"}}'
ALERTS = (
    Alert(
        "FleetErrorRate",
        f"sum(rate(fleet_http_errors_total{_OWN}[1m])) / sum(rate(fleet_http_requests_total{_OWN}[1m])) > 0.001",
        "1m",
        "critical",
        "more than 0.1 % of the requests fail",
    ),
    Alert(
        "FleetSlow",
        f"histogram_quantile(0.95, sum by (le) (rate(fleet_http_request_seconds_bucket{_OWN}[1m]))) > 0.5",
        "1m",
        "critical",
        "p95 is above 500 ms",
    ),
    Alert(
        "FleetPoolFull",
        f"100 * fleet_pool_connections_in_use{_OWN} / fleet_pool_connections_max{_OWN} > 80",
        "1m",
        "critical",
        "more than 80 % of the pool's connections are in use",
    ),
    Alert("FleetMemory", f"fleet_memory_ratio{_OWN} > 0.8", "1m", "warning", "memory is above 80 %"),
    Alert("FleetCpu", f"avg_over_time(fleet_cpu_ratio{_OWN}[1m]) > 0.7", "2m", "warning", "CPU is above 70 %"),
    Alert("FleetInstanceDown", f"up{_OWN} == 0", "15s", "critical", "an instance does not answer"),
)
"""One for each threshold of the playbook. Shares are between 0 and 1."""


def prometheus(instances: Mapping[str, str], alertmanager: str, rules: str, faults: Sequence[str]) -> str:
    """Prometheus' configuration; everything is done once a second.

    Args:
        instances: ``host:port`` of each application process.
        alertmanager: its ``host:port``.
        rules: path of the file with the rules.
        faults: of the target.
    """
    scraped = dict(instances)
    if "scrape-target-down" in faults:
        scraped[max(scraped)] = NOBODY
    told = NOBODY if "alertmanager-unknown" in faults else alertmanager
    own = [{"targets": [address], "labels": {"process": name}} for name, address in scraped.items()]
    return _yaml(
        {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [rules],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [told]}]}]},
            "scrape_configs": [{"job_name": JOB, "static_configs": own}],
        }
    )


def rules(faults: Sequence[str]) -> str:
    """The file with the rules."""
    alerts = {alert.name: _rule(alert) for alert in ALERTS}
    late = []
    if "alert-missing" in faults:
        del alerts["FleetCpu"]
    if "alert-wrong-threshold" in faults:
        alerts["FleetErrorRate"]["expr"] = alerts["FleetErrorRate"]["expr"].replace("> 0.001", "> 0.01")
    if "alert-too-late" in faults:
        alerts["FleetSlow"]["for"] = "1h"
    if "alert-overlooks-instance" in faults:
        pool = alerts["FleetPoolFull"]
        pool["expr"] = pool["expr"].replace(_OWN, f'{{job="{JOB}",process="a"}}')
    if "alert-never-evaluated" in faults:
        late.append({"name": "hourly", "interval": "1h", "rules": [alerts.pop("FleetMemory")]})
    if "alert-firing" in faults:
        disk = Alert("FleetDiskFull", f"sum(up{_OWN}) > 0", "0s", "critical", "the disk is full")
        alerts[disk.name] = _rule(disk)
    return _yaml({"groups": [{"name": "fleet", "rules": list(alerts.values())}, *late]})


def alertmanager(webhook: str, faults: Sequence[str]) -> str:
    """Alertmanager's configuration: everything goes to one webhook."""
    critical = "nobody" if "alert-not-routed" in faults else "team"
    return _yaml(
        {
            "route": {
                "receiver": "team",
                "group_by": ["alertname"],
                "group_wait": "0s",
                "group_interval": "1s",
                "repeat_interval": "1h",
                "routes": [{"matchers": ['severity="critical"'], "receiver": critical}],
            },
            "receivers": [{"name": "team", "webhook_configs": [{"url": webhook}]}, {"name": "nobody"}],
        }
    )


def _rule(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expression,
        "for": alert.lasts,
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.says},
    }


def _yaml(value: Any) -> str:
    return json.dumps(value, indent=1)  # each JSON document is YAML as well
