"""Brings the target up, watches it, takes it down; nothing of it outlives this process."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg

from fleetboard import (
    accounts,
    backups,
    breakage,
    edge_http,
    generators,
    migrate,
    parts,
    postgres,
    processes,
    proxy,
    releases,
    seed,
    state,
    switching,
)
from fleetboard.applications import EARLIER, INSTANCES, RESTART_EVERY_S, RUN, Applications
from fleetboard.control import Control
from fleetboard.errors import OperationError, StartError
from fleetboard.pki import Authority
from fleetboard.ports import HOST
from fleetboard.releases import NEW, OLD, Release
from fleetboard.zone import DnsServer


@dataclass(frozen=True)
class Endpoints:
    """How to reach a running target."""

    base_url: str
    resolver: str
    ca_file: str
    database_url: str
    logs: str
    version: str
    """Release that was brought up."""
    commit: str
    """Commit of the newest release: what a check must find, now or after the deployment."""
    faults: tuple[str, ...]
    pid: int
    env: dict[str, str]
    """Variables with which the team's commands find this target, and people and machines sign in."""

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

    def building(self) -> None:
        """From now on a signal interrupts what is being done."""
        self._building = not self.stop_requested

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

    def __init__(
        self,
        faults: Sequence[str],
        work: Path,
        logs: Path,
        release: Release = NEW,
        without: Sequence[str] = (),
        *,
        earlier: bool = False,
    ) -> None:
        self._faults = tuple(faults)
        self._work = work
        self._logs = logs
        self._release = release
        self._without = tuple(without)
        self._beside = (EARLIER,) if earlier else ()
        self._directory, self._secrets = accounts.create()
        self._closing = contextlib.ExitStack()
        self._children: list[processes.Child] = []
        self._held: list[psycopg.Connection[tuple[object, ...]]] = []
        self._applications: Applications | None = None
        self._dns: DnsServer | None = None
        self._front: proxy.Front | None = None
        self._generators: generators.Generators | None = None
        self.control: Control | None = None
        """Where the team's commands are served, once it is up."""

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
        applications = self._start_applications(cluster.url("fleet_app"))
        front = self._front = proxy.bring_up(
            self._work,
            self._logs / "haproxy.log",
            self._faults,
            program=haproxy,
            authority=authority,
            backends=applications.ports,
            database=cluster.port,
            children=self._children,
            closing=self._closing,
            idle=self._beside,
        )
        self.control = Control(self._work / "control.sock", self._serve)
        self._write_state(cluster, applications)
        self._dns = DnsServer(self._faults)
        self._dns.start()
        self._generators = generators.Generators(self._work, front.base_url)
        self._generators.become(self._faults)
        self._closing.callback(self._generators.stop)
        around = parts.Surroundings(
            self._work,
            self._logs,
            self._faults,
            self._children,
            self._closing,
            authority,
            front.base_url,
            applications.addresses,
        )
        return Endpoints(
            base_url=front.base_url,
            resolver=f"{HOST}:{self._dns.port}",
            ca_file=str(ca_file),
            database_url=cluster.url("fleet_readonly"),
            logs=str(self._logs),
            version=self._release.version,
            commit=releases.commit(NEW),
            faults=self._faults,
            pid=os.getpid(),
            env={
                state.STATE: str(self._state_file),
                state.BACKUPS: str(self._backups),
                state.LOGS: str(self._logs),
                RUN: str(self._run),
                **self._secrets,
                **self._dns.env,
                **edge_http.environment(front.plain_port, cluster.port, applications.ports),
                switching.TRAFFIC: str(self._weights()),
                generators.HOOKS: str(self._generators.hooks),
                **parts.start(around, self._without),
            },
        )

    @property
    def applications(self) -> Applications | None:
        """The application processes, once they were started."""
        return self._applications

    @property
    def children(self) -> list[processes.Child]:
        """The servers that run, in the order in which they were started."""
        return self._children

    def stop(self) -> None:
        """Take everything down, what was started last first."""
        self._closing.close()
        if self._dns is not None:
            self._dns.stop()
        if self.control is not None:
            self.control.close()
        front = [child for child in self._children if child.name != "postgres"]
        processes.stop_all(front)
        if self._applications is not None:
            self._applications.close()
        breakage.release_sessions(self._held)
        processes.stop_all([child for child in self._children if child.name == "postgres"])

    @property
    def _backups(self) -> Path:
        return self._work / "backups"

    @property
    def _run(self) -> Path:
        return self._work / "run"

    @property
    def _state_file(self) -> Path:
        return self._work / "state.json"

    def _weights(self) -> Path:
        """The socket on which others set weights."""
        own = proxy.admin_socket(self._work)
        if "ws-dropped-at-switch" not in self._faults:
            return own
        dropping = switching.Dropping(self._work / "weights.sock", own)
        dropping.start()
        self._closing.callback(dropping.stop)
        return self._work / "weights.sock"

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
            self._fill(cluster)
            self._held = breakage.hold_sessions(cluster.url("fleet_app"), self._faults)
        except (psycopg.Error, OperationError) as error:
            raise StartError(f"the database could not be set up: {str(error).strip()}") from error
        return cluster

    def _fill(self, cluster: postgres.Cluster) -> None:
        # The way a system comes to be at its release: the one before with its rows, a backup, the migrations.
        owner = cluster.url("fleet_owner")
        self._backups.mkdir(mode=0o700)
        with psycopg.connect(owner, autocommit=True) as connection:
            migrate.migrate(connection, OLD.last_migration)
            seed.seed(connection)
            backups.make(owner, cluster.bin, self._backups, OLD.version)
            migrate.migrate(connection, self._release.last_migration)
        breakage.break_schema(owner, self._faults)

    def _start_applications(self, database_url: str) -> Applications:
        self._applications = Applications(
            database_url,
            self._faults,
            self._logs,
            self._children,
            run=self._run,
            directory=self._directory,
            beside=self._beside,
        )
        wanted = dict.fromkeys(INSTANCES, self._release)
        if "deploy-leaves-one-behind" in self._faults:
            wanted[INSTANCES[-1]] = OLD
        self._applications.start(wanted)
        for name in self._beside:
            self._applications.start_beside(name, OLD)
        return self._applications

    def _write_state(self, cluster: postgres.Cluster, applications: Applications) -> None:
        assert self.control is not None
        self._state = state.State(
            database_url=cluster.url("fleet_owner"),
            admin_url=cluster.url(postgres.SUPERUSER, "postgres"),
            bin=str(cluster.bin),
            backups=str(self._backups),
            control=str(self._work / "control.sock"),
            faults=self._faults,
            release=self._release.version,
            instances=applications.addresses,
        )
        self._state.write(self._state_file)

    def _serve(self, request: Mapping[str, Any]) -> None:
        """Do what one of the team's commands asks for; runs in the main thread, like everything that spawns."""
        applications = self._applications
        assert applications is not None
        match request["do"]:
            case "restart":
                name, release = str(request["instance"]), releases.find(request["release"])
                admin = proxy.Admin(proxy.admin_socket(self._work))
                admin.drain(name)
                applications.stop([name])
                applications.start({name: release}, request["faults"])
                admin.ready(name)
            case "stop":
                applications.stop()
            case "start":
                release = releases.find(request["release"])
                applications.start(dict.fromkeys(INSTANCES, release), request["faults"])
            case "restart balancer":
                assert self._front is not None
                self._front.restart(self._children, float(request["away_s"]))
            case "disturb":
                assert self._generators is not None
                self._generators.become((*self._faults, *request["faults"]))
            case other:
                raise ValueError(f"there is no request {other!r}")
        first = applications.releases[INSTANCES[0]]
        self._state = replace(self._state, release=first.version)
        self._state.write(self._state_file)


def watch(
    children: Sequence[processes.Child],
    signals: Signals,
    *,
    stop_on_eof: bool,
    control: Control | None = None,
    applications: Applications | None = None,
) -> processes.Child | None:
    """Wait for a signal, the end of standard input (if asked) or the end of a child; returns that child.

    Meanwhile requests to ``control`` are served, one after another, and ``applications`` restarted as their fault
    wants it. A signal interrupts what is being done.

    Raises:
        StopRequested: the signal came while a request was being served.
    """
    inputs: list[int | Control] = [signals.wakeup, *([0] if stop_on_eof else []), *([control] if control else [])]
    while not signals.stop_requested:
        restless = applications is not None and applications.restless
        readable, _, _ = select.select(inputs, [], [], RESTART_EVERY_S if restless else None)
        if signals.wakeup in readable:
            os.read(signals.wakeup, 4096)
        if 0 in readable and os.read(0, 4096) == b"":
            return None
        if control is not None and control in readable and not signals.stop_requested:
            signals.building()
            control.serve()
            signals.built()
        if applications is not None and restless and not readable:
            signals.building()
            applications.restart_again()
            signals.built()
        if not signals.stop_requested and (child := _ended(children)) is not None:
            return child
    return None


def _ended(children: Sequence[processes.Child]) -> processes.Child | None:
    return next((child for child in children if child.process.poll() is not None), None)
