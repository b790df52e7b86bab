"""Faults of the monitoring."""

from __future__ import annotations

from fleetboard.faults.fault import Fault

_ALERTS = ("monitoring.alerts",)
_BOTH = ("monitoring.alerts", "monitoring.quiet")

FAULTS: tuple[Fault, ...] = (
    Fault("alert-missing", _BOTH, "Prometheus has no rule FleetCpu"),
    Fault("alert-wrong-threshold", _ALERTS, "FleetErrorRate warns at 1 % of errors instead of 0.1 %"),
    Fault("alert-too-late", _ALERTS, "FleetSlow waits an hour before it warns"),
    Fault("alert-overlooks-instance", _BOTH, "FleetPoolFull looks at one of two instances alone"),
    Fault("alert-never-evaluated", _BOTH, "FleetMemory is evaluated once an hour, and has not been yet"),
    Fault("alert-firing", _BOTH, "an alert is firing: FleetDiskFull"),
    Fault("scrape-target-down", _BOTH, "Prometheus asks for one instance's metrics where nobody answers"),
    Fault("metrics-frozen", _ALERTS, "the metrics of both instances stay as they were when first asked for"),
    Fault("alertmanager-unknown", _ALERTS, "Prometheus sends its alerts to an address where nobody listens"),
    Fault("alert-not-routed", _ALERTS, "Alertmanager routes critical alerts to a receiver that tells nobody"),
    Fault("alert-silenced", _ALERTS, "FleetInstanceDown is silenced for a month"),
    Fault("alert-not-delivered", _ALERTS, "the webhook that alerts are sent to answers 500"),
)
