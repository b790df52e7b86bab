"""Watches the processes of an application for a while: under PM2, systemd or by their pid files.

PM2's list holds each application's environment, secrets included: of what it prints only the facts below are kept.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import re
import stat
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from gonogo.errors import TargetError, ToolError

UNIT_PROPERTIES = (
    "Id", "LoadState", "ActiveState", "SubState", "Result", "MainPID", "NRestarts", "MemoryCurrent", "CPUUsageNSec",
    "ExecMainStartTimestamp",
)  # fmt: skip
"""What ``systemctl show`` is asked for."""

_REUSED_S = 5.0
"""The kernel tells a start only by the second, and by a clock that may be corrected meanwhile."""
_CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_UNSET = 2**64 - 1
"""What systemd shows of a counter that it does not keep."""


@dataclass(frozen=True)
class Seen:
    """One process at one moment, as its manager tells it."""

    name: str
    """Tells it from the others at this moment, e.g. ``fleet [0]``."""
    state: str
    """The manager's own word, or what is wrong with a pid file."""
    up: bool
    pid: int | None = None
    restarts: int | None = None
    """The manager's count of restarts so far."""
    started_at: float | None = None
    """Seconds since 1970."""
    memory_bytes: int | None = None
    cpu_s: float | None = None
    """Processor time used so far, in seconds."""
    cpu_percent: float | None = None
    """Of one processor, where the manager measures that itself."""
    application: str = ""
    """What it is an instance of, where the manager knows."""


@dataclass(frozen=True)
class Watched:
    """One process through all looks; ``None`` where it was not there."""

    name: str
    times: tuple[float, ...]
    """Moments of the looks, in seconds on a clock that never jumps."""
    looks: tuple[Seen | None, ...]

    @property
    def down(self) -> list[str]:
        """States in which it was not up, in the order in which they were seen first."""
        words = ("gone" if seen is None else seen.state for seen in self.looks if seen is None or not seen.up)
        return list(dict.fromkeys(words))

    @property
    def restarts(self) -> int:
        """How often it was started anew while it was watched, by the manager's count or by what was seen."""
        counts = [seen.restarts for seen in self.looks if seen is not None and seen.restarts is not None]
        lives = [(seen.pid, seen.started_at) for seen in self.looks if seen is not None and seen.pid is not None]
        changes = sum(_another(*pair) for pair in itertools.pairwise(lives))
        return max(changes, counts[-1] - counts[0] if counts else 0)

    @property
    def memory_bytes(self) -> int | None:
        """The most that was seen."""
        return max((s.memory_bytes for s in self._alive if s.memory_bytes is not None), default=None)

    @property
    def cpu_percent(self) -> float | None:
        """Share of one processor over the looks, by the time that was used or by what the manager told."""
        told = [s.cpu_percent for s in self._alive if s.cpu_percent is not None]
        if told:  # each since the look before it: what the first one tells was before we watched
            return statistics.fmean(told[1:] or told)
        used = [
            (at, seen.cpu_s, seen.pid)
            for at, seen in zip(self.times, self.looks, strict=True)
            if seen is not None and seen.up and seen.cpu_s is not None
        ]
        last = used[-1] if used else None
        first = next((one for one in used if last is not None and one[2] == last[2]), None)
        if first is None or last is None or last[0] <= first[0]:
            return None
        assert first[1] is not None
        assert last[1] is not None
        return max(0.0, last[1] - first[1]) / (last[0] - first[0]) * 100

    def uptime_s(self, now: float) -> float | None:
        """Seconds since the last start that is known; ``now`` in seconds since 1970."""
        starts = [s.started_at for s in self._alive if s.started_at is not None]
        return now - starts[-1] if starts else None

    @property
    def _alive(self) -> list[Seen]:
        return [seen for seen in self.looks if seen is not None and seen.up]


def _another(before: tuple[int | None, float | None], after: tuple[int | None, float | None]) -> bool:
    same_start = None in (before[1], after[1]) or abs((before[1] or 0) - (after[1] or 0)) < 1.5
    return before[0] != after[0] or not same_start


def watch(look: Callable[[], Iterable[Seen]], window_s: float, interval_s: float = 0.5) -> list[Watched]:
    """Looks again and again for ``window_s`` seconds, at least twice; by name.

    Raises:
        TargetError, ToolError: whatever ``look`` raises.
    """
    times: list[float] = []
    looks: list[dict[str, Seen]] = []
    ends = time.monotonic() + window_s
    while True:
        begun = time.monotonic()
        looks.append({seen.name: seen for seen in look()})
        times.append(begun)
        left = ends - time.monotonic()
        if left <= 0 and len(looks) > 1:
            break
        time.sleep(max(0.0, min(left, begun + interval_s - time.monotonic())))
    names = sorted({name for seen in looks for name in seen})
    return [Watched(name, tuple(times), tuple(seen.get(name) for seen in looks)) for name in names]


def by_pid_files(files: Sequence[Path], match: str | None = None) -> list[Seen]:
    """The processes that pid files name, on this machine; memory and time include those they have started.

    Args:
        files: each holds the number of one process.
        match: text that the command line must hold.

    Raises:
        ToolError: a file or its process is closed to us.
    """
    stems = Counter(file.stem for file in files)
    found: list[Seen] = []
    for file in files:
        seen = _by_pid_file(file, file.stem if stems[file.stem] == 1 else str(file), match)
        same = next((one for one in found if one.up and one.pid == seen.pid), None)
        if seen.up and same is not None:  # one process must not stand for two
            seen = replace(seen, up=False, state=f"gone: {seen.pid} is the process of {same.name}")
        found.append(seen)
    return found


def _by_pid_file(file: Path, name: str, match: str | None) -> Seen:
    try:
        about = file.stat()
        if not stat.S_ISREG(about.st_mode):  # a pipe would keep us waiting
            raise ToolError(f"the pid file {file} can't be read (it is no file); name pid files only")
        with file.open(encoding="utf-8", errors="replace") as stream:
            text, written = stream.read(100), about.st_mtime
    except FileNotFoundError:
        return Seen(name, f"{file.name} has gone", up=False)
    except OSError as error:
        raise ToolError(f"the pid file {file} can't be read ({error.strerror}); let us read it") from None
    first = (text.split() or [""])[0]
    if not first.isascii() or not first.isdigit() or not 0 < int(first) < 2**31:
        return Seen(name, f"{file.name} holds no number of a process", up=False)
    pid = int(first)
    try:
        process = psutil.Process(pid)
        state, started = process.status(), process.create_time()
        if started > written + _REUSED_S:
            return Seen(name, f"gone: {pid} is a process that started after {file.name} was written", up=False)
        if state == psutil.STATUS_ZOMBIE:
            return Seen(name, "zombie", up=False, pid=pid)
        line = " ".join(process.cmdline())
        if match is not None and match not in line:
            return Seen(name, f"gone: {pid} is another program, without {match!r} in its command line", up=False)
        memory, used = _usage(process)
    except psutil.NoSuchProcess:
        return Seen(name, f"gone: there is no process {pid}", up=False)
    except psutil.AccessDenied:
        raise ToolError(f"process {pid} of {file} can't be looked at; run as its user or as root") from None
    up = state not in {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP, psutil.STATUS_DEAD}
    return Seen(name, state, up, pid, started_at=started, memory_bytes=memory, cpu_s=used)


def _usage(process: psutil.Process) -> tuple[int, float]:
    """Memory in bytes and processor time in seconds, of the process and those below it."""
    own = process.cpu_times()
    memory, used = process.memory_info().rss, own.user + own.system + own.children_user + own.children_system
    for child in process.children(recursive=True):
        try:
            times = child.cpu_times()
            memory += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
        used += times.user + times.system + times.children_user + times.children_system
    return memory, used


def machine_memory() -> int:
    """Memory of this machine, or of the container that we run in, in bytes."""
    limits = [int(psutil.virtual_memory().total)]
    for file in _CONTAINER_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # another system; "max" is no limit
            limits.append(int(Path(file).read_text()))
    return min(limits)


def by_pm2(output: str, names: Sequence[str]) -> list[Seen]:
    """The applications of these names in what ``pm2 jlist`` printed; others are left out.

    Raises:
        TargetError: there is no list in it.
    """
    for start in re.finditer(r"^\s*(?=\[)", output, re.MULTILINE):
        try:
            listed, _ = json.JSONDecoder().raw_decode(output, start.end())
        except (ValueError, RecursionError):  # PM2 prints "[PM2] ..." before the list
            continue
        if isinstance(listed, list) and all(isinstance(one, dict) for one in listed):
            return [_of_pm2(one) for one in listed if one.get("name") in names]
    raise TargetError("pm2 jlist printed no list of processes; try it by hand, as the user that PM2 runs as")


def _of_pm2(entry: Mapping[str, Any]) -> Seen:
    env = entry.get("pm2_env") if isinstance(entry.get("pm2_env"), dict) else {}
    monit = entry.get("monit") if isinstance(entry.get("monit"), dict) else {}
    assert isinstance(env, dict)
    assert isinstance(monit, dict)
    state = str(env.get("status", "unknown"))
    pid, started, cpu = _number(entry.get("pid")), _number(env.get("pm_uptime")), _number(monit.get("cpu"))
    restarts, memory = _number(env.get("restart_time")), _number(monit.get("memory"))
    return Seen(
        name=f"{entry.get('name')} [{entry.get('pm_id')}]",
        state=state,
        up=state == "online" and bool(pid),
        pid=int(pid) if pid else None,
        restarts=None if restarts is None else int(restarts),
        started_at=None if started is None else started / 1000,
        memory_bytes=int(memory) if memory else None,
        cpu_percent=cpu,
        application=str(entry.get("name")),
    )


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _UNSET:
        return None
    return float(value) if math.isfinite(value) else None


def by_systemd(output: str) -> list[Seen]:
    """The units in what ``systemctl show`` printed of :data:`UNIT_PROPERTIES`, with times in UTC or since 1970.

    Raises:
        TargetError: it holds no unit.
        ToolError: its times are in another zone.
    """
    units = []
    for block in re.split(r"\n\s*\n", output):
        pairs = (line.partition("=") for line in block.splitlines() if "=" in line)
        unit = {key.strip(): value.strip() for key, _, value in pairs}
        if "Id" in unit and "ActiveState" in unit:
            units.append(_of_systemd(unit))
    if not units:
        raise TargetError("systemctl show printed no unit; try it by hand, as the user that runs the gates")
    return units


def _of_systemd(unit: Mapping[str, str]) -> Seen:
    loaded, active, sub = (unit.get(key, "") for key in ("LoadState", "ActiveState", "SubState"))
    state = f"{active} ({sub})" if loaded in {"loaded", ""} else loaded
    if unit.get("Result", "success") != "success":
        state += f", last result {unit['Result']}"
    pid, used = _count(unit.get("MainPID")), _count(unit.get("CPUUsageNSec"))
    return Seen(
        name=unit["Id"],
        state=state,
        up=(active, sub) == ("active", "running") and bool(pid),
        pid=pid or None,
        restarts=_count(unit.get("NRestarts")),
        started_at=_moment(unit.get("ExecMainStartTimestamp", "")),
        memory_bytes=_count(unit.get("MemoryCurrent")),
        cpu_s=None if used is None else used / 1e9,
    )


def _count(text: str | None) -> int | None:
    """A counter; ``None`` for ``[not set]`` and for the number that stands for it."""
    if not text or not text.isascii() or not text.isdigit() or len(text) > len(str(_UNSET)):
        return None
    return int(text) if int(text) < _UNSET else None


def _moment(text: str) -> float | None:
    if text in {"", "n/a", "0"}:
        return None
    if re.fullmatch(r"@\d+(\.\d+)?", text):
        return float(text[1:])
    found = re.fullmatch(r"(?:\w{3} )?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)? (\S+)", text)
    with contextlib.suppress(ValueError):  # the 45th of some month
        if found is not None and found[2] in {"UTC", "GMT"}:
            return datetime.fromisoformat(found[1]).replace(tzinfo=UTC).timestamp()
    raise ToolError(
        f"systemctl tells its times as {text!r}, allowed is UTC; begin process.command with env TZ=UTC, "
        'e.g. ["ssh", "app1", "env", "TZ=UTC", "systemctl"]'
    )
