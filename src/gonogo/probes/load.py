"""Puts load on a target with Locust, in processes of its own, and reads what came of it.

Locust replaces the standard library's sockets when it is imported, which would break the process
that asks. So it is started as a program, is told what to do by a file, and leaves one file of
exact values.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gonogo.arrivals import Stretch, schedule
from gonogo.errors import ToolError
from gonogo.loadfacts import LoadFacts, Row
from gonogo.loadrules import Generator, Limits

START_S = 20.0
"""How long Locust may take to start and to stop."""
LOOK_S = 0.25
PRIORITY = -15
"""Of the generator, if we may: what else runs on its machine should not make it late."""
LIMITED = "generator limited"
"""How a sentence begins that blames the side that asks."""

Told = Callable[[Mapping[str, float]], str]
"""Is told how the run goes, every now and then; what it returns, if anything, ends the run and says why."""


@dataclass(frozen=True)
class Request:
    """One kind of request of the mix."""

    path: str
    """``{n}`` in path and body becomes the request's number in the schedule."""
    weight: int = 1
    method: str = "GET"
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    undo: bool = False
    """Whether what it makes, as its answer's ``Location`` says, is deleted after the run."""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.path if self.method == "GET" else f"{self.method} {self.path}"


@dataclass(frozen=True)
class Workers:
    """Processes that ask, beside the one that puts their figures together."""

    local: int = 0
    """Started here; without any, and without remote ones, one process does all of it."""
    remote: int = 0
    """Awaited: ``locust -f ... --worker --master-host ...`` somewhere else."""
    bind: str = "127.0.0.1"
    """Address at which remote ones find us."""
    port: int = 0
    """Any free one if 0."""
    within_s: float = 30.0
    """How long remote ones may take to come."""

    @property
    def count(self) -> int:
        """How many."""
        return self.local + self.remote


@dataclass(frozen=True)
class Plan:
    """What load to put on what."""

    base_url: str
    requests: tuple[Request, ...]
    stretches: tuple[Stretch, ...]
    """The schedule: requests leave by it whether or not earlier ones have been answered."""
    limits: Mapping[str, Limits] = field(default_factory=dict)
    """By stretch: what can't be held any more ends the run; ``planned`` is filled in here."""
    poisson: bool = False
    """Random arrivals; otherwise they are evenly spaced."""
    seed: int = 0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of every request; may hold secrets."""
    counts_from_s: float = 0.0
    """Before that the generator may be late: it opens its connections."""
    timeout_s: float = 10.0
    """Limit in seconds for one request, from the time when it was due."""
    max_rps: float | None = None
    """Cap that the generator itself keeps: a schedule beyond it is refused before anything is sent."""
    workers: Workers = Workers()
    hooks: Sequence[Path] = ()
    """Files that Locust reads after the locustfile."""
    ca_file: Path | str | None = None
    hosts: Mapping[tuple[str, int], tuple[str, int]] = field(default_factory=dict)
    """Host and port of a URL to the address to connect to."""

    @property
    def duration_s(self) -> float:
        """Length of the schedule in seconds."""
        return math.fsum(stretch.duration_s for stretch in self.stretches)

    @property
    def limit_s(self) -> float:
        """Seconds after which the whole run is given up."""
        awaited = self.workers.within_s if self.workers.remote else 0.0
        undoing = 15.0 if any(request.undo for request in self.requests) else 0.0
        return START_S + self.duration_s + self.timeout_s + awaited + undoing

    def planned(self) -> dict[str, int]:
        """Requests that are due, by stretch."""
        chance = random.Random(self.seed)  # noqa: S311 - the same arrivals each time
        due = schedule(self.stretches, (lambda: chance.expovariate(1.0)) if self.poisson else None)
        ends = [math.fsum(s.duration_s for s in self.stretches[: i + 1]) for i in range(len(self.stretches))]
        before = [sum(moment < end - 1e-9 for moment in due) for end in ends]
        return {
            s.name: now - (before[i - 1] if i else 0)
            for i, (s, now) in enumerate(zip(self.stretches, before, strict=True))
        }


def run(plan: Plan, locustfile: Path, told: Told | None = None) -> LoadFacts:
    """Runs a locustfile that reads its job from a file and leaves its result as another.

    Args:
        plan: what load to put on what.
        locustfile: the file; its own text says what it reads.
        told: hears how the run goes, and may end it.

    Raises:
        ToolError: Locust or one of its workers did not start, crashed, fell silent or did not end in time, made no
            request, or is held back by the plan's cap.
    """
    planned = plan.planned()
    with tempfile.TemporaryDirectory(prefix="gonogo-load-") as folder:
        work = Path(folder)
        (work / "job.json").touch(mode=0o600)
        (work / "job.json").write_text(json.dumps(_job(plan, planned, work)), encoding="utf-8")
        with _processes(plan, locustfile, work) as processes:
            status = _wait(plan, work, processes, told)
        log = work / "locust.log"
        if not (work / "result.json").exists():
            ended = f"ended with status {status}" if status >= 0 else f"was ended by {signal.Signals(-status).name}"
            raise ToolError(f"Locust {ended} and left no result{_tail(log)}")
        raw = json.loads((work / "result.json").read_text(encoding="utf-8"))
        text = log.read_text(encoding="utf-8", errors="replace")
    if raw["error"]:
        raise ToolError(f"the generator broke: {raw['error']}")
    if not raw["due"] and not raw["lost"]:
        raise ToolError(f"Locust made no request, of {sum(planned.values())} planned; raise duration_s or rps")
    return _facts(plan, planned, raw, text)


def _job(plan: Plan, planned: Mapping[str, int], work: Path) -> dict[str, Any]:
    limits = {name: {**asdict(limit), "planned": planned[name]} for name, limit in plan.limits.items()}
    return {
        "base_url": plan.base_url,
        "stretches": [vars(stretch) for stretch in plan.stretches],
        "requests": [asdict(request) for request in plan.requests],
        "limits": limits,
        "poisson": plan.poisson,
        "seed": plan.seed,
        "headers": dict(plan.headers),
        "counts_from_s": plan.counts_from_s,
        "timeout_s": plan.timeout_s,
        "max_rps": plan.max_rps,
        "ca_pem": Path(plan.ca_file).read_text(encoding="ascii") if plan.ca_file else None,
        "hosts": {f"{host}:{port}": list(address) for (host, port), address in plan.hosts.items()},
        "result": str(work / "result.json"),
        "progress": str(work / "progress.json"),
        "stop": str(work / "stop"),
    }


@contextlib.contextmanager
def _processes(plan: Plan, locustfile: Path, work: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Locust and its local workers, each in a session of its own; all of them are gone at the end of the block."""
    workers = plan.workers
    files = ",".join(str(file.resolve()) for file in (locustfile, *plan.hooks))
    base = [sys.executable, "-m", "locust", "-f", files]
    first = [*base, "--headless", "--users", str(max(workers.count, 1)), "--spawn-rate", str(max(workers.count, 1))]
    first += ["--run-time", f"{math.ceil(plan.limit_s)}s", "--host", plan.base_url]
    first += ["--exit-code-on-error", "0", "--only-summary", "--stop-timeout", "1"]
    port = str(workers.port or _free_port())
    if workers.count:
        first += ["--master", "--master-bind-host", workers.bind, "--master-bind-port", port]
        first += ["--expect-workers", str(workers.count), "--expect-workers-max-wait", f"{workers.within_s:.0f}"]
    near = "127.0.0.1" if workers.bind in {"0.0.0.0", "::"} else workers.bind  # noqa: S104 - the plan's, compared only
    more = [*base, "--worker", "--master-host", near, "--master-port", port]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for number, command in enumerate([first, *[more] * workers.local]):
            log = work / ("locust.log" if number == 0 else f"worker-{number}.log")
            with log.open("wb") as output:
                process = subprocess.Popen(  # noqa: S603 - our own interpreter; what varies comes from the plan
                    command,
                    cwd=work,
                    env=_environment(work, leads=number == 0),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            started.append(process)
            prefer(process.pid)
        yield started
    finally:
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def prefer(pid: int) -> None:
    """Let a process, and the session that it leads, run before others, if we may."""
    with contextlib.suppress(OSError):  # who may not, and what is gone already
        os.setpriority(os.PRIO_PROCESS, pid, PRIORITY)
        # Where the kernel groups sessions, priorities count within each only (sched(7), autogroup).
        Path(f"/proc/{pid}/autogroup").write_text(str(PRIORITY), encoding="ascii")


def _wait(plan: Plan, work: Path, processes: Sequence[subprocess.Popen[bytes]], told: Told | None) -> int:
    """Waits for the first process, and tells how it goes; its exit status.

    Raises:
        ToolError: it did not end in time, or a worker ended before it.
    """
    first, workers = processes[0], processes[1:]
    ends = time.monotonic() + plan.limit_s
    while first.poll() is None:
        if time.monotonic() > ends:
            raise ToolError(f"Locust did not end within {plan.limit_s:g} s{_tail(work / 'locust.log')}")
        for number, worker in enumerate(workers, 1):
            if worker.poll() is not None and not (work / "result.json").exists() and first.poll() is None:
                said = _tail(work / f"worker-{number}.log")
                raise ToolError(
                    f"{LIMITED}: worker {number} of {len(workers)} ended in mid-run with status "
                    f"{worker.returncode}{said}"
                )
        if told is not None and (work / "progress.json").exists():
            why = told(json.loads((work / "progress.json").read_text(encoding="utf-8")))
            if why and not (work / "stop").exists():
                (work / "stop.part").write_text(why, encoding="utf-8")
                (work / "stop.part").replace(work / "stop")
        time.sleep(LOOK_S)
    return first.returncode


def _environment(work: Path, *, leads: bool) -> dict[str, str]:
    """Ours, without what would give Locust other orders."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LOCUST_", "GONOGO_LOAD_"))}
    own = {"HOME": str(work), "PYTHONUNBUFFERED": "1", "GONOGO_LOAD_PARENT": str(os.getpid())}
    return {**kept, **own, **({"GONOGO_LOAD_JOB": str(work / "job.json")} if leads else {})}


def _facts(plan: Plan, planned: Mapping[str, int], raw: dict[str, Any], log: str) -> LoadFacts:
    names = [request.name for request in plan.requests]
    columns = zip(raw["due"], raw["latency"], raw["request"], raw["kind"], strict=True)
    rows = tuple(Row(due, latency, names[request], raw["kinds"][kind]) for due, latency, request, kind in columns)
    moments = zip(raw["due"], raw["late"], strict=True)
    late = sorted(late for due, late in moments if due >= plan.counts_from_s - 1e-9)
    told = raw["generators"]
    generator = Generator(
        lateness_p99_ms=late[math.ceil(0.99 * len(late)) - 1] if late else 0.0,
        lag_p99_ms=max((one["lag_p99_ms"] for one in told), default=0.0),
        cpu_share=max((one["cpu_share"] for one in told), default=0.0),
        dropped=sum(one["dropped"] for one in told),
        lost=tuple(raw["lost"]),
    )
    cpu_s = sum(one["cpu_s"] for one in told)
    return LoadFacts(
        stretches=plan.stretches,
        planned=planned,
        rows=rows,
        generator=generator,
        generators=len(told),
        requests_per_cpu_s=len(rows) / cpu_s if cpu_s else 0.0,
        stopped=raw["stopped"],
        created=sum(one["created"] for one in told),
        left=tuple(place for one in told for place in one["left"]),
        log=log,
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _tail(log: Path) -> str:
    """The last thing Locust said, as the end of a sentence."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    said = [line for line in lines if line]
    return f"; its last words: {said[-1][:300]}" if said else "; it said nothing"
