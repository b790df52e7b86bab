"""Puts load on a target with Locust, in a process of its own, and reads what came of it.

Locust replaces the standard library's sockets when it is imported, which would break the process
that asks. So it is started as a program, is told what to do through its environment, and leaves
one file of exact values.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gonogo.errors import ToolError

START_S = 20.0
"""How long Locust may take to start and to stop."""


@dataclass(frozen=True)
class Plan:
    """What load to put on what."""

    base_url: str
    requests: tuple[tuple[str, int], ...]
    """Paths and their weights."""
    rps: float
    """Requests offered per second, whether or not earlier ones have been answered."""
    duration_s: float
    warmup_s: float = 3.0
    timeout_s: float = 10.0
    """Limit in seconds for one request, from the time when it was due."""
    ca_file: Path | str | None = None
    hosts: Mapping[tuple[str, int], tuple[str, int]] = field(default_factory=dict)
    """Host and port of a URL to the address to connect to."""
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Headers of every request; they reach Locust by its environment, which others can't read."""

    @property
    def limit_s(self) -> float:
        """Seconds after which the whole run is given up."""
        return START_S + self.warmup_s + self.duration_s + self.timeout_s


@dataclass(frozen=True)
class PathFacts:
    """What came of one path."""

    path: str
    requests: int
    failures: int
    p50_ms: float
    p95_ms: float
    max_ms: float


@dataclass(frozen=True)
class LoadFacts:
    """What came of the requests that count; the warm-up is left out."""

    planned: int
    sent: int
    failures: int
    """Failed and unfinished ones."""
    unfinished: int
    """Neither answered nor given up when the run ended."""
    kinds: Mapping[str, int]
    """How often each kind of failure was seen."""
    duration_s: float
    achieved_rps: float
    """Good answers that were complete within the measured time, per second."""
    latencies_ms: tuple[float, ...] = field(repr=False)
    """From the due time of each request, failed ones included, in the order in which they ended;
    infinite for those that never did."""
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    lateness_p99_ms: float
    """How late the generator itself was."""
    lateness_max_ms: float
    paths: tuple[PathFacts, ...]
    warmup_requests: int
    warmup_failures: int
    log: str = field(repr=False)
    """What Locust wrote."""

    @property
    def error_rate(self) -> float:
        """Share of the sent requests that failed."""
        return self.failures / self.sent

    def summary(self) -> dict[str, Any]:
        """Everything but the log, for a JSON file; what is infinite becomes ``None``."""
        document = {key: value for key, value in vars(self).items() if key != "log"}
        document["paths"] = [vars(one) for one in self.paths]
        document["error_rate"] = self.error_rate
        document["kinds"] = dict(self.kinds)
        cleaned: dict[str, Any] = _finite(document)
        return cleaned


def run(plan: Plan, locustfile: Path) -> LoadFacts:
    """Runs a locustfile that understands ``GONOGO_LOAD_*`` and leaves its result as a file.

    Args:
        plan: what load to put on what.
        locustfile: the file; its own text says what it reads.

    Raises:
        ToolError: Locust did not start, crashed, did not end in time, or made no request.
    """
    with tempfile.TemporaryDirectory(prefix="gonogo-load-") as folder:
        work = Path(folder)
        result, log = work / "result.json", work / "locust.log"
        with log.open("wb") as output, _process(plan, locustfile, work, result, output) as process:
            try:
                status = process.wait(plan.limit_s)
            except subprocess.TimeoutExpired:
                raise ToolError(f"Locust did not end within {plan.limit_s:g} s{_tail(log)}") from None
        if not result.exists():
            raise ToolError(f"Locust ended with status {status} and left no result{_tail(log)}")
        raw = json.loads(result.read_text(encoding="utf-8"))
        text = log.read_text(encoding="utf-8", errors="replace")
    if not raw["sent"] or not raw["latencies_ms"]:
        raise ToolError(f"Locust made no request that counts, of {raw['planned']} planned; raise duration_s or rps")
    if status != 0:
        raise ToolError(f"Locust ended with status {status}: {text.strip().splitlines()[-1:]}")
    return _facts(raw, text)


@contextlib.contextmanager
def _process(
    plan: Plan, locustfile: Path, work: Path, result: Path, output: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Locust in a session of its own; all of it is gone at the end of the block."""
    command = [sys.executable, "-m", "locust", "-f", str(locustfile.resolve()), "--headless"]
    command += ["--users", "1", "--spawn-rate", "1", "--run-time", f"{math.ceil(plan.limit_s)}s"]
    command += ["--host", plan.base_url, "--exit-code-on-error", "0", "--only-summary", "--stop-timeout", "1"]
    process = subprocess.Popen(  # noqa: S603 - our own interpreter; what varies comes from the plan
        command,
        cwd=work,
        env=_environment(plan, work, result),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _environment(plan: Plan, work: Path, result: Path) -> dict[str, str]:
    """Our own settings, and none that a person or a file of theirs has made for Locust."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("LOCUST_", "GONOGO_LOAD_"))}
    hosts = {f"{host}:{port}": list(address) for (host, port), address in plan.hosts.items()}
    return inherited | {
        "HOME": str(work),  # where a .locust.conf would be looked for
        "PYTHONUNBUFFERED": "1",
        "GONOGO_LOAD_HOST": plan.base_url,
        "GONOGO_LOAD_RPS": repr(plan.rps),
        "GONOGO_LOAD_DURATION_S": repr(plan.duration_s),
        "GONOGO_LOAD_WARMUP_S": repr(plan.warmup_s),
        "GONOGO_LOAD_TIMEOUT_S": repr(plan.timeout_s),
        "GONOGO_LOAD_REQUESTS": json.dumps([{"path": p, "weight": w} for p, w in plan.requests]),
        "GONOGO_LOAD_HOSTS": json.dumps(hosts),
        "GONOGO_LOAD_HEADERS": json.dumps(dict(plan.credentials)),
        "GONOGO_LOAD_CA_FILE": str(Path(plan.ca_file).resolve()) if plan.ca_file else "",
        "GONOGO_LOAD_RESULT": str(result),
        "GONOGO_LOAD_PARENT": str(os.getpid()),
    }


def _facts(raw: dict[str, Any], log: str) -> LoadFacts:
    unfinished = int(raw["unfinished"])
    latencies: list[float] = [*raw["latencies_ms"], *[math.inf] * unfinished]
    kinds = Counter(kind for kind in raw["failures"] if kind)
    if unfinished:
        kinds["unfinished"] = unfinished
    lateness = sorted(raw["lateness_ms"])
    ordered = sorted(latencies)
    return LoadFacts(
        planned=raw["planned"],
        sent=raw["sent"],
        failures=sum(kinds.values()),
        unfinished=unfinished,
        kinds=dict(kinds.most_common()),
        duration_s=raw["duration_s"],
        achieved_rps=raw["in_window"] / raw["duration_s"],
        latencies_ms=tuple(latencies),
        p50_ms=_quantile(ordered, 0.5),
        p95_ms=_quantile(ordered, 0.95),
        p99_ms=_quantile(ordered, 0.99),
        max_ms=ordered[-1],
        lateness_p99_ms=_quantile(lateness, 0.99),
        lateness_max_ms=lateness[-1],
        paths=_by_path(raw),
        warmup_requests=raw["warmup_requests"],
        warmup_failures=raw["warmup_failures"],
        log=log,
    )


def _by_path(raw: dict[str, Any]) -> tuple[PathFacts, ...]:
    rows = list(zip(raw["paths"], raw["latencies_ms"], raw["failures"], strict=True))
    table = []
    for path in dict.fromkeys(raw["paths"]):
        own = sorted(latency for p, latency, _ in rows if p == path)
        failed = sum(bool(kind) for p, _, kind in rows if p == path)
        table.append(PathFacts(path, len(own), failed, _quantile(own, 0.5), _quantile(own, 0.95), own[-1]))
    return tuple(table)


def _quantile(ordered: Sequence[float], q: float) -> float:
    """The smallest observed value that at least a share ``q`` does not exceed."""
    return ordered[max(math.ceil(q * len(ordered) - 1e-9), 1) - 1]


def _tail(log: Path) -> str:
    """The last thing Locust said, as the end of a sentence."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    said = [line for line in lines if line]
    return f"; its last words: {said[-1][:300]}" if said else "; it said nothing"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value
