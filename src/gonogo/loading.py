"""Reads PLAYBOOK.md and launch.toml into one validated plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gonogo.errors import PlanError
from gonogo.launchfile import load_launch_file
from gonogo.model import Launch, Phase
from gonogo.plan import DEFAULT_TARGET, LAUNCH_FILE, PLAYBOOK, Plan
from gonogo.playbook import parse_playbook
from gonogo.settings import LaunchFile, TargetSettings


@dataclass(frozen=True)
class LoadedPlan:
    """The plan for one target, with the settings that it was made from."""

    plan: Plan
    launch_file: LaunchFile | None
    root: Path
    launch_path: Path | None = None
    """Where the launch file was read."""

    @property
    def has_playbook(self) -> bool:
        """Whether a playbook stands behind the plan, or gates alone do."""
        return bool(self.plan.phases)

    def target_settings(self, on: str | None = None) -> tuple[str, TargetSettings] | None:
        """Name and settings of the target or of a companion of it; ``None`` without launch.toml."""
        if self.launch_file is None:
            return None
        targets = self.launch_file.targets
        name = (targets[self.plan.target].staging or on) if on else self.plan.target
        return name, targets[name]

    def ledger_folder(self, reports: Path | None) -> Path:
        """Where the runs are kept."""
        if reports is not None or self.launch_file is None:
            return (reports or self.root / "reports") / "ledger"
        return self.root / self.launch_file.launch.ledger


def load_plan(root: Path, target: str | None = None, *, launch_file: str | None = None) -> LoadedPlan:
    """Read the plan of a folder for one target.

    Args:
        root: folder with PLAYBOOK.md and launch.toml; either may be absent, then gates carry their
            phases themselves, and no target is known.
        target: name of a target; ``rehearsal`` by default.
        launch_file: another launch file, relative to ``root``.

    Raises:
        PlanError: one sentence for each mistake.
    """
    playbook_path, launch_path = root / PLAYBOOK, root / (launch_file or LAUNCH_FILE)
    name = DEFAULT_TARGET if target is None else target
    phases: tuple[Phase, ...] = ()
    if playbook_path.exists():
        try:
            phases = parse_playbook(playbook_path.read_text(encoding="utf-8"), PLAYBOOK)
        except (OSError, UnicodeDecodeError) as error:
            raise PlanError(f"{PLAYBOOK} can't be read: {error}; save it as UTF-8 text") from None
    if not launch_path.exists():
        if phases or launch_file:
            raise PlanError(
                f"{launch_path.name} is missing beside {PLAYBOOK}; create it with [launch] and [targets]"
            )
        return LoadedPlan(Plan(Launch(root.name, "unversioned", None), name, "unspecified", ()), None, root)
    loaded = load_launch_file(launch_path)
    if not name:  # never the rehearsal in place of what a script meant
        raise PlanError(
            "the target's name is empty: --gonogo-target or GONOGO_TARGET was given without a value, as by a "
            f"variable that is not set; {launch_path.name} has {', '.join(loaded.targets)}"
        )
    settings = loaded.targets.get(name)
    if settings is None:
        raise PlanError(
            f"{launch_path.name}: there is no target {name!r}; it has {', '.join(loaded.targets)}; "
            f"choose one with --gonogo-target (pytest), --target (gonogo) or GONOGO_TARGET, or add [targets.{name}]"
        )
    plan = Plan(
        launch=loaded.as_launch(),
        target=name,
        target_kind=settings.kind,
        phases=phases,
        target_settings=settings.for_digest(),
        companion_settings={"staging": loaded.targets[settings.staging].for_digest()} if settings.staging else {},
        base_url=settings.base_url or "",
    )
    _check_companions(plan, settings)
    return LoadedPlan(plan, loaded, root, launch_path)


def check_arming(loaded: LoadedPlan, armed: Sequence[str]) -> None:
    """Refuse to arm what is no launch: only a production target with a date has one.

    Raises:
        PlanError: says what is missing.
    """
    plan = loaded.plan
    if not armed:
        return
    if plan.rehearsal:
        raise PlanError(
            f"--gonogo-arm {armed[0]}: {plan.target!r} is a rehearsal (kind {plan.target_kind}), and a rehearsal "
            "is not armed; leave the option out, or choose the production target with --gonogo-target"
        )
    if plan.launch.at is None:
        raise PlanError(
            f"--gonogo-arm {armed[0]}: launch.at is TBD, so this would be a rehearsal on production; write the "
            f"date and time of the launch into {LAUNCH_FILE}"
        )


def _check_companions(plan: Plan, settings: TargetSettings) -> None:
    for phase in plan.phases:
        for box in phase.boxes:
            if box.on and (box.on != "staging" or settings.staging is None):
                raise PlanError(
                    f"{PLAYBOOK}:{box.line}: 'on: {box.on}' has no companion; allowed is 'on: staging', if "
                    f'{LAUNCH_FILE} says staging = "NAME" in [targets.{plan.target}]; add that, or take it out of '
                    "the box"
                )
