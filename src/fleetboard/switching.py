"""Where the weights of the load balancer are set from outside: HAProxy's own socket, or one that misbehaves."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from fleetboard import processes

TRAFFIC = "FLEETBOARD_TRAFFIC"
"""Environment variable with the path of HAProxy's admin socket."""

_TIMEOUT_S = 5.0
_SET_WEIGHT = "set weight "


def rules(faults: Sequence[str], backends: Mapping[str, int]) -> list[str]:
    """Lines of HAProxy's backend that come before its servers."""
    if "lb-ignores-weight" not in faults:
        return []
    first, *others = [name for name in ("a", "b") if name in backends]
    return [f"    use-server {name} if {{ rand(2) eq 0 }}" for name in others] + [f"    use-server {first} if TRUE"]


class Dropping:
    """Stands in front of HAProxy's socket; whoever sets a weight also ends that server's connections."""

    def __init__(self, path: Path, behind: Path) -> None:
        self._behind = behind
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        path.chmod(0o600)
        processes.give_away(path)
        self._socket.listen(8)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self) -> None:
        """Answer in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no longer."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with client, contextlib.suppress(OSError):
                client.settimeout(_TIMEOUT_S)
                line = client.recv(65_536).decode()
                answer = self._ask(line)
                for command in line.split(";"):
                    if command.strip().startswith(_SET_WEIGHT):
                        self._ask(f"shutdown sessions server {command.split()[2]}\n")
                client.sendall(answer)

    def _ask(self, line: str) -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(_TIMEOUT_S)
            peer.connect(str(self._behind))
            peer.sendall(line.encode())
            parts = []
            while part := peer.recv(65_536):
                parts.append(part)
        return b"".join(parts)
