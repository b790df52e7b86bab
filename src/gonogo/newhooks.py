"""Hooks that a conftest.py or another plugin can implement."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

import pytest


@pytest.hookspec(firstresult=True)
def pytest_gonogo_provide_target(
    config: pytest.Config, target: str, faults: tuple[str, ...], gates: tuple[str, ...]
) -> AbstractContextManager[Mapping[str, str]] | None:
    """Bring up a target that has no address in launch.toml.

    The context manager is entered when the first selected gate needs the target, and left at the end of
    the session. It yields ``base_url`` and, as far as they apply, ``resolver``, ``ca_file``,
    ``database_url``, ``commit`` (of the release that is launched), ``logs`` (a folder that is kept as
    evidence) and ``env.NAME`` (variables for the team's commands). It raises :class:`gonogo.ToolError` if the
    target can't come up. ``None`` leaves the target to others.

    Args:
        config: pytest's configuration.
        target: its name in launch.toml.
        faults: defects it is to be given.
        gates: ids of the gates that this session asks of it, so that it can begin where the session does:
            before the deployment, if that is among them.
    """


@pytest.hookspec(firstresult=True)
def pytest_gonogo_provide_scratch(config: pytest.Config, programs: str) -> AbstractContextManager[str] | None:
    """Start an empty PostgreSQL server for scratch databases, where launch.toml names none.

    The context manager yields the superuser's connection URL, is entered when the first gate needs it and left at
    the end of the session. It raises :class:`gonogo.ToolError` if the server does not come up.

    Args:
        config: pytest's configuration.
        programs: folder with ``postgres`` and ``initdb`` of the version that is needed.
    """
