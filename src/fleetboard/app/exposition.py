"""The figures of one process for Prometheus, at ``/metrics`` of its inner address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fleetboard.app.database import Database
from fleetboard.app.metrics import BOUNDS_MS, Metrics, ProcessUsage

PATH = "/metrics"
TYPE = "text/plain; version=0.0.4; charset=utf-8"
_EVERY = 4
"""One bucket in four is shown: steps of 1.75 are fine enough for an alert, and cost Prometheus little."""


class Exposition(Collector):
    """Reads the counts of a process each time it is asked."""

    def __init__(self, metrics: Metrics, database: Database | None, faults: Sequence[str] = ()) -> None:
        """Prepare it.

        Args:
            metrics: counts of this process.
            database: its pool is shown; ``None`` for a process without one.
            faults: of the target; ``metrics-frozen`` shows the first answer for ever.
        """
        self._metrics = metrics
        self._database = database
        self._usage = ProcessUsage()
        self._frozen = "metrics-frozen" in faults
        self._kept = b""
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """All figures in the text format of Prometheus."""
        if not (self._frozen and self._kept):
            self._kept = generate_latest(self._registry)
        return self._kept

    def describe(self) -> list[Metric]:
        """Nothing: names are known once the figures are collected."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The figures of this moment; times in seconds, shares between 0 and 1."""
        counts, use = self._metrics, self._usage
        yield CounterMetricFamily("fleet_http_requests", "Requests answered", value=counts.requests)
        yield CounterMetricFamily("fleet_http_errors", "Requests answered with 500 or more", value=counts.errors)
        times = HistogramMetricFamily("fleet_http_request_seconds", "Time to answer")
        times.add_metric([], self._buckets(), sum_value=None)
        yield times
        yield GaugeMetricFamily("fleet_live_connections", "Open WebSockets", value=counts.connections)
        yield GaugeMetricFamily("fleet_memory_ratio", "Share of the machine's", value=use.memory_percent() / 100)
        yield GaugeMetricFamily("fleet_cpu_ratio", "Share of one core", value=use.sample_cpu() / 100)
        if self._database is not None:
            pool = self._database.state()
            yield GaugeMetricFamily("fleet_pool_connections_in_use", "Of the pool", value=pool.in_use)
            yield GaugeMetricFamily("fleet_pool_connections_max", "Of the pool", value=pool.maximum)

    def _buckets(self) -> list[tuple[str, float]]:
        below = list(accumulate(self._metrics.buckets))
        shown = [(f"{BOUNDS_MS[at] / 1000:g}", float(below[at])) for at in range(0, len(BOUNDS_MS), _EVERY)]
        return [*shown, ("+Inf", float(below[-1]))]


def routes(metrics: Metrics, database: Database, faults: Sequence[str]) -> list[Route]:
    """The path; the proxy keeps it from the outer side."""
    exposition = Exposition(metrics, database, faults)

    async def shown(_request: Request) -> Response:
        return Response(exposition.text(), media_type=TYPE)

    return [Route(PATH, shown)]
