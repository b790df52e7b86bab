"""A Redis server, as the cache that the application's operators rely on."""

from __future__ import annotations

import secrets
import shutil
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fleetboard import processes
from fleetboard.errors import StartError
from fleetboard.ports import HOST, free_port

if TYPE_CHECKING:
    from fleetboard.parts import Surroundings

ADDRESS = "FLEETBOARD_REDIS"
"""Environment variable with the address, ``host:port``."""
PASSWORD = "FLEETBOARD_REDIS_PASSWORD"  # noqa: S105 - a name
"""Environment variable with the password."""

_START_S = 10.0
_TRIES = 3
"""Redis can't inherit a socket, so that another process may take the port that was free a moment ago."""


def start(around: Surroundings) -> Mapping[str, str]:
    """Start it.

    Raises:
        StartError: it did not come up.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise StartError(
            "the program redis-server is missing; install the package redis-server, or run scripts/setup"
        )
    folder = around.work / "cache"
    folder.mkdir(mode=0o700)
    processes.give_away(folder)
    password = secrets.token_urlsafe(16)
    child, port = _started(program, folder, around, password)
    if "redis-down" in around.faults:
        processes.stop_all([child])
    else:
        around.children.append(child)
    told = "another" if "redis-other-password" in around.faults else password
    return {ADDRESS: f"{HOST}:{port}", PASSWORD: told}


def _started(program: str, folder: Path, around: Surroundings, password: str) -> tuple[processes.Child, int]:
    for _ in range(_TRIES):
        port = free_port()
        config = _write_config(folder, port, password, around.faults)
        log = around.logs / "redis.log"
        child = processes.spawn("redis", [program, str(config)], log, unprivileged=True)
        if _answers(child, port, password):
            return child, port
        child.kill()
    raise StartError(f"redis-server did not come up: {child.last_words()}")


def _write_config(folder: Path, port: int, password: str, faults: tuple[str, ...]) -> Path:
    config = folder / "redis.conf"
    lines = [f"bind {HOST}", f"port {port}", f"requirepass {password}", f"dir {folder}", 'save ""', "appendonly no"]
    if "redis-read-only" in faults:
        lines.append(f"replicaof {HOST} 1")  # where nobody listens
    config.touch(mode=0o600)
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    processes.give_away(config)
    return config


def _answers(child: processes.Child, port: int, password: str) -> bool:
    """Waits until it answers; False once it has ended."""
    end = time.monotonic() + _START_S
    while time.monotonic() < end and child.process.poll() is None:
        try:
            with socket.create_connection((HOST, port), 1.0) as peer:
                peer.sendall(f"AUTH {password}\r\n".encode())
                if peer.recv(64).startswith(b"+OK"):
                    return True
        except OSError:
            pass
        time.sleep(0.02)
    return False
