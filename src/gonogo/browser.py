"""Makes Playwright's browser look at the target as the plan says: its names, its certificate authority.

Verification is never switched off: an authority of the plan goes into a certificate store of the
browser's own, and names are mapped to the addresses that the plan's resolver gives. What a gate's browser
does is recorded, and kept if the gate does not pass.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gonogo.errors import GonogoError, ToolError
from gonogo.fixtures import EvidenceKeeper
from gonogo.keys import ASK, OUTCOME, REDACT, TARGETS
from gonogo.model import Outcome

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, BrowserType

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
        if TARGETS not in request.config.stash:
            return browser_type_launch_args
        targets = _reachable(request.config.stash[TARGETS])
        if browser_name != "chromium":
            refuse_unfit(request.getfixturevalue("browser_type"), targets)
            return browser_type_launch_args
        given = dict(browser_type_launch_args)
        given.setdefault("executable_path", find_chromium())
        given["args"] = [
            *given.get("args", []),
            *FLAGS,
            *sandbox(),
            f"--host-resolver-rules={name_rules(targets)}",
        ]
        authorities = [target.ca_file for target in targets if target.ca_file]
        if authorities:
            home = trust_store(authorities, tmp_path_factory.mktemp("browser-home"))
            given["env"] = {**os.environ, **given.get("env", {}), "HOME": str(home)}
        return given

    @pytest.fixture(scope="session")
    def browser_context_args(self, browser_context_args: dict[str, Any]) -> dict[str, Any]:
        """A fixed language, so that texts and numbers do not depend on the machine."""
        return {"locale": "en-US", **browser_context_args}

    @pytest.fixture
    def new_context(
        self, new_context: Callable[..., BrowserContext], request: pytest.FixtureRequest
    ) -> Generator[Callable[..., BrowserContext]]:
        """Contexts that are recorded, for gates; ``page`` and ``context`` come from here as well."""
        stash = request.config.stash
        ask = request.node.stash.get(ASK, None)
        if ask is None or TARGETS not in stash:
            yield new_context
            return
        from gonogo.recording import Recording  # noqa: PLC0415 - brings Playwright

        target = stash[TARGETS].get(ask.on)
        mask = target.settings("smoke").mask if target.has("smoke") else ()
        traced = request.config.getoption("--tracing") == "off"  # else pytest-playwright traces
        recording = Recording(stash[REDACT].text, mask, traced=traced)

        def open_context(**arguments: Any) -> BrowserContext:
            context = new_context(**arguments)
            recording.watch(context)
            return context

        yield open_context
        found = request.node.stash.get(OUTCOME, None)
        if found is not None and found[0] is Outcome.PASS:
            recording.drop()
        else:
            recording.keep(EvidenceKeeper(request.node).bytes)


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


def refuse_unfit(browser_type: BrowserType, targets: Sequence[Target]) -> None:
    """Say why Firefox or WebKit can't look at these targets, before it shows a sentence of its own.

    Raises:
        ToolError: it is not installed, or would not find a target or not trust it.
    """
    name = browser_type.name
    for target in targets:
        if target.ca_file:
            raise ToolError(
                f"{name} can't be told to trust {target.ca_file.name}, which launch.toml names as ca_file of "
                f"{target.name}, and certificates are always verified; use --browser chromium, or a target whose "
                f"authority this machine trusts"
            )
        if target.maps_names:
            raise ToolError(
                f"{name} can't be told where {target.host} is, for which launch.toml has a resolver or address of "
                f"its own; use --browser chromium, or a target whose name this machine resolves"
            )
    if not Path(browser_type.executable_path).exists():
        raise ToolError(
            f"{name} is not installed for Playwright; run `playwright install {name}`, or use --browser chromium"
        )


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
            name_rules([target])
        except GonogoError as error:
            failed = error
        else:
            found.append(target)
    if not found and failed:
        raise failed
    return found


def name_rules(targets: Sequence[Target]) -> str:
    """Rules for Chromium: each target's name goes where the plan's resolver says, and no other leads anywhere."""
    rules, addresses = [], []
    for target in targets:
        address = target.connect_to(target.host, target.port)[0]
        addresses.append(f"[{address}]" if ":" in address else address)
        rules.append(f"MAP {target.host} {addresses[-1]}")
    if any(target.resolver for target in targets):
        rules += ["MAP * ~NOTFOUND", *(f"EXCLUDE {address}" for address in addresses)]
    return ", ".join(dict.fromkeys(rules))


def sandbox() -> tuple[str, ...]:
    """Flags without which Chromium does not start as root."""
    return ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
