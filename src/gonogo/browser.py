"""Makes Playwright's Chromium look at the target as the plan says: its names, its certificate authority.

Verification is never switched off: an authority of the plan goes into a certificate store of the
browser's own, and names are mapped to the addresses that the plan's resolver gives.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gonogo.errors import GonogoError, ToolError
from gonogo.keys import TARGETS

if TYPE_CHECKING:
    from gonogo.target import Target
    from gonogo.targets import Targets

FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",  # a proxy of the environment could answer in the target's place, or out of its cache
)
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")


class BrowserFixtures:
    """Overrides of pytest-playwright's fixtures; registered after it, so that they win."""

    @pytest.fixture(scope="session")
    def browser_type_launch_args(
        self,
        browser_type_launch_args: dict[str, Any],
        browser_name: str,
        request: pytest.FixtureRequest,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> dict[str, Any]:
        """Launch arguments with the plan's names and trust, for gates that use ``page``."""
        if TARGETS not in request.config.stash or browser_name != "chromium":
            return browser_type_launch_args
        targets = _reachable(request.config.stash[TARGETS])
        given = dict(browser_type_launch_args)
        given.setdefault("executable_path", find_chromium())
        given["args"] = [*given.get("args", []), *FLAGS, *_sandbox(), f"--host-resolver-rules={_rules(targets)}"]
        authorities = [target.ca_file for target in targets if target.ca_file]
        if authorities:
            home = trust_store(authorities, tmp_path_factory.mktemp("browser-home"))
            given["env"] = {**os.environ, **given.get("env", {}), "HOME": str(home)}
        return given

    @pytest.fixture(scope="session")
    def browser_context_args(self, browser_context_args: dict[str, Any]) -> dict[str, Any]:
        """A fixed language, so that texts and numbers do not depend on the machine."""
        return {"locale": "en-US", **browser_context_args}


def find_chromium() -> str:
    """Path of the Chromium to use: ``$GONOGO_CHROMIUM``, or the first one on PATH.

    Raises:
        ToolError: there is none; says what to install.
    """
    named = os.environ.get("GONOGO_CHROMIUM")
    found = named or next((path for name in _NAMES if (path := shutil.which(name))), None)
    if not found or not Path(found).exists():
        raise ToolError(
            f"no Chromium found ({named or 'none on PATH'}); run scripts/setup, install the package chromium, or "
            f"name one in GONOGO_CHROMIUM"
        )
    return found


def trust_store(ca_files: Sequence[Path], home: Path) -> Path:
    """Make a home folder whose certificate store trusts these authorities, as Chromium reads it on Linux.

    Raises:
        ToolError: ``certutil`` is missing or refuses the file.
    """
    certutil = shutil.which("certutil")
    if certutil is None:
        raise ToolError("certutil is missing, so the browser can't be told to trust ca_file; install libnss3-tools")
    store = home / ".pki" / "nssdb"
    store.mkdir(parents=True, exist_ok=True)
    database = f"sql:{store}"
    added = [
        [certutil, "-A", "-d", database, "-t", "C,,", "-n", f"plan-{number}", "-i", str(ca_file)]
        for number, ca_file in enumerate(ca_files)
    ]
    for command in ([certutil, "-N", "-d", database, "--empty-password"], *added):
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
        if done.returncode:
            raise ToolError(f"certutil can't put {command[-1]} into the browser's store: {done.stderr.strip()}")
    return home


def _reachable(targets: Targets) -> list[Target]:
    """What this session's gates look at: one browser serves the target and its companion.

    Raises:
        GonogoError: none of them is there; one alone that is missing concerns its own gates only.
    """
    found: list[Target] = []
    failed: GonogoError | None = None
    for on in targets.companions():
        try:
            target = targets.get(on)
            _rules([target])
        except GonogoError as error:
            failed = error
        else:
            found.append(target)
    if not found and failed:
        raise failed
    return found


def _rules(targets: Sequence[Target]) -> str:
    """Each target's name goes where the plan's resolver says; no other name leads anywhere outside."""
    rules, addresses = [], []
    for target in targets:
        address = target.connect_to(target.host, target.port)[0]
        addresses.append(f"[{address}]" if ":" in address else address)
        rules.append(f"MAP {target.host} {addresses[-1]}")
    if any(target.resolver for target in targets):
        rules += ["MAP * ~NOTFOUND", *(f"EXCLUDE {address}" for address in addresses)]
    return ", ".join(dict.fromkeys(rules))


def _sandbox() -> tuple[str, ...]:
    return ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
