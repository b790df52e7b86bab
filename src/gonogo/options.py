"""Command-line options as values."""

from __future__ import annotations

from pathlib import Path

import pytest

ARMABLE = ("deploy", "announce", "alerts", "load", "ramp")
"""What a launch can be armed for: what gates do to a target only when they are told to."""


def reports_folder(config: pytest.Config) -> Path:
    """Where the reports go."""
    given: Path | None = config.getoption("gonogo_reports")
    return (config.invocation_params.dir / given) if given else config.rootpath / "reports"


def fault_names(config: pytest.Config) -> tuple[str, ...]:
    """Faults asked for on the command line, each once, in order."""
    given = [name.strip() for option in config.getoption("gonogo_fault") for name in option.split(",")]
    return tuple(dict.fromkeys(name for name in given if name))
