"""How true the load's figures are, and what they cost, beside plain Locust, in one run.

    .venv/bin/python benchmarks/load.py [SECONDS]

A server in a process of its own answers in a known way and logs of each request how long it let it wait: its own
truth. It is asked at 60 and at 300 requests per second by the generator of the load gates, and by plain Locust
(FastHttpUser, ten users with a constant rate each), which is a closed model: a user who waits asks nothing. Both
have a warm-up of three seconds, as the gates have, which neither they nor the server count. Prints p50, p95, p99
and max of both with their distance from the truth of the same run, how late our requests left, and requests per
second of processor time.

A request's time begins when the server's kernel gets it, not when the server does: that could not see what waited
while it stood still, neither in the stall that is asked for nor in one of its machine's.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import math
import os
import resource
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent.parent / "src"))

from gonogo.arrivals import Stretch
from gonogo.probes.load import Plan, Request, prefer, run
from gonogo.statistics import quantile

LOCUSTFILE = Path(__file__).parent.parent / "tests" / "load" / "locustfile.py"
RATES = (60, 300)
USERS = 10
WARM_S = 3.0
STALL_AFTER_S, STALL_S = WARM_S + 2.0, 2.0
"""Counted from the first request of the warm-up."""
USUAL_S, SLOW_S = 0.1, 2.0
QUANTILES = (0.5, 0.95, 0.99)
NEAR = 0.02
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FAILURE = b"HTTP/1.1 500 Broken\r\nContent-Length: 2\r\n\r\nno"
AT_ONCE = "at once"
STAMP = 35
"""SO_TIMESTAMPNS of Linux, see socket(7): the kernel says when it got what is read."""
FULL_RPS = 10_000
"""More than one processor can send: so the generator is the limit, as it is for Locust's users, who never pause."""
COST_ROUNDS, COST_S = 5, 4.0
SERVERS = ("constant 100 ms", "1 % at 2 s", "one 2-s stall", "1 % HTTP 500")
COLUMNS = ("server", "RPS", "asked by", "n", "errors", "p50", "p95", "p99", "max", "late p99", "per CPU-s")
COLUMNS += ("others",)

PLAIN = """
import json, os, random, time
import gevent
from locust import FastHttpUser, constant, constant_throughput, events, task

began = time.perf_counter()
warm_s, each = float(os.environ["WARM_S"]), float(os.environ["EACH"] or 0)

class Asking(FastHttpUser):
    wait_time = constant_throughput(each) if each else constant(0)

    def on_start(self):
        gevent.sleep(random.random() / each if each else 0)  # not all users at the same moment

    @task
    def ask(self):
        self.client.get("/" if time.perf_counter() - began > warm_s else "/warm")

@events.spawning_complete.add_listener
def begin(user_count, **_):
    global began, cpu
    began, cpu = time.perf_counter(), time.process_time()

@events.quitting.add_listener
def end(environment, **_):
    spent = time.process_time() - cpu
    asked = environment.stats.total.num_requests
    one = environment.stats.get("/", "GET")
    figures = [one.get_response_time_percentile(q) for q in (0.5, 0.95, 0.99)] + [one.max_response_time]
    said = {"figures": figures, "n": one.num_requests, "failed": one.num_failures, "per_cpu_s": asked / spent}
    open(os.environ["SAID"], "w").write(json.dumps(said))
"""


class Server:
    """Answers in its way, one request at a time on each connection."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.truth: list[tuple[str, float, bool]] = []
        """Path, milliseconds from its arrival to the answer's being written, and whether that was an error."""
        self.asked = 0
        self.loop = asyncio.get_running_loop()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.listener.setblocking(False)
        self.listener.setsockopt(socket.SOL_SOCKET, STAMP, 1)
        self.loop.add_reader(self.listener, self.accept)

    def accept(self) -> None:
        """Takes whoever waits."""
        with contextlib.suppress(BlockingIOError):
            while True:
                connection, _ = self.listener.accept()
                connection.setblocking(False)
                self.loop.add_reader(connection, self.read, connection)

    def read(self, connection: socket.socket) -> None:
        """Sees to it that one request is answered in time."""
        data, notes = b"", []
        with contextlib.suppress(ConnectionResetError):
            data, notes, _, _ = connection.recvmsg(4096, 64)
        if not data:
            self.loop.remove_reader(connection)
            connection.close()
            return
        path = data.split(b" ", 2)[1].decode()
        if self.kind == AT_ONCE:
            connection.send(ANSWER)
            return
        # By the kernel's clock: it has the request before we know of it, and much before if we stand still.
        seconds, nano = next(struct.unpack("qq", note) for _, what, note in notes if what == STAMP)
        if not self.asked and self.kind == "one 2-s stall":
            self.loop.call_later(STALL_AFTER_S, time.sleep, STALL_S)  # all of it stands still
        self.asked += 1
        odd = self.asked % 100 == 50
        bad = self.kind == "1 % HTTP 500" and odd
        wait = SLOW_S if self.kind == "1 % at 2 s" and odd else USUAL_S
        self.loop.call_later(wait, self.answer, connection, path, seconds * 10**9 + nano, bad)

    def answer(self, connection: socket.socket, path: str, arrived_ns: int, bad: bool) -> None:
        """Writes the answer, and the truth."""
        with contextlib.suppress(OSError):  # the other one may have gone
            connection.send(FAILURE if bad else ANSWER)
        self.truth.append((path, (time.time_ns() - arrived_ns) / 1e6, bad))


async def _serve(kind: str, log: Path) -> None:
    """One server; every answer's time is logged when the process is told to end."""
    prefer(os.getpid())  # as the generator: what else runs here is not the question
    server = Server(kind)
    print(server.listener.getsockname()[1], flush=True)
    gc.collect()
    gc.freeze()
    await server.loop.run_in_executor(None, sys.stdin.read)
    log.write_text(json.dumps(server.truth))
    os._exit(0)


@contextlib.contextmanager
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


def ours(url: str, rate: float, seconds: float, path: str = "/", warm_s: float = 0.0) -> dict[str, Any]:
    """What the generator of the gates finds."""
    stretches = (Stretch("warm-up", rate, warm_s), Stretch("steady", rate, seconds))
    plan = Plan(url, (Request(path),), tuple(one for one in stretches if one.duration_s), counts_from_s=warm_s)
    facts = run(plan, LOCUSTFILE)
    found = facts.of("steady")
    return {
        "figures": [*(found.quantile_ms(q) for q in QUANTILES), found.max_ms],
        "n": found.requests,
        "failed": found.failures,
        "late_ms": facts.generator.lateness_p99_ms,
        "per_cpu_s": facts.requests_per_cpu_s,
    }


def plain(url: str, rate: float | None, seconds: float, folder: Path, warm_s: float = 0.0) -> dict[str, Any]:
    """What Locust finds by itself; as fast as it can without a rate."""
    file, said = folder / "plain.py", folder / "said.json"
    file.write_text(PLAIN)
    command = [sys.executable, "-m", "locust", "-f", str(file), "--headless", "--users", str(USERS)]
    command += ["--spawn-rate", str(USERS), "--run-time", f"{math.ceil(seconds + warm_s)}s", "--host", url]
    command += ["--only-summary", "--exit-code-on-error", "0"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    own = {"EACH": str(rate / USERS) if rate else "", "SAID": str(said), "HOME": str(folder)}
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        command,
        env={**kept, **own, "WARM_S": str(warm_s)},
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        prefer(process.pid)
    found: dict[str, Any] = json.loads(said.read_text())
    return found


def busy_s() -> tuple[float, float]:
    """Seconds of processor time that this machine has spent, steal included, and those that ended children had."""
    ticks = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
    spent = sum(int(one) for place, one in enumerate(ticks) if place not in {3, 4}) / os.sysconf("SC_CLK_TCK")
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent, children.ru_utime + children.ru_stime


def beside(kind: str, rate: int, who: str, seconds: float) -> tuple[dict[str, Any], list[tuple[float, bool]]]:
    """What one of the two found, and what the server knows of the same requests.

    ``others``: share of the machine's processors that whoever else had.
    """
    begun, (before, own_before) = time.perf_counter(), busy_s()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serving(kind, folder) as (url, log):
            if who == "ours":
                found = ours(url, rate, seconds, "/{n}", WARM_S)
            else:
                found = plain(url, rate, seconds, folder, WARM_S)
        truth = [(path.removeprefix("/"), wait, bad) for path, wait, bad in json.loads(log.read_text())]
    after, own = busy_s()
    capacity = (time.perf_counter() - begun) * (os.cpu_count() or 1)
    found["others"] = max(after - before - (own - own_before), 0.0) / capacity
    warming = rate * WARM_S  # the number of the first request that counts
    counted = [(w, bad) for path, w, bad in truth if path != "warm" and int(path or warming) >= warming]
    return found, counted


def cells(found: Sequence[float], truth: Sequence[float]) -> list[str]:
    """Each figure with the server's and how far it is from it, thick if that is too far."""
    said = []
    for one, true in zip(found, truth, strict=True):
        text = f"{one:,.1f} ({true:,.1f}) {one / true - 1:+.1%}"
        said.append(f"**{text}**" if abs(one / true - 1) > NEAR else text)
    return said


def main(seconds: float) -> None:
    """Every server at every rate, both ways."""
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    good = {"ours": 0, "Locust": 0}
    errors = dict(good)
    for kind in SERVERS:
        for rate in RATES:
            for who in good:
                found, truth = beside(kind, rate, who, seconds)
                waits = [wait for wait, _ in truth]
                figures = cells(found["figures"], [*(quantile(waits, q) for q in QUANTILES), max(waits)])
                good[who] += sum("**" not in cell for cell in figures)
                failed = sum(bad for _, bad in truth)
                errors[who] += found["failed"] != failed
                late = f"{found['late_ms']:.1f} ms" if "late_ms" in found else ""
                row = [kind, str(rate), who, f"{found['n']:,}", f"{found['failed']} ({failed})", *figures, late]
                row += [f"{found['per_cpu_s']:,.0f}", f"{found['others']:.0%}"]
                print(f"| {' | '.join(row)} |", flush=True)
    print(f"\nIn brackets the server's truth, in ms; thick: further from it than {NEAR:.0%}.")
    print("Others: share of this machine's processor time that somebody else had meanwhile.")
    every = len(SERVERS) * len(RATES) * (len(QUANTILES) + 1)
    for who, count in good.items():
        print(f"{who}: {count} of {every} figures within {NEAR:.0%}, {errors[who]} error counts wrong")
    cost("at full speed", None)
    cost(f"at {RATES[-1]} a second", RATES[-1])


def cost(what: str, rate: float | None) -> None:
    """What a request costs the generator, of a server that answers at once: several rounds each, by turns."""
    costs: dict[str, list[float]] = {"ours": [], "Locust": []}
    for _ in range(COST_ROUNDS):
        for who, found in costs.items():
            with tempfile.TemporaryDirectory() as name, serving(AT_ONCE, Path(name)) as (url, _log):
                if who == "ours":
                    said = ours(url, rate or FULL_RPS, COST_S)
                else:
                    said = plain(url, rate, COST_S, Path(name))
            found.append(said["per_cpu_s"])
    middle = {who: quantile(found, 0.5) for who, found in costs.items()}
    pairs = ", ".join(f"{a / b:.0%}" for a, b in zip(costs["ours"], costs["Locust"], strict=True))
    print(
        f"requests per CPU-second {what}: ours {middle['ours']:,.0f}, FastHttpUser {middle['Locust']:,.0f}: "
        f"{middle['ours'] / middle['Locust']:.0%} (rounds: {pairs})",
        flush=True,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(_serve(sys.argv[2], Path(sys.argv[3])))
    else:
        main(float(sys.argv[1]) if sys.argv[1:] else 15.0)
