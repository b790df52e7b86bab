"""Faults of processes, logs and services around the application."""

from __future__ import annotations

from fleetboard.faults.fault import Fault

FAULTS: tuple[Fault, ...] = (
    Fault("process-restarting", ("process.running",), "instance b ends and is started again, over and over"),
    Fault("process-gone", ("process.running",), "instance b was killed; its pid file stayed behind"),
    Fault("process-memory", ("process.running",), "instance b holds on to 200 MB"),
    Fault("process-busy", ("process.running",), "instance b keeps a processor busy"),
    Fault("log-errors", ("logs.clean",), "both instances log an error, with an address and a token in it"),
    Fault(
        "log-errors-rotated", ("logs.clean",), "the same, but the log was rotated since: the line is in app-*.log.1"
    ),
    Fault("log-silent", ("logs.clean",), "the instances log nothing at all"),
    Fault("redis-down", ("services.reachable",), "the cache does not listen"),
    Fault("redis-other-password", ("services.reachable",), "the cache refuses the application's password"),
    Fault("redis-read-only", ("services.reachable",), "the cache is a replica that takes no writes"),
)
