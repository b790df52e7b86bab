"""The embedded target for in-process calls of gates: the edge alone, or all of it with faults that come and go."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fleetboard import control, edge_http, processes, proxy, state
from fleetboard.pki import Authority
from fleetboard.ports import listening_socket, port_of
from fleetboard.zone import DnsServer
from fleetboard_target import Running, running


@contextlib.contextmanager
def edge(
    *faults: str, backends: Mapping[str, int] | None = None, env: Mapping[str, str] | None = None
) -> Iterator[dict[str, Any]]:
    """DNS server and HAProxy with these faults, no application behind them; up in about 0.2 s.

    Args:
        faults: of the edge.
        backends: loopback ports of servers to send requests to; without any, HAProxy answers 503.
        env: variables beside those of the edge.

    Yields:
        what ``target_at`` needs: base_url, resolver, ca_file.
    """
    work = Path(tempfile.mkdtemp(prefix="gonogo-edge-", dir="/tmp"))
    work.chmod(0o755)
    children: list[processes.Child] = []
    closing = contextlib.ExitStack()
    database = closing.enter_context(listening_socket())
    dns = DnsServer(faults)
    try:
        authority = Authority.create()
        (work / "root.pem").write_bytes(authority.root.pem)
        front = proxy.bring_up(
            work,
            work / "haproxy.log",
            faults,
            program=proxy.find_haproxy(),
            authority=authority,
            backends=backends or {},
            database=port_of(database),
            children=children,
            closing=closing,
        )
        dns.start()
        ports = edge_http.environment(front.plain_port, port_of(database), backends or {"a": 1, "b": 1})
        yield {
            "base_url": front.base_url,
            "resolver": f"127.0.0.1:{dns.port}",
            "ca_file": str(work / "root.pem"),
            "env": {**dns.env, **ports, **(env or {})},
        }
        dns.stop()
    finally:
        closing.close()
        processes.stop_all(children)
        shutil.rmtree(work, ignore_errors=True)


class Fleet:
    """A whole target whose application processes can be given faults, one after another."""

    def __init__(self, target: Running) -> None:
        self.target = target
        self.info = target.info
        self._has: tuple[str, ...] = tuple(target.info["faults"])
        self._control = str(Path(self.info["env"][state.STATE]).parent / "control.sock")

    @contextlib.contextmanager
    def faults(self, *names: str) -> Iterator[dict[str, Any]]:
        """Restart both application processes with these faults (about 1 s), and without them at the end."""
        self._restart(names)
        try:
            yield self.info
        finally:
            self._restart(())

    @contextlib.contextmanager
    def disturbing(self, name: str) -> Iterator[dict[str, Any]]:
        """Have a fault of whoever puts load on the target; costs nothing, as no process of its own is concerned."""
        control.ask(self._control, do="disturb", faults=[name])
        try:
            yield self.info
        finally:
            control.ask(self._control, do="disturb", faults=[])

    def become(self, *names: str) -> dict[str, Any]:
        """Have exactly these faults from now on; costs nothing if it has them already."""
        if names != self._has:
            self._restart(names)
        return self.info

    def _restart(self, names: tuple[str, ...]) -> None:
        control.ask(self._control, do="stop")
        control.ask(self._control, do="start", release=self.info["version"], faults=list(names))
        self._has = names


@contextlib.contextmanager
def fleet(*arguments: str, without: str = "inboxes,cache,monitoring,source") -> Iterator[Fleet]:
    """A whole target, for a module's tests; ``arguments`` are those of ``python -m fleetboard up``."""
    with running("--without", without, *arguments) as target:
        yield Fleet(target)
