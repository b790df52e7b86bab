"""Phase, gate and outcome columns for pytest-html's session log."""

from __future__ import annotations

from html import escape
from typing import Any

import pytest

_COLUMNS = ("Phase", "Gate", "Outcome")


class SessionHtml:
    """Hooks of pytest-html; registered only where it is installed."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_report_title(self, report: Any) -> None:
        """Say what the page is: the log of one session, not the verdict."""
        report.title = "Test log of the last session"

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_header(self, cells: list[str]) -> None:
        """Add the columns after pytest-html's own result."""
        cells[1:1] = [f'<th class="sortable" data-column-type="{name.lower()}">{name}</th>' for name in _COLUMNS]

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_row(self, report: Any, cells: list[str]) -> None:
        """Fill the columns from what the gate's report carries; pytest-html does not escape."""
        found = dict(getattr(report, "user_properties", ()))
        cells[1:1] = [f"<td>{escape(str(found.get(name.lower(), '')))}</td>" for name in _COLUMNS]
