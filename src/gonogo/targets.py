"""Brings targets up when the first gate needs them, and down at the end of the session."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gonogo.errors import ToolError
from gonogo.ledger import read_ledger
from gonogo.model import PHASES, Outcome
from gonogo.options import reports_folder
from gonogo.outbox import Outbox
from gonogo.scratching import hide_password, open_scratch, secrets_of
from gonogo.verdict import judge

if TYPE_CHECKING:
    import pytest

    from gonogo.ledger import RunWriter
    from gonogo.loading import LoadedPlan
    from gonogo.scratch import Scratch
    from gonogo.settings import TargetSettings
    from gonogo.target import Target

_LOG_LIMIT = 2_000_000
"""Bytes of each log file that are kept, from its end."""


class Targets:
    """The target and its companions, each resolved once a session; a failure is remembered as well."""

    def __init__(
        self, config: pytest.Config, loaded: LoadedPlan, writer: RunWriter, faults: tuple[str, ...]
    ) -> None:
        self._config = config
        self._loaded = loaded
        self._writer = writer
        self._faults = faults
        self._stack = ExitStack()
        self._known: dict[str | None, Target | Exception] = {}
        self._scratch: dict[str | None, Scratch | Exception] = {}
        self.planned: frozenset[tuple[str | None, str]] = frozenset()
        """Companion and id of each gate that this session runs."""

    def get(self, on: str | None = None) -> Target:
        """The target, or the companion that a box sends its gates to.

        Raises:
            ToolError: launch.toml does not describe it, or it can't be brought up.
        """
        if on not in self._known:
            try:
                self._known[on] = self._bring_up(on)
            except Exception as error:  # noqa: BLE001 - raised below, now and for each gate that follows
                self._known[on] = error
        found = self._known[on]
        if isinstance(found, Exception):
            raise found
        return found

    def scratch(self, on: str | None = None) -> Scratch:
        """A server for scratch databases, of the version of the target's.

        Raises:
            ToolError: there is none and none can be started.
            TargetError: the target's own server does not say its version.
        """
        if on not in self._scratch:
            target = self.get(on)
            try:
                self._scratch[on] = open_scratch(self._config, self._stack, target, self._writer.redact)
            except Exception as error:  # noqa: BLE001 - raised below, now and for each gate that follows
                self._scratch[on] = error
        found = self._scratch[on]
        if isinstance(found, Exception):
            raise found
        return found

    def companions(self) -> list[str | None]:
        """Those that this session's gates look at: the target itself is ``None``."""
        return sorted({on for on, _ in self.planned}, key=str)

    def close(self) -> None:
        """Close connections and stop what was brought up."""
        self._stack.close()

    def outbox(self, phase: str) -> Outbox:
        """Which messages were sent, by this run and by those before it, and what speaks against sending more.

        Raises:
            LedgerError: the ledger can't be read.
        """
        state = judge(self._loaded.plan, read_ledger(self._writer.folder), datetime.now(UTC))
        before = [one for one in state.phases if PHASES.index(one.phase.id) < PHASES.index(phase)]
        gates = [gate for one in before for gate in one.gates if not gate.waived]
        failed = [gate.ask.key for gate in gates if gate.outcome is Outcome.FAIL]
        return Outbox(self._writer.folder, self._writer.run, failed)

    @property
    def base_url(self) -> str:
        """Where the target was found, if any gate needed it."""
        found = self._known.get(None)
        return "" if found is None or isinstance(found, Exception) else found.base_url

    def _bring_up(self, on: str | None) -> Target:
        from gonogo.target import Target  # noqa: PLC0415 - settings bring pydantic

        described = self._loaded.target_settings(on)
        if described is None:
            raise ToolError(
                "launch.toml is missing, so there is no target; create it with [launch] and [targets.NAME]"
            )
        name, settings = described
        provided = {} if settings.base_url else self._provided(name, on)
        hide_password(self._writer.redact, provided.get("database_url") or _known_address(settings))
        if settings.ca_file:  # relative to the plan's folder, wherever pytest was started
            settings = settings.model_copy(update={"ca_file": str(self._loaded.root / settings.ca_file)})
        armed = () if on else self._config.getoption("gonogo_arm")
        target = Target(
            name,
            settings,
            provided,
            self._loaded.plan.launch.version,
            root=self._loaded.root,
            reports=reports_folder(self._config),
            armed=armed,
            productions=self._productions(),
            plan=self._loaded.launch_file,
            launch_file=self._loaded.launch_path,
        )
        for secret in secrets_of(target):
            self._writer.redact.add(secret)
        self._stack.callback(target.close)
        return target

    def _productions(self) -> set[tuple[str, ...]]:
        """Commands with which production targets are deployed to and rolled back."""
        file = self._loaded.launch_file
        found = [t for t in file.targets.values() if t.kind == "production"] if file else []
        deployed = {t.deploy.run for t in found if t.deploy}
        return deployed | {t.rollback.command for t in found if t.rollback}

    def _provided(self, name: str, on: str | None) -> Mapping[str, str]:
        gates = tuple(sorted(gate for companion, gate in self.planned if companion == on))
        provider = self._config.hook.pytest_gonogo_provide_target(
            config=self._config, target=name, faults=self._faults, gates=gates
        )
        if provider is None:
            return {}
        provided: Mapping[str, str] = self._stack.enter_context(provider)
        if provided.get("logs"):
            self._stack.callback(self._keep_logs, Path(provided["logs"]), f"{on}-" if on else "")
        return provided

    def _keep_logs(self, folder: Path, prefix: str) -> None:
        """Copy the target's own logs beside the run's evidence, before the target is gone."""
        kept = self._writer.evidence_folder / "target-logs"
        kept.mkdir(exist_ok=True)
        for log in sorted(folder.glob("*")):
            if log.is_file():
                (kept / (prefix + log.name)).write_bytes(self._writer.redact.data(log.read_bytes()[-_LOG_LIMIT:]))


def _known_address(settings: TargetSettings) -> str | None:
    """The database's URL, if it is known; a variable that is not set concerns the database's gates only."""
    try:
        return settings.database_address()
    except ToolError:
        return None
