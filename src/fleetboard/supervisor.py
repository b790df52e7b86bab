"""Brings the target up, watches it, takes it down; nothing of it outlives this process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

import psycopg

from fleetboard import migrate, postgres, processes, proxy, seed
from fleetboard.app.settings import VARIABLE, Settings
from fleetboard.errors import StartError
from fleetboard.pki import Authority
from fleetboard.ports import HOST, listening_socket, port_of
from fleetboard.zone import APP_NAME, DnsServer

VERSION = "1.0.0"
"""Version of the application that the target pretends to release."""

INSTANCES = ("a", "b")
_PREFIX = "fleetboard-"
_LOCK = "lock"
_APP_START_S = 60.0


@dataclass(frozen=True)
class Endpoints:
    """How to reach a running target."""

    base_url: str
    resolver: str
    ca_file: str
    database_url: str
    logs: str
    version: str
    faults: tuple[str, ...]
    pid: int

    def to_dict(self) -> dict[str, object]:
        """The form that is printed as JSON."""
        return {**asdict(self), "faults": list(self.faults)}


class StopRequested(BaseException):
    """A signal came while the target was being built; like KeyboardInterrupt, not an error."""


class Signals:
    """SIGTERM and SIGINT: while building they interrupt, afterwards they wake the watch."""

    def __init__(self) -> None:
        self._building = True
        self.stop_requested = False
        self.wakeup, self._wakeup_writer = os.pipe()
        for end in (self.wakeup, self._wakeup_writer):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wakeup_writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only for the wakeup

    def built(self) -> None:
        """From now on a signal no longer interrupts what is being done."""
        self._building = False

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stop_requested = True
        if self._building:
            self._building = False  # a second signal must not interrupt the taking down
            raise StopRequested


class Target:
    """One embedded target: PostgreSQL, two application processes, HAProxy, DNS."""

    def __init__(self, faults: Sequence[str], work: Path, logs: Path) -> None:
        self._faults = tuple(faults)
        self._work = work
        self._logs = logs
        self._children: list[processes.Child] = []
        self._dns: DnsServer | None = None

    def start(self) -> Endpoints:
        """Build everything; must run in the main thread.

        Raises:
            StartError: something is missing or did not come up.
        """
        haproxy = proxy.find_haproxy()
        authority = Authority.create()
        ca_file = self._work / "root.pem"
        ca_file.write_bytes(authority.root.pem)
        ca_file.chmod(0o644)
        cluster = self._start_database(authority, ca_file)
        ports = self._start_applications(cluster.url("fleet_app"))
        web_port = self._start_proxy(haproxy, authority, ports)
        self._dns = DnsServer(self._faults)
        self._dns.start()  # last: children are forked before there are threads
        return Endpoints(
            base_url=f"https://{APP_NAME}:{web_port}",
            resolver=f"{HOST}:{self._dns.port}",
            ca_file=str(ca_file),
            database_url=cluster.url("fleet_readonly"),
            logs=str(self._logs),
            version=VERSION,
            faults=self._faults,
            pid=os.getpid(),
        )

    def ended(self) -> processes.Child | None:
        """A child that has ended by itself, if any."""
        return next((child for child in self._children if child.process.poll() is not None), None)

    def stop(self) -> None:
        """Take everything down, what was started last first."""
        if self._dns is not None:
            self._dns.stop()
        front = [child for child in self._children if child.name != "postgres"]
        processes.stop_all(front)
        processes.stop_all([child for child in self._children if child.name == "postgres"])

    def _start_database(self, authority: Authority, ca_file: Path) -> postgres.Cluster:
        log = self._logs / "postgres.log"
        cluster = postgres.Cluster(postgres.find_bin(self._work), self._work, log, authority, ca_file)
        cluster.create()
        try:
            cluster.start()
        finally:
            if cluster.child is not None:
                self._children.append(cluster.child)
        try:
            cluster.create_database()
            with psycopg.connect(cluster.url("fleet_owner"), autocommit=True) as connection:
                migrate.migrate(connection)
                seed.seed(connection)
            postgres.break_schema(cluster.url("fleet_owner"), self._faults)
        except psycopg.Error as error:
            raise StartError(f"the database could not be set up: {str(error).strip()}") from error
        return cluster

    def _start_applications(self, database_url: str) -> dict[str, int]:
        commit = _commit()
        ports, pipes = {}, {}
        for name in INSTANCES:
            reader, writer = os.pipe()
            with listening_socket() as sock:
                fds = (sock.fileno(), writer)
                settings = Settings(name, *fds, database_url, self._faults, VERSION, commit)
                child = processes.spawn(
                    f"app-{name}",
                    [sys.executable, "-m", "fleetboard.app"],
                    self._logs / f"app-{name}.log",
                    env={**os.environ, VARIABLE: settings.to_json(), "PYTHONUNBUFFERED": "1"},
                    fds=fds,
                )
                ports[name] = port_of(sock)
            os.close(writer)
            self._children.append(child)
            pipes[reader] = child
        end = time.monotonic() + _APP_START_S
        for reader, child in pipes.items():
            readable, _, _ = select.select([reader], [], [], max(0.0, end - time.monotonic()))
            if not readable:
                raise StartError(f"{child.name} did not come up within {_APP_START_S:.0f} s: {child.last_words()}")
            if os.read(reader, 1) != b"+":
                raise StartError(f"{child.name} ended while starting: {child.last_words()}")
            os.close(reader)
        return ports

    def _start_proxy(self, program: str, authority: Authority, backends: dict[str, int]) -> int:
        leaf, pem = proxy.issue_web_certificate(authority, self._faults)
        with listening_socket() as sock:
            port, fd = port_of(sock), sock.fileno()
            config = proxy.write_config(self._work, pem, fd, backends, self._faults)
            child = proxy.start(program, config, fd, self._logs / "haproxy.log")
        self._children.append(child)
        proxy.wait_until_served(child, port, leaf)
        return port


@contextlib.contextmanager
def work_folder() -> Iterator[Path]:
    """A private place for state that servers of another user can reach; removed at the end.

    Leftovers of targets that were killed are removed on the way in: each holds a lock while it lives.
    """
    # A root's TMPDIR may be closed to the servers' user; /tmp never is.
    parent = Path("/tmp") if processes.drop_privileges() else Path(tempfile.gettempdir())  # noqa: S108 - mkdtemp below
    _sweep(parent)
    work = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        with (work / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            work.chmod(0o755)  # only now: a folder without this mode is not swept, its lock may be missing
            yield work
    finally:
        _remove(work)


def _sweep(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # held by a living target, somebody else's, or gone meanwhile
            status = folder.lstat()
            if status.st_uid != os.geteuid() or status.st_mode & 0o777 != 0o755:
                continue
            if not (folder / _LOCK).exists():  # the lock goes first when a folder is removed
                _remove(folder)
                continue
            with (folder / _LOCK).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(folder)


def _remove(folder: Path) -> None:
    # A server that was just killed may still have written a last file between listing and removal.
    for _ in range(5):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


def watch(target: Target, signals: Signals, *, stop_on_eof: bool) -> processes.Child | None:
    """Wait for a signal, the end of standard input (if asked) or the end of a child; returns that child."""
    inputs = [signals.wakeup, *([0] if stop_on_eof else [])]
    while not signals.stop_requested:
        readable, _, _ = select.select(inputs, [], [])
        if signals.wakeup in readable:
            os.read(signals.wakeup, 4096)
        if 0 in readable and os.read(0, 4096) == b"":
            return None
        if not signals.stop_requested and (child := target.ended()) is not None:
            return child
    return None


def _commit() -> str:
    """Commit of the source tree, or ``unknown`` outside one."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    command = [git, "-C", str(Path(__file__).parent), "rev-parse", "--short=12", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603 - fixed command
    return done.stdout.strip() if done.returncode == 0 else "unknown"
