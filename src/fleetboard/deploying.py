"""The command ``deploy``: brings the running target to the newest release, eight ticks long."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from fleetboard import backups, breakage, control, health, migrate
from fleetboard.errors import OperationError
from fleetboard.releases import NEW
from fleetboard.state import State

_PACKAGE = Path(__file__).parent
_LIBRARIES = ("itsdangerous", "jinja2", "psycopg", "psycopg-pool", "starlette", "uvicorn")
_MIN_FREE_BYTES = 50_000_000
_REFUSED_S = 1.0
_OBSERVED = ("/api/health", "/api/fleet/vehicles", "/fleet/dashboard", "/ws/positions")
"""Endpoints that users and monitors can't do without."""


@dataclass(frozen=True)
class Deployment:
    """One deployment."""

    state: State
    faults: tuple[str, ...]
    dry_run: bool


def run(state: State, faults: Sequence[str], *, dry_run: bool) -> int:
    """Deploy the newest release; prints a tick for each part that is done. Returns the exit status.

    Args:
        state: the running target.
        faults: its faults, and those of this command.
        dry_run: check what can be checked, say what would be done, change nothing.

    Raises:
        OperationError: a part failed; those after it were not begun.
        MigrationError: a migration failed.
        psycopg.Error: the database refused something else.
    """
    deployment = Deployment(state, tuple(faults), dry_run)
    for line, part in _PARTS:
        if line == "Tests passed" and "deploy-misses-line" in faults and not dry_run:
            continue
        later = part(deployment)
        print(f"✓ {line}" + (f" (dry run: {later})" if dry_run else ""), flush=True)
    return 1 if "deploy-exits-1" in faults and not dry_run else 0


def _preflight(deployment: Deployment) -> str:
    for name in deployment.state.instances:
        health.status_and_version(deployment.state.instances[name])
    folder = Path(deployment.state.backups)
    free = shutil.disk_usage(folder).free
    if free < _MIN_FREE_BYTES:
        raise OperationError(f"{folder} has {free} bytes left; a deployment needs {_MIN_FREE_BYTES}")
    for number, name in enumerate(migrate.names()):
        if not name.startswith(f"{number:04d}_") or not (migrate.FOLDER / f"{name}.down.sql").is_file():
            raise OperationError(f"migration {name} is out of order, or has no way back")
    return f"{deployment.state.release} runs, {NEW.version} would"


def _backup(deployment: Deployment) -> str:
    state = deployment.state
    if deployment.dry_run:
        if not (Path(state.bin) / "pg_dump").is_file():
            raise OperationError(f"there is no pg_dump in {state.bin}")
        return f"it would go to {state.backups}"
    backups.make(state.database_url, Path(state.bin), Path(state.backups), state.release)
    return ""


def _code(_deployment: Deployment) -> str:
    for path in sorted(_PACKAGE.rglob("*.py")):
        try:
            compile(path.read_bytes(), path.name, "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            raise OperationError(f"{path.name} is not whole: {error}") from error
    return "the code on this machine is whole"


def _dependencies(_deployment: Deployment) -> str:
    for name in _LIBRARIES:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            raise OperationError(f"the library {name} is not installed") from None
    return f"all {len(_LIBRARIES)} are there"


def _tests(deployment: Deployment) -> str:
    from fleetboard.app import process, settings  # noqa: PLC0415 - only a deployment needs the application

    made_up = settings.Settings("test", -1, -1, deployment.state.database_url, (), NEW.version, "", NEW.features)
    app = process.build_app(process.build_state(made_up))
    served = {getattr(route, "path", "") for route in app.routes}
    if missing := sorted(set(_OBSERVED) - served):
        raise OperationError(f"{NEW.version} does not serve {', '.join(missing)}")
    return f"{NEW.version} serves {len(served)} routes"


def _build(_deployment: Deployment) -> str:
    pages = "".join(page.read_text(encoding="utf-8") for page in (_PACKAGE / "templates").glob("*.html"))
    wanted = sorted(set(re.findall(r'"/static/([^"]+)"', pages)))
    missing = [name for name in wanted if not (_PACKAGE / "static" / name).is_file()]
    if missing or not wanted:
        raise OperationError(f"the pages need files that are not there: {', '.join(missing) or 'they name none'}")
    return f"the {len(wanted)} files of the pages are there"


def _application(deployment: Deployment) -> str:
    state = deployment.state
    with psycopg.connect(state.database_url, autocommit=True) as connection:
        if deployment.dry_run and "dry-run-migrates" not in deployment.faults:
            names = [step.name for step in migrate.pending(connection, NEW.last_migration)]
            return f"it would apply {', '.join(names) or 'no migration'} and restart {', '.join(state.instances)}"
        migrate.migrate(connection, NEW.last_migration)
    if deployment.dry_run:
        return "it would restart " + ", ".join(state.instances)
    breakage.break_schema(state.database_url, deployment.faults)
    if "deploy-refuses-connections" in deployment.faults:
        control.ask(state.control, do="restart balancer", away_s=_REFUSED_S)
    for name in _restarted(deployment):
        control.ask(state.control, do="restart", instance=name, release=NEW.version, faults=list(deployment.faults))
    return ""


def _health(deployment: Deployment) -> str:
    instances = deployment.state.instances
    if deployment.dry_run:
        return f"{' and '.join(instances)} answer; their health is looked at after a deployment"
    health.wait_for(instances, dict.fromkeys(_restarted(deployment), NEW.version))
    return ""


def _restarted(deployment: Deployment) -> list[str]:
    names = list(deployment.state.instances)
    return names[:-1] if "deploy-leaves-one-behind" in deployment.faults else names


_PARTS: tuple[tuple[str, Callable[[Deployment], str]], ...] = (
    ("Pre-flight checks passed", _preflight),
    ("Backup created", _backup),
    ("Code updated", _code),
    ("Dependencies installed", _dependencies),
    ("Tests passed", _tests),
    ("Build completed", _build),
    ("Application deployed", _application),
    ("Health check passed", _health),
)
"""The playbook's expected output, and what each line of it claims; a part returns what a dry run says of it."""
