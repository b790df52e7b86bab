"""The table in which every process says how it is, so that any process can answer for all."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import psycopg

from fleetboard.app.database import Database
from fleetboard.app.metrics import Metrics, ProcessUsage

_HEARTBEAT_S = 1.0
_FORGOTTEN_S = 10.0
"""A process not heard of for so long counts as gone."""

_UPSERT = """
INSERT INTO instances (name, heartbeat_at, connections, messages_sent, requests, errors, latency_buckets,
                       memory_percent, cpu_percent, recent_errors)
VALUES (%(name)s, clock_timestamp(), %(connections)s, %(messages_sent)s, %(requests)s, %(errors)s,
        %(latency_buckets)s::bigint[], %(memory_percent)s, %(cpu_percent)s, %(recent_errors)s::jsonb)
ON CONFLICT (name) DO UPDATE SET
    heartbeat_at = excluded.heartbeat_at, connections = excluded.connections,
    messages_sent = excluded.messages_sent, requests = excluded.requests, errors = excluded.errors,
    latency_buckets = excluded.latency_buckets, memory_percent = excluded.memory_percent,
    cpu_percent = excluded.cpu_percent, recent_errors = excluded.recent_errors
"""

_LOG = logging.getLogger(__name__)


class Instances:
    """This process's row, and everybody's."""

    def __init__(self, name: str, database: Database, metrics: Metrics) -> None:
        self._name = name
        self._database = database
        self._metrics = metrics
        self._usage = ProcessUsage()

    async def publish(self) -> None:
        """Write this process's row now; a failure is logged, and mended by the next heartbeat."""
        row = self._own()
        try:
            await self._database.execute(_UPSERT, {**row, "recent_errors": json.dumps(row["recent_errors"])})
        except (psycopg.Error, OSError) as error:  # the pool's own errors are psycopg's
            _LOG.warning("heartbeat failed: %s", error)

    async def keep_publishing(self) -> None:
        """Write the row every second until cancelled."""
        while True:
            await asyncio.sleep(_HEARTBEAT_S)
            self._usage.sample_cpu()
            await self.publish()

    async def all(self) -> list[dict[str, Any]]:
        """Rows of all living processes; this one's from memory, the others' at most a heartbeat old."""
        others = await self._database.rows(
            "SELECT * FROM instances WHERE name <> %s"
            " AND heartbeat_at > clock_timestamp() - make_interval(secs => %s) ORDER BY name",
            (self._name, _FORGOTTEN_S),
        )
        return sorted([self._own(), *others], key=lambda row: str(row["name"]))

    def _own(self) -> dict[str, Any]:
        return {
            "name": self._name,
            "connections": self._metrics.connections,
            "messages_sent": self._metrics.messages_sent,
            "requests": self._metrics.requests,
            "errors": self._metrics.errors,
            "latency_buckets": list(self._metrics.buckets),
            "memory_percent": self._usage.memory_percent(),
            "cpu_percent": self._usage.cpu_percent,
            "recent_errors": list(self._metrics.recent_errors),
        }
