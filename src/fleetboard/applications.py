"""The application processes: started, drained, stopped, and started again with another release."""

from __future__ import annotations

import os
import select
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fleetboard import processes, releases
from fleetboard.accounts import Directory
from fleetboard.app.settings import VARIABLE, Settings
from fleetboard.errors import StartError
from fleetboard.faults.ramp import BOTH_RELEASES
from fleetboard.ports import HOST, listening_socket, port_of
from fleetboard.releases import Release

INSTANCES = ("a", "b")
EARLIER = "earlier"
"""The instance of the release before, which stands beside the others while traffic is moved to the new one."""

RUN = "FLEETBOARD_RUN"
"""Environment variable with the folder of the pid files."""

RESTART_EVERY_S = 0.5
_LAST = INSTANCES[-1]
"""The instance that faults of one instance befall; the other goes on serving."""
_START_S = 60.0
_STOP_S = 4.0


class Applications:
    """All instances; their listening sockets stay open, so that clients wait through a restart and don't fail."""

    def __init__(
        self,
        database_url: str,
        faults: Sequence[str],
        logs: Path,
        children: list[processes.Child],
        *,
        run: Path,
        beside: Sequence[str] = (),
        directory: Directory,
    ) -> None:
        """Open the sockets; starts nothing.

        Args:
            database_url: what the application connects to.
            faults: of every process that will be started.
            logs: folder of the logs.
            children: the servers that must not end; running processes are added to it.
            run: folder of the pid files.
            beside: names of instances that no deployment and no rollback touches.
            directory: who may sign in.
        """
        self._database_url = database_url
        self._faults = tuple(faults)
        self._logs = logs
        self._run = run
        self._run.mkdir(exist_ok=True)
        self._directory = directory
        self._active = self._faults
        self._children = children
        self._sockets = {name: listening_socket() for name in (*INSTANCES, *beside)}
        self._running: dict[str, processes.Child] = {}
        self.releases: dict[str, Release] = {}
        """Release of each instance that was started."""

    @property
    def ports(self) -> dict[str, int]:
        """Loopback port of each instance, also of those beside."""
        return {name: port_of(sock) for name, sock in self._sockets.items()}

    @property
    def addresses(self) -> dict[str, str]:
        """The same with their host, of those that are deployed to."""
        return {name: f"{HOST}:{self.ports[name]}" for name in INSTANCES}

    def start(self, wanted: Mapping[str, Release], faults: Sequence[str] = ()) -> None:
        """Start these together and wait until each serves; must run in the main thread.

        Args:
            wanted: release by instance.
            faults: beside those of the target.

        Raises:
            StartError: one ended, or did not serve in time.
        """
        every = self._active = tuple(dict.fromkeys((*self._faults, *faults)))
        waiting = {self._spawn(name, release, every): name for name, release in wanted.items()}
        try:
            self._await(waiting)
        except StartError:
            self.stop(wanted)  # what did not come up must not count as a child that ended
            raise
        finally:
            for reader in waiting:
                os.close(reader)
        self._misbehave(wanted)

    @property
    def restless(self) -> bool:
        """Whether :meth:`restart_again` is due every ``RESTART_EVERY_S`` seconds."""
        return "process-restarting" in self._active and _LAST in self._running

    def restart_again(self) -> None:
        """End one instance and start it anew, as a manager does whose program keeps crashing; in the main thread.

        Raises:
            StartError: it did not come up again.
        """
        self._end(_LAST)
        self.start({_LAST: self.releases[_LAST]}, self._active)

    def stop(self, names: Iterable[str] = INSTANCES) -> None:
        """Stop these in order, and no longer count them among the children that must not end."""
        stopped = [self._running.pop(name) for name in names if name in self._running]
        for child in stopped:
            self._children.remove(child)
        processes.stop_all(stopped, _STOP_S)
        for child in stopped:
            self._pid_file(child.name).unlink(missing_ok=True)

    def close(self) -> None:
        """Give the sockets up."""
        for sock in self._sockets.values():
            sock.close()

    def start_beside(self, name: str, release: Release) -> None:
        """Start one that stays as it is; of the target's faults it has none that is of one release alone.

        Raises:
            StartError: it ended, or did not serve in time.
        """
        reader = self._spawn(name, release, tuple(fault for fault in self._faults if fault in BOTH_RELEASES))
        try:
            self._await({reader: name})
        finally:
            os.close(reader)

    def _spawn(self, name: str, release: Release, faults: tuple[str, ...]) -> int:
        reader, writer = os.pipe()
        fds = (self._sockets[name].fileno(), writer)
        commit = releases.shown_commit(release, faults)
        settings = Settings(
            name,
            *fds,
            self._database_url,
            faults,
            release.version,
            commit,
            release.features,
            self._directory,
        )
        try:
            child = processes.spawn(
                _process(name),
                [sys.executable, "-m", "fleetboard.app"],
                self._logs / f"{_process(name)}.log",
                env={**os.environ, VARIABLE: settings.to_json(), "PYTHONUNBUFFERED": "1"},
                fds=fds,
            )
        finally:
            os.close(writer)
        self._pid_file(child.name).write_text(f"{child.process.pid}\n", encoding="ascii")
        self._children.append(child)
        self._running[name] = child
        self.releases[name] = release
        return reader

    def _pid_file(self, name: str) -> Path:
        return self._run / f"{name}.pid"

    def _end(self, name: str) -> None:
        """Kill one; its pid file stays behind, as after a crash."""
        child = self._running.pop(name)
        self._children.remove(child)
        child.kill()

    def _misbehave(self, started: Iterable[str]) -> None:
        if "log-errors-rotated" in self._active:
            for name in started:
                _rotate(self._logs / f"app-{name}.log")
        if "process-gone" in self._active and _LAST in started:
            self._end(_LAST)

    def _await(self, waiting: Mapping[int, str]) -> None:
        end = time.monotonic() + _START_S
        for reader, name in waiting.items():
            child = self._running[name]
            readable, _, _ = select.select([reader], [], [], max(0.0, end - time.monotonic()))
            if not readable:
                raise StartError(f"{child.name} did not come up within {_START_S:.0f} s: {child.last_words()}")
            if os.read(reader, 1) != b"+":
                raise StartError(f"{child.name} ended while starting: {child.last_words()}")


def _process(name: str) -> str:
    # Whoever looks for app-* finds what was deployed, and not what stands beside it.
    return name if name == EARLIER else f"app-{name}"


def _rotate(log: Path) -> None:
    """What logrotate calls copytruncate: the process goes on writing to the same file."""
    shutil.copy2(log, log.with_name(f"{log.name}.1"))
    os.truncate(log, 0)
