"""From collected tests to asks: which gates there are, in which phases they run, and in what order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gonogo.errors import PlanError
from gonogo.keys import ASK, TRIES
from gonogo.model import KINDS, PHASES, Ask, GateInfo
from gonogo.plan import LAUNCH_FILE, PLAYBOOK, Plan, check_gates
from gonogo.playbook import GATE_ID

if TYPE_CHECKING:
    from gonogo.loading import LoadedPlan  # brings pydantic, which a session without gates must not pay for

_NO_WORKERS = (
    "-n can't be used with gates: phases run one after the other and block each other, which "
    "pytest-xdist's workers can't keep; drop -n"
)
_NOT_KINDS = frozenset({*PHASES, "gate", "parametrize", "usefixtures", "filterwarnings", "skipif", "skip", "xfail"})


def gate_id(node: pytest.Item | pytest.Function) -> str | None:
    """The id that a test's ``gate`` marker gives it.

    Raises:
        pytest.UsageError: the marker has no id or one that is malformed.
    """
    marker = node.get_closest_marker("gate")
    if marker is None:
        return None
    if len(marker.args) != 1 or marker.kwargs or not isinstance(marker.args[0], str):
        raise pytest.UsageError(f"{node.nodeid}: write @pytest.mark.gate('area.name') with exactly one id")
    gate: str = marker.args[0]
    if not GATE_ID.fullmatch(gate):
        raise pytest.UsageError(
            f"{node.nodeid}: {gate!r} is no gate id; write lower-case words joined by dots, e.g. tls.certificate"
        )
    return gate


class GateCollection:
    """Turns gates into one item a phase; starts a gate session as soon as there are any gates."""

    def __init__(self, config: pytest.Config, start: Callable[[LoadedPlan, Mapping[str, GateInfo]], None]) -> None:
        """Read the plan, if there is one.

        Args:
            config: of this session.
            start: called once with the plan and the collected gates, if any are to run.

        Raises:
            PlanError: PLAYBOOK.md or launch.toml is wrong.
        """
        self.config = config
        self._start = start
        self.loaded: LoadedPlan | None = None
        self.gates: dict[str, GateInfo] = {}
        self._tests: dict[str, str] = {}
        self._narrowed_to: list[str] = []
        self._mistakes: list[str] = []
        self._hidden: list[str] = []
        """Sentences about modules that skip themselves; said after what the playbook lacks because of them."""
        root = config.rootpath
        launch_file = config.getoption("gonogo_launch_file")
        if launch_file or (root / PLAYBOOK).exists() or (root / LAUNCH_FILE).exists():
            self.loaded = self._load()
            if config.getoption("numprocesses", None) or config.getoption("dist", "no") != "no":
                raise PlanError(_NO_WORKERS)
        if self.loaded:
            self._collect_everything()

    def _load(self) -> LoadedPlan:
        from gonogo.loading import check_arming, load_plan  # noqa: PLC0415

        option = self.config.getoption
        loaded = load_plan(self.config.rootpath, option("gonogo_target"), launch_file=option("gonogo_launch_file"))
        check_arming(loaded, option("gonogo_arm"))
        return loaded

    def _collect_everything(self) -> None:
        """Collect all gates whatever the arguments say: they narrow the run, never the verdict."""
        testpaths = [str(self.config.rootpath / path) for path in self.config.getini("testpaths")]
        root = str(self.config.rootpath)
        everything = self.config.args_source is self.config.ArgsSource.TESTPATHS or (
            self.config.args_source is self.config.ArgsSource.INVOCATION_DIR
            and self.config.invocation_params.dir == self.config.rootpath
        )
        self._narrowed_to = [] if everything else list(self.config.args)
        outside = [
            a for a in self._narrowed_to if not _is_inside(_absolute(self.config, a)[0], testpaths or [root])
        ]
        self.config.args[:] = [*(testpaths or [root]), *outside]
        # --last-failed would not even collect what did not fail; it still deselects that afterwards.
        if self.config.pluginmanager.has_plugin("lfplugin-collwrapper"):
            self.config.pluginmanager.unregister(name="lfplugin-collwrapper")

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a gate once in each phase that asks for it."""
        try:
            self._parametrize(metafunc)
        except pytest.UsageError as error:
            # Raised from here it would be a broken module with a trace, not wrong usage.
            self._mistakes.append(str(error))

    def _parametrize(self, metafunc: pytest.Metafunc) -> None:
        definition = metafunc.definition
        gate = gate_id(definition)
        if gate is None:
            return
        if hasattr(self.config, "workerinput"):
            raise pytest.Collector.CollectError(_NO_WORKERS)  # the controller shows this as a sentence
        test = definition.nodeid
        if self._tests.setdefault(gate, test) != test:
            raise pytest.UsageError(f"the gate {gate!r} is carried by two tests: {self._tests[gate]} and {test}")
        asks = self._asks(gate, definition)
        if not asks and self.plan.scopes_out(gate):
            return
        if not asks:
            raise pytest.UsageError(
                f"{test}: the gate {gate!r} is asked for by no box of {PLAYBOOK} and carries no phase marker; add "
                f"'<!-- gate: {gate} -->' to a box or @pytest.mark.t3 (or another phase) to the test"
            )
        metafunc.fixturenames.append("gonogo_ask")
        params = [
            pytest.param(
                ask,
                id=ask.phase + (f"-{ask.on}" if ask.on else ""),
                marks=[] if definition.get_closest_marker(ask.phase) else [getattr(pytest.mark, ask.phase)],
            )
            for ask in asks
        ]
        metafunc.parametrize("gonogo_ask", params, indirect=True, scope="function")

    def _asks(self, gate: str, definition: pytest.Function) -> list[Ask]:
        plan = self.plan
        own = {m.name for m in definition.iter_markers() if m.name in PHASES}
        asked = [ask for ask in plan.asks() if ask.gate == gate]
        extra = [Ask(gate, phase) for phase in PHASES if phase in own - {ask.phase for ask in asked}]
        if extra:
            base = self.loaded or self._load()
            self.loaded = replace(base, plan=replace(plan, extra=(*plan.extra, *extra)))
        return asked + extra

    @property
    def plan(self) -> Plan:
        """The plan so far, gates that carry phases themselves included."""
        if self.loaded is None:
            self.loaded = self._load()
        return self.loaded.plan

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Refuse a module that skips itself: its gates would be as if they had never been written."""
        path = self.config.rootpath / report.nodeid
        if report.skipped and path.is_file() and "mark.gate(" in path.read_text(encoding="utf-8", errors="replace"):
            why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self._hidden.append(
                f"{report.nodeid}: it skips itself, and its gates with it ({why}); bring what it "
                "needs, or skip the single tests, which are MISSING then"
            )

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Give a gate's item its phase, its kind and its id as a keyword."""
        callspec = getattr(item, "callspec", None)
        ask = callspec.params.get("gonogo_ask") if callspec else None
        if not isinstance(ask, Ask):
            is_gate = item.get_closest_marker("gate") is not None and not self._mistakes
            if is_gate and not self.plan.scopes_out(gate_id(item) or ""):
                self._mistakes.append(
                    f"{item.nodeid}: only a test function or a plain class's method can be a gate"
                )
            return
        item.stash[ASK] = ask
        item.extra_keyword_matches.add(ask.gate)
        for kind in KINDS:
            if kind in item.path.relative_to(self.config.rootpath).parts and not item.get_closest_marker(kind):
                item.add_marker(kind)
        item.own_markers[:] = [m for m in item.own_markers if m.name not in PHASES or m.name == ask.phase]
        others = {m.name for m in item.iter_markers() if m.name in PHASES} - {ask.phase}
        if others:
            raise pytest.UsageError(
                f"{item.nodeid}: the phase marker {min(others)!r} stands on its module or class; put it on the test"
            )
        title = (getattr(getattr(item, "obj", None), "__doc__", None) or "").strip().partition("\n\n")[0]
        if not title:
            raise pytest.UsageError(f"{item.nodeid}: a gate needs a docstring; its first sentence is its title")
        markers = tuple(sorted({m.name for m in item.iter_markers()} - _NOT_KINDS))
        self.gates[ask.gate] = GateInfo(" ".join(title.split()).rstrip("."), markers)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Check plan against gates, and narrow the run to the arguments."""
        mistakes = list(self._mistakes)
        if self.loaded is not None and self.loaded.has_playbook and not session.testsfailed:
            try:
                check_gates(self.plan, frozenset(self._tests), PLAYBOOK)
            except PlanError as error:
                mistakes.insert(0, str(error))  # a typo in a box also leaves a gate that nobody asks for
        if mistakes:
            raise pytest.UsageError("\n".join(dict.fromkeys(mistakes)))
        if self._hidden:
            raise pytest.UsageError("\n".join(self._hidden))
        if self.loaded is None:
            return
        tries = Counter(item.stash[ASK] for item in items if ASK in item.stash)
        for item in items:
            if ASK in item.stash:
                item.stash[TRIES] = tries[item.stash[ASK]]
        self._leave_out(items, [i for i in items if i.get_closest_marker("gate") and ASK not in i.stash])
        self._narrow(items)
        if config.getoption("collectonly") or not (self.gates or self.loaded.has_playbook):
            return  # a playbook without a gate has boxes for people, which hold just the same
        self._start(self.loaded, self.gates)

    def _narrow(self, items: list[pytest.Item]) -> None:
        """Deselect what the arguments on the command line do not name."""
        if not self._narrowed_to:
            return
        wanted = [_absolute(self.config, arg) for arg in self._narrowed_to]
        kept = [item for item in items if any(_names(path, names, item) for path, names in wanted)]
        for argument, (path, names) in zip(self._narrowed_to, wanted, strict=True):
            if not any(_names(path, names, item) for item in items):
                raise pytest.UsageError(f"not found: {argument} (no gate has this path or node id)")
        self._leave_out(items, [item for item in items if item not in set(kept)])

    def _leave_out(self, items: list[pytest.Item], gone: list[pytest.Item]) -> None:
        """Deselect items: those that the arguments do not name, and gates that a box scopes out."""
        if gone:
            self.config.hook.pytest_deselected(items=gone)
            items[:] = [item for item in items if item not in set(gone)]


class GateOrder:
    """Puts gates in the order of the plan, after pytest has grouped them by their fixtures."""

    def __init__(self, collection: GateCollection) -> None:
        self._collection = collection

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Sort by phase, inside a phase by playbook; tests that are no gates come first."""
        if self._collection.gates:
            rank = {ask: number for number, ask in enumerate(self._collection.plan.asks())}
            items.sort(key=lambda item: rank[item.stash[ASK]] if ASK in item.stash else -1)


def _absolute(config: pytest.Config, argument: str) -> tuple[Path, list[str]]:
    path, *names = argument.split("::")
    return (config.invocation_params.dir / path).resolve(), names


def _is_inside(path: Path, folders: list[str]) -> bool:
    return any(path.is_relative_to(Path(folder).resolve()) for folder in folders)


def _names(path: Path, names: list[str], item: pytest.Item) -> bool:
    """Whether an argument ``path::class::test[param]`` names an item."""
    if not item.path.resolve().is_relative_to(path):
        return False
    own = item.nodeid.split("::")[1:]
    return all(given in (have, have.partition("[")[0]) for given, have in zip(names, own, strict=False)) and len(
        names
    ) <= len(own)
