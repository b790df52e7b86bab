"""Sets the share of users that a new release gets: HAProxy's runtime API, nginx, or a command of the team's.

HAProxy: https://docs.haproxy.org/2.6/management.html#9.3 ; nginx: https://nginx.org/en/docs/http/ngx_http_upstream_module.html
"""

from __future__ import annotations

import contextlib
import csv
import os
import socket
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gonogo.errors import TargetError, ToolError
from gonogo.network import reason
from gonogo.processes import CommandFacts

MAX_WEIGHT = 256
"""The largest weight that HAProxy takes."""
_TIMEOUT_S = 5.0
_POLL_S = 0.05
_NEW, _OLD = "{new}", "{old}"

Run = Callable[[Sequence[str]], CommandFacts]
"""Runs a command of the team's."""


class Controller(Protocol):
    """What moves traffic between two releases."""

    def set(self, share: float) -> str:
        """Gives the new release this share of new requests, 0 to 1; returns what was done, in words.

        Raises:
            ToolError: it could not be reached, or is not as the plan says.
            TargetError: it refused, or did not do it.
        """

    def drain(self, within_s: float) -> str:
        """With the share at 0, waits until the new release has nothing to do, and ends what lasts longer.

        Returns:
            What became of it, in words.
        """


@dataclass(frozen=True)
class Count:
    """What the servers of one release have answered so far, as the load balancer counts it."""

    answers: int
    failures: int
    """Answers of 5xx, and requests that got none."""

    def since(self, before: Count) -> Count:
        """What came in between."""
        return Count(self.answers - before.answers, self.failures - before.failures)


def weights(share: float, new: int, old: int, most: int = MAX_WEIGHT) -> tuple[int, int]:
    """Weights of each server of the new and of the old release that come closest to a share.

    >>> weights(0.1, new=2, old=1)
    (1, 18)

    Args:
        share: of the new release, 0 to 1.
        new: how many servers it has.
        old: how many servers the other one has.
        most: largest weight that is allowed.

    Raises:
        ValueError: a release that is to get traffic has no server, or the share is none.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"the share is {share}; it must lie between 0 and 1")
    if (share > 0 and new < 1) or (share < 1 and old < 1):
        raise ValueError(f"a share of {share:g} needs servers of both releases; there are {new} new and {old} old")
    if share in (0, 1):
        return (1, 0) if share == 1 else (0, 1)
    best, closest = (1, 1), 2.0
    for mine in range(1, most + 1):
        theirs = min(max(round(mine * new * (1 - share) / (share * old)), 1), most)
        off = abs(mine * new / (mine * new + theirs * old) - share)
        if off < closest - 1e-12:
            best, closest = (mine, theirs), off
    return best


class Haproxy:
    """HAProxy's runtime API, over its socket or an address."""

    def __init__(self, api: str, backend: str, new: Sequence[str], old: Sequence[str]) -> None:
        """Prepares it; nothing is asked yet.

        Args:
            api: path of the socket, or ``host:port``.
            backend: in which the servers stand.
            new: names of the servers of the new release.
            old: names of those of the old one.
        """
        self._api = api
        self._backend = backend
        self._new = tuple(new)
        self._old = tuple(old)

    def set(self, share: float) -> str:
        """As the protocol says; the weights are read back."""
        mine, theirs = weights(share, len(self._new), len(self._old))
        wanted = {**dict.fromkeys(self._new, mine), **dict.fromkeys(self._old, theirs)}
        self._servers()  # a name that is not there must not be found out half way
        # Raised first: in between, no moment has no server at all.
        for name in sorted(wanted, key=lambda name: -wanted[name]):
            self._order(f"set weight {self._backend}/{name} {wanted[name]}")
        found = {name: int(row["weight"]) for name, row in self._servers().items()}
        if found != wanted:
            raise TargetError(f"HAProxy has the weights {found} after {wanted} were set in backend {self._backend}")
        return "weights " + ", ".join(f"{name} {weight}" for name, weight in wanted.items())

    def drain(self, within_s: float) -> str:
        """As the protocol says: what lasts longer is cut, so that its users come to the old release."""
        ends = time.monotonic() + within_s
        while (left := self._sessions()) and time.monotonic() < ends:
            time.sleep(_POLL_S)
        if not left:
            return f"the new release had nothing left to do within {within_s:g} s"
        for name in self._new:
            self._order(f"shutdown sessions server {self._backend}/{name}")
        return f"{left} connections of the new release were ended after {within_s:g} s"

    def counts(self) -> tuple[Count, Count]:
        """What the servers of the new and of the old release have answered since HAProxy began."""
        rows = self._servers()
        return _count([rows[name] for name in self._new]), _count([rows[name] for name in self._old])

    def _sessions(self) -> int:
        rows = self._servers()
        return sum(int(rows[name]["scur"]) for name in self._new)

    def _servers(self) -> dict[str, Mapping[str, str]]:
        lines = self._ask("show stat").removeprefix("# ").splitlines()
        rows = {row["svname"]: row for row in csv.DictReader(lines) if row.get("pxname") == self._backend}
        named = (*self._new, *self._old)
        if missing := [name for name in named if name not in rows]:
            there = ", ".join(name for name in rows if name not in ("FRONTEND", "BACKEND")) or "none"
            raise ToolError(
                f"HAProxy's backend {self._backend} has no server {', '.join(missing)}; it has {there}; mend "
                "ramp.haproxy in launch.toml"
            )
        return {name: rows[name] for name in named}

    def _order(self, command: str) -> None:
        if answer := self._ask(command).strip():
            raise TargetError(f"HAProxy refused {command!r}: {answer}")

    def _ask(self, command: str) -> str:
        try:
            with self._connected() as peer:
                peer.sendall(command.encode() + b"\n")
                parts = []
                while part := peer.recv(65_536):
                    parts.append(part)
        except OSError as error:
            raise ToolError(
                f"HAProxy's runtime API at {self._api} does not take {command!r}: {reason(error)}; it needs "
                "'stats socket ... level admin', and the right to it"
            ) from None
        return b"".join(parts).decode(errors="replace")

    def _connected(self) -> socket.socket:
        host, colon, port = self._api.rpartition(":")
        if colon and port.isdigit() and "/" not in host:
            return socket.create_connection((host.strip("[]"), int(port)), _TIMEOUT_S)
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            peer.settimeout(_TIMEOUT_S)
            peer.connect(self._api)
        except OSError:
            peer.close()
            raise
        return peer


def _count(rows: Sequence[Mapping[str, str]]) -> Count:
    def total(*names: str) -> int:
        return sum(int(row.get(name) or 0) for row in rows for name in names)

    answered = total("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other")
    broken = total("econ", "eresp")
    return Count(answered + broken, total("hrsp_5xx") + broken)


class Nginx:
    """nginx: a file is written from a template, and nginx told to read it."""

    def __init__(self, template: Path, file: Path, reload: Sequence[str], run: Run) -> None:
        """Prepares it; nothing is written yet.

        Args:
            template: an ``upstream`` in which ``{new}`` and ``{old}`` stand behind the servers' addresses.
            file: what nginx includes; it is replaced in one step.
            reload: command that makes nginx read it.
            run: runs that command.
        """
        self._template = template
        self._file = file
        self._reload = reload
        self._run = run

    def set(self, share: float) -> str:
        """As the protocol says; if nginx does not take the file, the one before is put back."""
        text = self._filled(share)
        try:
            before = self._file.read_bytes() if self._file.exists() else None
            _replace(self._file, text.encode())
        except OSError as error:
            raise ToolError(f"{self._file} can't be written: {reason(error)}") from None
        done = self._run(self._reload)
        if done.status == 0:
            return f"{self._file} was written, and {done.command} done"
        if before is not None:
            _replace(self._file, before)
            self._run(self._reload)
        ended = "did not end in time" if done.status is None else f"ended with status {done.status}"
        raise TargetError(
            f"{done.command} {ended}, so the file before was put back; it said: {done.output.strip()[-300:]}"
        )

    def drain(self, within_s: float) -> str:
        """As the protocol says; old workers of nginx end by themselves, see ``worker_shutdown_timeout``."""
        time.sleep(within_s)
        return f"{within_s:g} s were left to nginx's old workers for what they had"

    def _filled(self, share: float) -> str:
        try:
            text = self._template.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ToolError(f"the template {self._template} can't be read: {error}") from None
        try:
            mine, theirs = weights(share, text.count(_NEW), text.count(_OLD))
        except ValueError as error:
            raise ToolError(f"{self._template}: {error}; write {_NEW} and {_OLD} behind their addresses") from None
        return text.replace(_NEW, _weight(mine)).replace(_OLD, _weight(theirs))


def _weight(weight: int) -> str:
    return f"weight={weight}" if weight else "down"  # nginx knows no weight of 0


def _replace(file: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
        if file.exists():
            Path(name).chmod(file.stat().st_mode & 0o777)
        else:
            Path(name).chmod(0o644)
        Path(name).replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


class Command:
    """A command of the team's that is given the share in percent."""

    def __init__(self, command: Sequence[str], run: Run, drain: Sequence[str] | None = None) -> None:
        """Prepares it.

        Args:
            command: program and arguments, one of them with ``{share}``.
            run: runs it.
            drain: command that waits until the new release has nothing to do; none by default.
        """
        self._command = command
        self._run = run
        self._drain = drain

    def set(self, share: float) -> str:
        """As the protocol says; the command must end with status 0."""
        return self._do([part.replace("{share}", f"{100 * share:g}") for part in self._command])

    def drain(self, within_s: float) -> str:
        """As the protocol says, by the command for it."""
        if self._drain is not None:
            return self._do(self._drain)
        time.sleep(within_s)
        return f"{within_s:g} s were left to the new release for what it had"

    def _do(self, command: Sequence[str]) -> str:
        done = self._run(command)
        if done.status is None:
            raise TargetError(f"{done.command} did not end within {done.duration_s:.0f} s")
        if done.status != 0:
            said = done.output.strip()[-300:] or "nothing"
            raise TargetError(f"{done.command} ended with status {done.status}; it said: {said}")
        return f"{done.command} was run"
