"""How true the load's figures are, and what they cost, beside plain Locust, in one run.

    .venv/bin/python benchmarks/load.py [SECONDS]

A server in a process of its own answers in a known way and logs for each request how long it let it wait: its own
truth. It is asked at 60 and at 300 requests per second by the generator of the load gates, and by plain Locust
(FastHttpUser, ten users with a constant rate each), which is a closed model: a user who waits asks nothing.
Prints p50, p95, p99 and max of both against the truth of the same run, how late our requests left, and
requests per second of processor time.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent.parent / "src"))

from gonogo.arrivals import Stretch
from gonogo.probes.load import Plan, Request, prefer, run
from gonogo.statistics import quantile

LOCUSTFILE = Path(__file__).parent.parent / "tests" / "load" / "locustfile.py"
RATES = (60, 300)
USERS = 10
STALL_AFTER_S, STALL_S = 4.0, 2.0
USUAL_S, SLOW_S = 0.1, 2.0
QUANTILES = (0.5, 0.95, 0.99)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FAILURE = b"HTTP/1.1 500 Broken\r\nContent-Length: 2\r\n\r\nno"
AT_ONCE = "at once"
FULL_RPS = 6000
"""More than the generator can send with one processor; what it does send costs all of its time."""
SERVERS = ("constant 100 ms", "1 % at 2 s", "one 2-s stall", "1 % HTTP 500")

PLAIN = """
import json, os, time
from locust import FastHttpUser, constant, constant_throughput, events, task

class Asking(FastHttpUser):
    wait_time = constant_throughput(float(os.environ["EACH"])) if os.environ["EACH"] else constant(0)

    @task
    def ask(self):
        self.client.get("/")

@events.test_start.add_listener
def begin(environment, **_):
    environment.began = time.process_time()

@events.quitting.add_listener
def end(environment, **_):
    total = environment.stats.total
    figures = [total.get_response_time_percentile(q) for q in (0.5, 0.95, 0.99)] + [total.max_response_time]
    said = {"figures": figures, "n": total.num_requests, "failed": total.num_failures}
    said["cpu_s"] = time.process_time() - environment.began
    open(os.environ["SAID"], "w").write(json.dumps(said))
"""


async def _serve(kind: str, log: Path) -> None:
    """One server; every answer's time is logged when the process is told to end."""
    truth: list[tuple[float, float, bool]] = []
    begun = 0.0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal begun
        while await reader.readuntil(b"\r\n\r\n"):
            arrived = time.perf_counter()
            begun = begun or arrived
            number, since = len(truth), arrived - begun
            truth.append((0.0, 0.0, False))
            wait = USUAL_S
            if kind == AT_ONCE:
                truth[number] = (since, 0.01, False)
                writer.write(ANSWER)
                continue
            if kind == "1 % at 2 s" and number % 100 == 50:
                wait = SLOW_S
            if kind == "one 2-s stall":
                wait = 0.02 + max(STALL_AFTER_S + STALL_S - since, 0.0) * (since >= STALL_AFTER_S)
            bad = kind == "1 % HTTP 500" and number % 100 == 50
            await asyncio.sleep(wait)
            truth[number] = (since, (time.perf_counter() - arrived) * 1000, bad)
            writer.write(FAILURE if bad else ANSWER)

    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    prefer(os.getpid())  # as the generator: what else runs here is not the question
    server = await asyncio.start_server(quietly, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    log.write_text(json.dumps([one for one in truth if one[1]]))
    os._exit(0)


@contextmanager
def serving(kind: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """Address of a server, and the file that has its truth after the block."""
    log = folder / "truth.json"
    with subprocess.Popen(  # noqa: S603 - this file
        [sys.executable, __file__, "serve", kind, str(log)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}", log
        process.communicate()


def ours(url: str, rate: float, seconds: float) -> dict[str, Any]:
    """What the generator of the gates finds."""
    facts = run(Plan(url, (Request("/"),), (Stretch("steady", rate, seconds),)), LOCUSTFILE)
    found = facts.of("steady")
    return {
        "figures": [*(found.quantile_ms(q) for q in QUANTILES), found.max_ms],
        "n": found.requests,
        "failed": found.failures,
        "late_ms": facts.generator.lateness_p99_ms,
        "per_cpu_s": facts.requests_per_cpu_s,
    }


def plain(url: str, rate: float | None, seconds: float, folder: Path) -> dict[str, Any]:
    """What Locust finds by itself."""
    file, said = folder / "plain.py", folder / "said.json"
    file.write_text(PLAIN)
    command = [sys.executable, "-m", "locust", "-f", str(file), "--headless", "--users", str(USERS)]
    command += ["--spawn-rate", str(USERS), "--run-time", f"{math.ceil(seconds)}s", "--host", url, "--only-summary"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    environment = {**kept, "EACH": str(rate / USERS) if rate else "", "SAID": str(said), "HOME": str(folder)}
    command += ["--exit-code-on-error", "0"]
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        command,
        env=environment,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        prefer(process.pid)
    found: dict[str, Any] = json.loads(said.read_text())
    return {**found, "per_cpu_s": found["n"] / found["cpu_s"]}


def main(seconds: float) -> None:
    """Every server at every rate, both ways."""
    columns = (
        "server",
        "RPS",
        "asked by",
        "n",
        "errors",
        "p50",
        "p95",
        "p99",
        "max",
        "off by",
        "late p99",
        "per CPU-s",
    )
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    worst = 0.0
    for kind in SERVERS:
        for rate in RATES:
            for who in ("ours", "Locust"):
                with tempfile.TemporaryDirectory() as name:
                    folder = Path(name)
                    with serving(kind, folder) as (url, log):
                        ask = ours if who == "ours" else lambda u, r, s, folder=folder: plain(u, r, s, folder)
                        found = ask(url, rate, seconds)
                    truth = json.loads(log.read_text())
                waits = [wait for _, wait, _ in truth]
                true = [*(quantile(waits, q) for q in QUANTILES), max(waits)]
                off = max(abs(f - t) / t for f, t in zip(found["figures"], true, strict=True))
                worst = max(worst, off) if who == "ours" else worst
                pairs = " | ".join(f"{f:,.0f} ({t:,.0f})" for f, t in zip(found["figures"], true, strict=True))
                errors = f"{found['failed']} ({sum(bad for *_, bad in truth)})"
                late = f"{found['late_ms']:.1f} ms" if "late_ms" in found else ""
                print(
                    f"| {kind} | {rate} | {who} | {found['n']:,} | {errors} | {pairs} | {off:.1%} | {late} | "
                    f"{found['per_cpu_s']:,.0f} |",
                    flush=True,
                )
    print(f"\nours off the truth by at most {worst:.1%}")
    at_full_speed(seconds)


def at_full_speed(seconds: float) -> None:
    """What a request costs when there is nothing but requests: three rounds each, by turns."""
    costs: dict[str, list[float]] = {"ours": [], "Locust": []}
    for _ in range(3):
        for who, cost in costs.items():
            with tempfile.TemporaryDirectory() as name, serving(AT_ONCE, Path(name)) as (url, _log):
                found = ours(url, FULL_RPS, seconds) if who == "ours" else plain(url, None, seconds, Path(name))
            cost.append(found["per_cpu_s"])
    middle = {who: quantile(cost, 0.5) for who, cost in costs.items()}
    print(
        f"requests per CPU-second at full speed: ours {middle['ours']:,.0f}, FastHttpUser {middle['Locust']:,.0f}: "
        f"{middle['ours'] / middle['Locust']:.0%}"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(_serve(sys.argv[2], Path(sys.argv[3])))
    else:
        main(float(sys.argv[1]) if sys.argv[1:] else 15.0)
