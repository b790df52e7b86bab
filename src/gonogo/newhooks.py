"""Hooks that a conftest.py or another plugin can implement."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

import pytest


@pytest.hookspec(firstresult=True)
def pytest_gonogo_provide_target(
    config: pytest.Config, target: str, faults: tuple[str, ...]
) -> AbstractContextManager[Mapping[str, str]] | None:
    """Bring up a target that has no address in launch.toml.

    The context manager is entered when the first selected gate needs the target, and left at the end of
    the session. It yields ``base_url`` and, as far as they apply, ``resolver``, ``ca_file``,
    ``database_url`` and ``logs`` (a folder that is kept as evidence). It raises
    :class:`gonogo.ToolError` if the target can't come up. ``None`` leaves the target to others.
    """
