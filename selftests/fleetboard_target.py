"""Runs the embedded target for self-tests, and talks to it the way a client would."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dns.resolver
import httpcore
import httpx
from websockets.sync.client import ClientConnection, connect

UP = [sys.executable, "-m", "fleetboard", "up", "--json", "--stop-on-eof"]
USERS = {"manager": "mira", "dispatcher": "dan", "workshop": "wanda", "viewer": "vera"}


@dataclass
class Running:
    """A target that is up."""

    process: subprocess.Popen[str]
    info: dict[str, Any]

    @property
    def port(self) -> int:
        """Port of the proxy."""
        return int(urlsplit(self.info["base_url"]).port or 0)

    def owner_url(self) -> str:
        """Address of the database for who may change everything, from the state of the team's commands."""
        state = json.loads(Path(self.info["env"]["FLEETBOARD_STATE"]).read_text(encoding="utf-8"))
        return str(state["database_url"])

    def addresses(self, kind: str = "A", name: str = "app.fleet.test") -> list[str]:
        """Records of one name, from the target's own DNS server."""
        host, port = self.info["resolver"].split(":")
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port, resolver.lifetime = [host], int(port), 3
        return [record.to_text() for record in resolver.resolve(name, kind)]

    def tls(self) -> ssl.SSLContext:
        """A context that trusts the target's root and nothing else."""
        return ssl.create_default_context(cafile=self.info["ca_file"])

    def client(self) -> httpx.Client:
        """A :meth:`stranger` with the token of machines, who may read."""
        client = self.stranger()
        client.headers["Authorization"] = self.info["env"]["FLEETBOARD_AUTHORIZATION"]
        return client

    def stranger(self) -> httpx.Client:
        """A client with verified TLS, names resolved by the target's DNS server, that nobody knows."""
        transport = httpx.HTTPTransport(verify=self.tls())
        transport._pool = httpcore.ConnectionPool(ssl_context=self.tls(), network_backend=_Resolving(self))
        return httpx.Client(transport=transport, base_url=self.info["base_url"], trust_env=False, timeout=10)

    @contextlib.contextmanager
    def signed_in(self, role: str) -> Iterator[httpx.Client]:
        """A client with a session of the account that has this role."""
        password = self.info["env"][f"FLEETBOARD_{role.upper()}_PASSWORD"]
        with self.stranger() as client:
            answer = client.post("/api/session", json={"user": USERS[role], "password": password})
            assert answer.status_code == 200, answer.text
            yield client


class _Resolving(httpcore.SyncBackend):
    def __init__(self, target: Running) -> None:
        self._target = target

    def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        return super().connect_tcp(self._target.addresses(name=host)[0], port, *args, **kwargs)


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[Running]:
    """A target, started and stopped in order."""
    with subprocess.Popen([*UP, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the target said nothing; its sentence is on standard error"
        try:
            yield Running(process, json.loads(line))
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(15)


def stream(target: Running, attempts: int = 3) -> ClientConnection:
    """An open WebSocket to the live feed.

    This client reads and writes one TLS connection from two threads, which now and then loses its own request
    (the reason why the probe has no threads): a handshake without any answer is tried again on a new connection.
    """
    raw = socket.create_connection((target.addresses()[0], target.port), timeout=5)
    try:
        return connect(
            f"wss://app.fleet.test:{target.port}/ws/positions",
            sock=raw,
            ssl=target.tls(),
            server_hostname="app.fleet.test",
            open_timeout=5,
            additional_headers={"Authorization": target.info["env"]["FLEETBOARD_AUTHORIZATION"]},
            proxy=None,
        )
    except TimeoutError:
        if attempts == 1:
            raise
        return stream(target, attempts - 1)


def work_folder(info: dict[str, Any]) -> Path:
    """Where the target keeps its state."""
    return Path(info["ca_file"]).parent


def descendants(pid: int) -> list[int]:
    """Ids of all processes below this one."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
    found, layer = [], [pid]
    while layer:
        layer = [child for child, parent in parents.items() if parent in layer]
        found += layer
    return found


def alive(pids: list[int]) -> list[str]:
    """Command lines of those that still run; a zombie has ended."""
    left = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                left.append(f"{pid} " + Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
    return left


def wait_until_gone(pids: list[int], timeout_s: float = 5.0) -> list[str]:
    """Wait for their end; returns what is left when the time is up."""
    end = time.monotonic() + timeout_s
    while (left := alive(pids)) and time.monotonic() < end:
        time.sleep(0.05)
    return left
