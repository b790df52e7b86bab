"""Entry point of the pytest plugin: options, markers, registration. Nothing heavy is imported here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gonogo.errors import PlanError
from gonogo.model import KINDS, PHASES, GateInfo
from gonogo.options import ARMABLE, reports_folder
from gonogo.plan import LAUNCH_FILE, PLAYBOOK

if TYPE_CHECKING:
    from gonogo.loading import LoadedPlan

_PARTS = ("gonogo-collection", "gonogo-order", "gonogo-session")
"""Plugins that this one registers, and that no gate may run without."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Implement https://docs.pytest.org/en/stable/reference/reference.html#pytest_addhooks."""
    from gonogo import newhooks  # noqa: PLC0415

    pluginmanager.add_hookspecs(newhooks)


# An option whose value is a path must be written with "=": before plugins are loaded, pytest takes a path that
# stands alone for an argument and looks for its settings there.
# House rule for help texts: capital first, no full stop on a single phrase.
def pytest_addoption(parser: pytest.Parser) -> None:
    """Implement https://docs.pytest.org/en/stable/reference/reference.html#pytest_addoption."""
    group = parser.getgroup("gonogo", "launch gates")
    group.addoption(
        "--gonogo-target",
        metavar="NAME",
        default=os.environ.get("GONOGO_TARGET"),
        help="Target of launch.toml to verify (default: $GONOGO_TARGET, else rehearsal)",
    )
    group.addoption(
        "--gonogo-fault",
        metavar="NAME[,NAME]",
        action="append",
        default=[],
        help="Give the embedded target these faults, to see gates turn red",
    )
    group.addoption(
        "--gonogo-keep-going",
        action="store_true",
        help="Run the gates of later phases although an earlier phase is not GO",
    )
    group.addoption(
        "--gonogo-arm",
        metavar="WHAT",
        action="append",
        default=[],
        choices=ARMABLE,
        help="Really do it to a production target",
    )
    group.addoption(
        "--gonogo-reports",
        metavar="DIR",
        type=Path,
        help="Folder for the reports and the ledger, written as --gonogo-reports=DIR (default: reports/)",
    )
    group.addoption(
        "--gonogo-launch-file",
        metavar="FILE",
        help="Launch file to use instead of launch.toml, written as --gonogo-launch-file=FILE",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Have pytest-html write the session's log beside the reports, where there is a plan."""
    planned = any((config.rootpath / name).exists() for name in (PLAYBOOK, LAUNCH_FILE))
    if planned and getattr(config.option, "htmlpath", "") is None and not config.option.collectonly:
        config.option.htmlpath = str(reports_folder(config) / "session.html")
        config.option.self_contained_html = True


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Implement https://docs.pytest.org/en/stable/reference/reference.html#pytest_configure."""
    config.addinivalue_line("markers", "gate(id): this test is the gate with that id")
    for phase in PHASES:
        config.addinivalue_line("markers", f"{phase}: gates that the launch phase {phase} asks for")
    for kind in KINDS:
        config.addinivalue_line("markers", f"{kind}: gates of this kind (folder tests/{kind})")
    config.addinivalue_line("markers", "destructive: gates that change the target")

    for part in _PARTS:
        if config.pluginmanager.is_blocked(part):
            raise pytest.UsageError(f"-p no:{part} would let gates run and nobody judge them; leave it out")

    from gonogo.collection import GateCollection, GateOrder  # noqa: PLC0415 - needs the markers above

    try:
        collection = GateCollection(config, partial(_start, config))
    except PlanError as error:
        raise pytest.UsageError(str(error)) from None
    config.pluginmanager.register(collection, "gonogo-collection")
    config.pluginmanager.register(GateOrder(collection), "gonogo-order")
    if config.pluginmanager.has_plugin("playwright"):
        from gonogo.browser import BrowserFixtures  # noqa: PLC0415

        config.pluginmanager.register(BrowserFixtures(), "gonogo-browser")
    if config.pluginmanager.has_plugin("html"):
        from gonogo.session_html import SessionHtml  # noqa: PLC0415

        config.pluginmanager.register(SessionHtml(), "gonogo-session-html")


def _start(config: pytest.Config, loaded: LoadedPlan, gates: Mapping[str, GateInfo]) -> None:
    """Register the one object that holds a running session's state; only when gates are in play."""
    from gonogo.session import GateSession  # noqa: PLC0415

    config.pluginmanager.register(GateSession(config, loaded, gates), "gonogo-session")


pytest_plugins = ("gonogo.fixtures",)
