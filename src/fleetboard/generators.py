"""Faults of whoever puts load on this target: a generator that starves, loses a worker, or gets a file that raises.

Only a generator of this machine whose command line names this very target is touched, and by its process id.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path
from urllib.parse import urlsplit

import psutil  # type: ignore[import-untyped]  # it ships no types

HOOKS = "FLEETBOARD_LOAD_HOOKS"
"""Environment variable with the path of the team's own part of the load: a file that Locust reads."""
SAMPLE = Path(__file__).parent / "sample" / "load_hooks.py"
"""The file as it is without a fault."""

_STARVED, _KILLED, _RAISES = "generator-starved", "worker-killed", "locustfile-raises"
_RAISING = '\nraise RuntimeError("the list of trucks is not there")\n'
_LOOK_S = 0.2
_CYCLES, _HELD_S, _FREE_S = 10, 0.27, 0.03
"""How often, between two looks, a starved one is held and let go, for so long: a tenth of a processor is left."""
_MIDDLE = 5
"""Looks at which a generator must have been connected before it is in the middle of its run."""


class Generators:
    """Looks for generators that load this target, in a thread, as long as a fault asks for it."""

    def __init__(self, work: Path, base_url: str) -> None:
        """Prepare it; nothing is looked for yet.

        Args:
            work: folder for the team's file.
            base_url: what a generator must have been told to ask.
        """
        self.hooks = work / SAMPLE.name
        self._base_url = base_url
        self._faults: frozenset[str] = frozenset()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._seen: Counter[int] = Counter()
        self._spared: set[int] = set()

    def become(self, faults: Collection[str]) -> None:
        """Have these faults from now on."""
        self._faults = frozenset(faults)
        text = SAMPLE.read_text(encoding="utf-8")
        self.hooks.write_text(text + _RAISING * (_RAISES in faults), encoding="utf-8")
        if self._thread is None and self._faults & {_STARVED, _KILLED}:
            self._thread = threading.Thread(target=self._keep_looking, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Leave them all in peace."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _keep_looking(self) -> None:
        while not self._ended.wait(_LOOK_S):
            if not self._faults & {_STARVED, _KILLED}:
                continue
            for group in generating(self._base_url):
                asking = [pid for pid in group if _connected(pid, urlsplit(self._base_url).port)]
                if _STARVED in self._faults:
                    self._starve(asking)
                if _KILLED in self._faults and self._spared.isdisjoint(group):
                    self._kill_one(group, asking)

    def _starve(self, pids: Iterable[int]) -> None:
        try:
            for _ in range(_CYCLES if pids else 0):
                _send(pids, signal.SIGSTOP)
                self._ended.wait(_HELD_S)
                _send(pids, signal.SIGCONT)
                self._ended.wait(_FREE_S)
        finally:
            _send(pids, signal.SIGCONT)

    def _kill_one(self, group: Collection[int], asking: Iterable[int]) -> None:
        self._seen.update(asking)
        if middle := [pid for pid in asking if self._seen[pid] >= _MIDDLE]:
            self._spared.update(group)  # the others of this run
            _send(middle[:1], signal.SIGKILL)


def generating(base_url: str) -> list[list[int]]:
    """Ids of the processes that ask this target for each run of a generator: its workers, or the only one."""
    lines: dict[int, list[str]] = {one.pid: one.info["cmdline"] or [] for one in psutil.process_iter(["cmdline"])}
    locusts = {pid: line for pid, line in lines.items() if line[1:3] == ["-m", "locust"]}
    leading = {pid: line for pid, line in locusts.items() if _after(line, "--host") == base_url}
    found = []
    for pid, line in leading.items():
        port = _after(line, "--master-bind-port")
        workers = [one for one, its in locusts.items() if port and _after(its, "--master-port") == port]
        found.append(workers or [pid])
    return found


def _after(line: list[str], option: str) -> str:
    """Value of an option on a command line; empty without it."""
    return line[line.index(option) + 1] if option in line[:-1] else ""


def _connected(pid: int, port: int | None) -> bool:
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return False
    return any(one.raddr and one.raddr.port == port for one in connections)


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # gone, or somebody else's
            os.kill(pid, number)
