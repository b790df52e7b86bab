"""``[targets.NAME.monitoring]``: who watches the service, and of what it must warn."""

from __future__ import annotations

from gonogo.tables.base import Table


class Monitoring(Table):
    """Prometheus, Alertmanager, and the alerts that must be there."""
