"""What the commands of ``gonogo`` do, from plan and ledger alone."""

from __future__ import annotations

import os
import textwrap
from argparse import Namespace
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from gonogo import rampplan
from gonogo.completeness import variables
from gonogo.errors import PlanError, ToolError
from gonogo.ledger import read_ledger
from gonogo.loading import LoadedPlan, load_plan
from gonogo.loadrules import certainty
from gonogo.model import Ask, BoxKind, GateState, LaunchState, Outcome, Records, Verdict
from gonogo.plan import DEFAULT_TARGET, LAUNCH_FILE, PLAYBOOK, Plan
from gonogo.settings import TargetSettings
from gonogo.tables.base import FromEnv
from gonogo.terminal import board, launched, phase_title
from gonogo.verdict import judge, scope_verdict

_TABLES_OF_AREA = {
    "health": ("http",),
    "stats": ("http",),
    "http": ("edge",),
    "announce": ("notify",),
    "plan": (),
    "backup": ("backup", "database"),
    "release": ("change",),
    "deploy": ("deploy", "http"),
    "rollback": ("rollback", "deploy", "backup", "database", "http"),
    "ramp": ("ramp", "http"),
    "availability": ("availability", "http"),
}
_TABLES_OF_GATE = {
    "release.deployed": ("deploy", "http"),
    "stats.websocket": ("http", "websocket"),
    "database.migrations-tested": ("database", "backup"),
}


@dataclass(frozen=True)
class _Launch:
    """Plan, records and their judgement for one command."""

    loaded: LoadedPlan
    records: Records
    state: LaunchState
    reports: Path
    ledger: Path


def plan(arguments: Namespace) -> int:
    """Print what would run, phase by phase, and what is missing for it."""
    launch = _open(arguments)
    current = launch.loaded.plan
    print(f"{current.launch.project} {current.launch.version} on {current.target} ({current.target_kind})")
    asks = current.asks()
    widest = max((len(ask.gate) for ask in asks), default=0)
    farthest = max((len(_where(current, ask)) for ask in asks), default=0)
    for phase in launch.state.phases:
        print(f"\n{phase_title(phase.phase)} [{phase.phase.id}]")
        for gate in phase.gates:
            place = f"{gate.ask.gate:<{widest}} {_where(current, gate.ask):<{farthest}}"
            took = f"~{gate.result.duration_s:.0f} s" if gate.result else "not run yet"
            print(f"  {place} {took:<12} {_load(launch, gate)}{_title(gate)}".rstrip())
        for hold in phase.holds:
            print(f"  open: {hold}")
        for box in phase.phase.boxes:
            if box.kind is BoxKind.SCOPE:
                print(f"  out of scope: {', '.join(box.gates) or repr(box.text)}: {box.reason}")
    if doubtful := list(_inconclusive(launch.loaded)):
        print("\ntoo little to prove it:")
    for sentence in doubtful:
        print(f"  {sentence}")
    gaps = list(missing_inputs(launch.loaded))
    print("\nmissing inputs:" if gaps else "\nno input is missing")
    for gap in gaps:
        print(f"  {gap}")
    return 0


def report(arguments: Namespace) -> int:
    """Render all reports from the ledger."""
    from gonogo.browser import find_chromium  # noqa: PLC0415 - only the PDF needs a browser
    from gonogo.report import write_pdf, write_reports  # noqa: PLC0415 - brings jinja2

    launch = _open(arguments)
    paths = write_reports(launch.state, launch.reports, launch.ledger)
    print(paths.html)
    if not arguments.no_pdf:
        try:
            printed = write_pdf(paths.html, paths.html.with_suffix(".pdf"), find_chromium())
            print(paths.html.with_suffix(".pdf") if printed else "no PDF: the browser could not print it")
        except ToolError as error:
            print(f"no PDF: {error}")
    return 0


def verdict(arguments: Namespace) -> int:
    """Print the board and the verdict; its exit code is the status."""
    launch = _open(arguments)
    required: tuple[str, ...] = arguments.require
    asked = {p.phase.id for p in launch.state.phases}
    for name in required:
        if name not in asked:
            raise PlanError(f"--require {name}: the plan has no such phase; it has {', '.join(sorted(asked))}")
    found = _required(launch.state, required)
    with suppress(BrokenPipeError):  # a reader that has seen enough does not change what was found
        _print_verdict(launch.state, required, found)
    return found.exit_code


def _print_verdict(state: LaunchState, required: tuple[str, ...], found: Verdict) -> None:
    for (line, of_phase), phase in zip(board(state), state.phases, strict=True):
        note = "" if not required or phase.phase.id in required else "  (not required)"
        print(f"{line} {of_phase}{note}")
    for blocker in state.blockers:
        if not required or blocker.ask.phase in required:
            print(f"  {blocker.outcome} {blocker.ask.key}: {blocker.reason}")
    for phase in state.phases:
        if not required or phase.phase.id in required:
            for hold in phase.holds:
                print(f"  HOLD {phase.phase.id}: {hold}")
    for problem in state.problems:
        print(f"  ledger: {problem}")
    print(f"{found}  {launched(state)}")


def explain(arguments: Namespace) -> int:
    """Print what one gate measures, what it last found, and who can unblock it."""
    launch = _open(arguments)
    states = [g for p in launch.state.phases for g in p.gates if g.ask.gate == arguments.gate]
    if not states:
        for box in (b for p in launch.loaded.plan.phases for b in p.boxes if arguments.gate in b.gates):
            print(f"{arguments.gate}: out of scope: {box.reason} ({PLAYBOOK}:{box.line})")
            return 0
        known = sorted({g.ask.gate for p in launch.state.phases for g in p.gates})
        raise PlanError(f"the plan asks for no gate {arguments.gate!r}; it asks for {', '.join(known)}")
    owners = {p.phase.id: p.phase.owner or "nobody named" for p in launch.state.phases}
    titles = {p.phase.id: p.phase.title for p in launch.state.phases}
    boxes = [(b.text, b.line) for p in launch.loaded.plan.phases for b in p.boxes if arguments.gate in b.gates]
    print(f"{arguments.gate}: {_title(states[0]) or 'title not known before its first run'}")
    for text, line in dict.fromkeys(boxes):
        print(f"  proves: {text} ({PLAYBOOK}:{line})")
    for state in states:
        print(f"\n{titles[state.ask.phase]} [{state.ask.key}]: {state.outcome}")
        if state.reason:
            print(textwrap.fill(state.reason, 110, initial_indent="  ", subsequent_indent="  "))
        if state.outcome is not Outcome.PASS:
            print(f"  who can unblock: {owners[state.ask.phase]}")
        _print_result(state)
    return 0


def missing_inputs(loaded: LoadedPlan) -> Iterator[str]:
    """Sentences about what launch.toml does not say and the plan's gates will ask for."""
    asks = loaded.plan.asks()
    for on in sorted({None, *(ask.on for ask in asks)}, key=str):
        described = loaded.target_settings(on)
        if described is None:
            yield f"{LAUNCH_FILE} is missing, so gates have no target"
            return
        tables: dict[str, list[str]] = {}
        for gate in dict.fromkeys(ask.gate for ask in asks if ask.on == on):
            for table in set(_tables(gate)).intersection(TargetSettings.model_fields):
                tables.setdefault(table, []).append(gate)
        yield from _missing_of(loaded, *described, tables)


def _missing_of(
    loaded: LoadedPlan, name: str, settings: TargetSettings, tables: Mapping[str, list[str]]
) -> Iterator[str]:
    for table, gates in sorted(tables.items()):
        if getattr(settings, table) is None:
            yield f"{LAUNCH_FILE}: [targets.{name}.{table}] is missing; asked for by {', '.join(gates)}"
    embedded = settings.kind == "disposable" or name.startswith(DEFAULT_TARGET)
    if not embedded and settings.base_url is None:
        yield f"{LAUNCH_FILE}: targets.{name}.base_url is missing"
    if "database" in tables and not embedded and settings.database_url is None:
        yield f"{LAUNCH_FILE}: targets.{name}.database_url is missing"
    commit = settings.deploy.commit if settings.deploy else None
    if "deploy" in tables and not embedded and commit is None:
        yield f"{LAUNCH_FILE}: targets.{name}.deploy.commit is missing"
    named = [("database_url", settings.database_url), ("deploy.commit", commit)]
    wanted = [(key, value.env) for key, value in named if isinstance(value, FromEnv)]
    wanted += [] if embedded else _credentials(settings)  # who brings a target up sets its variables
    for key, variable in wanted:
        if not os.environ.get(variable):
            yield f"the environment variable {variable} ({key}) is not set"
    if settings.ca_file and not (loaded.root / settings.ca_file).exists():
        yield f"{LAUNCH_FILE}: targets.{name}.ca_file = {settings.ca_file!r} does not exist"


def _credentials(settings: TargetSettings) -> list[tuple[str, str]]:
    """Keys of what says to the target who we are, and the variables that they name."""
    found = []
    for name, value in settings.http.headers.items() if settings.http else ():
        names = [value.env] if isinstance(value, FromEnv) else variables(value)
        found += [(f"http.headers.{name}", one) for one in names]
    for role in ("manager", "dispatcher", "viewer"):
        if account := getattr(settings.smoke, role, None):
            found.append((f"smoke.{role}.password", account.password.env))
    return found


def _tables(gate: str) -> tuple[str, ...]:
    """Tables of launch.toml that a gate reads, by its id."""
    area = gate.partition(".")[0]
    return _TABLES_OF_GATE[gate] if gate in _TABLES_OF_GATE else _TABLES_OF_AREA.get(area, (area,))


def _open(arguments: Namespace) -> _Launch:
    root: Path = arguments.root.resolve()
    given = arguments.target
    loaded = load_plan(root, os.environ.get("GONOGO_TARGET") if given is None else given)
    if loaded.launch_file is None:
        raise PlanError(f"{LAUNCH_FILE} is missing in {root}; go to its folder, or name that with --root")
    ledger = loaded.ledger_folder(arguments.reports)
    records = read_ledger(ledger)
    loaded = replace(loaded, plan=_with_marked_gates(loaded.plan, records))
    state = judge(loaded.plan, records, datetime.now(UTC))
    return _Launch(loaded, records, state, arguments.reports or root / "reports", ledger)


def _with_marked_gates(plan: Plan, records: Records) -> Plan:
    """Add the asks that only the tests know of, as the target's newest run found them."""
    runs = [run for run in records.runs if run.info.target == plan.target]
    newest = max(runs, key=lambda run: (run.info.started_at, run.info.id), default=None)
    if newest is None:
        return plan
    boxed = frozenset(plan.asks())
    return replace(plan, extra=tuple(a for a in newest.extra if a not in boxed and not plan.scopes_out(a.gate)))


def _required(state: LaunchState, phases: tuple[str, ...]) -> Verdict:
    if not phases:
        return state.verdict
    return scope_verdict(state, lambda ask: ask.phase in phases, lambda phase: phase in phases)


def _where(current: Plan, ask: Ask) -> str:
    return f"{current.target}/{ask.on}" if ask.on else current.target


def _load(launch: _Launch, gate: GateState) -> str:
    """What a load gate sends at the target."""
    described = launch.loaded.target_settings(gate.ask.on)
    if described and described[1].ramp and gate.ask.gate.startswith("ramp."):
        return f"{rampplan.traffic(described[1].ramp, int(gate.ask.gate.partition('.')[2]))}  "
    load = described[1].load if described else None
    if not gate.ask.gate.startswith("load.") or load is None:
        return ""
    if gate.ask.gate == "load.spike":
        spike = load.spike
        return f"{spike.rps:g} RPS for {spike.duration_s:g} s in the same run  " if spike else ""
    if gate.ask.gate == "load.endurance":
        return f"the steady {max(load.duration_s, load.endurance.duration_s):g} s of the same run  "
    return f"{load.rps:g} RPS for {load.warmup_s + load.duration_s:g} s  "


def _inconclusive(loaded: LoadedPlan) -> Iterator[str]:
    """Sentences about gates that can't conclude as they are planned."""
    asks = loaded.plan.asks()
    for on in sorted({ask.on for ask in asks}, key=str):
        described = loaded.target_settings(on)
        if described is None:
            continue
        name, settings = described
        gates = {ask.gate for ask in asks if ask.on == on}
        yield from (f"{LAUNCH_FILE}: targets.{name}.{one}" for one in unprovable(settings, gates))
        if settings.ramp:
            users = settings.kind == "production" and settings.ramp.haproxy is not None
            yield from rampplan.inconclusive(settings.ramp, gates, counts_users=users)


def unprovable(settings: TargetSettings, gates: Collection[str]) -> Iterator[str]:
    """Sentences about steps that are planned too short to prove what they are held against.

    Args:
        settings: of the target.
        gates: ids that are asked of it.
    """
    load = settings.load
    if load is None:
        return
    steps = [("load.throughput", "load.duration_s", load.rps, load.planned, load.max_error_rate)]
    if spike := load.spike:
        for key, rps, seconds in (
            ("duration_s", spike.rps, spike.duration_s),
            ("recover_s", load.rps, spike.recover_s),
        ):
            steps.append(("load.spike", f"load.spike.{key}", rps, int(rps * seconds + 1e-9), spike.max_error_rate))
    for gate, key, rps, requests, limit in steps:
        can, sentence = certainty(requests, limit, rps, load.confidence)
        if gate in gates and not can:
            yield f"{key}: {gate} can't conclude: {sentence}"


def _title(gate: GateState) -> str:
    return "" if gate.title == gate.ask.gate else gate.title


def _print_result(state: GateState) -> None:
    result = state.result
    if result is None:
        return
    print(f"  measured {result.finished_at:%Y-%m-%d %H:%M} UTC in {result.duration_s:.1f} s, run {result.run}")
    for taken in result.measurements:
        mark = {True: "ok", False: "BAD", None: "?"}[taken.ok]
        print(f"  {mark:<4}{taken.sentence}")
