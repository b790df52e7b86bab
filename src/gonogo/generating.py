"""A program: requests on a schedule and WebSockets beside them, each told on standard output as it ends.

``python -m gonogo.generating`` reads one line of JSON (:class:`Task`) and works until its standard input ends.
A line ``socket`` opens one more WebSocket; ``fresh SERIES N PATH`` asks for a path N times over new connections,
``fresh`` alone ends that. Open model: a request leaves when it is due, whether or not those before it were
answered, and its latency counts from then. Times are those of the machine's monotonic clock.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gonogo.wire import Asked, Client, Orders, WireError, listen, open_socket

_FLUSH_S = 0.05
_AT_ONCE = 4
_MOST_OUT = 2000
"""Requests that may wait at once; one that is due beyond them is told as dropped, which is our own fault."""


@dataclass(frozen=True)
class Task(Asked):
    """What to do; the keys of the first line of standard input."""

    requests: Sequence[tuple[str, int]]
    """Paths and their weights."""
    rps: float
    timeout_s: float
    """For one request, from the moment when it is due."""
    release_header: str
    fresh_every: int
    """Each so many-th request has a connection of its own; 0 for none."""
    socket_path: str
    sockets: int
    first_message_s: float


def mix(requests: Sequence[tuple[str, int]]) -> Iterator[str]:
    """Paths without end, each as often as its weight says and spread as evenly as can be."""
    credit = dict.fromkeys((path for path, _ in requests), 0)
    total = sum(weight for _, weight in requests)
    while True:
        for path, weight in requests:
            credit[path] += weight
        chosen = max(credit, key=lambda path: credit[path])
        credit[chosen] -= total
        yield chosen


class Generator:
    """All that goes on in this program."""

    def __init__(self, task: Task, orders: Orders) -> None:
        self._task = task
        self._orders = orders
        self._context = task.place.context()
        self._client = Client(task.place, self._context)
        self._lines: list[str] = []
        self._stopping = asyncio.Event()
        self._out: set[asyncio.Task[None]] = set()
        self._sockets: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)

    async def run(self) -> None:
        """Work until standard input ends, and then until what is out has ended."""
        self._afresh = asyncio.create_task(asyncio.sleep(0))
        asyncio.get_running_loop().add_reader(self._orders.fileno(), self._told)
        writing = asyncio.create_task(self._keep_writing())
        for _ in range(self._task.sockets):
            self._add_socket()
        await self._offer()
        self._afresh.cancel()
        if self._out:
            await asyncio.wait(self._out, timeout=self._task.timeout_s + 1)
        for one in self._sockets:
            one.cancel()
        await asyncio.gather(*self._sockets, return_exceptions=True)
        writing.cancel()
        self._say("e", time.monotonic(), time.process_time())
        self._write()
        self._client.close()

    def _told(self) -> None:
        lines = self._orders.lines()
        for line in lines or ():
            self._do(line)
        if lines is None:
            asyncio.get_running_loop().remove_reader(self._orders.fileno())
            self._stopping.set()

    def _do(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "socket":
            self._add_socket()
        elif word == "fresh":
            self._afresh.cancel()
            if rest:
                series, number, path = rest.split(" ", 2)
                self._afresh = asyncio.create_task(self._ask_afresh(series, int(number), path))

    async def _offer(self) -> None:
        task, started = self._task, time.monotonic()
        for number, path in enumerate(mix(task.requests)):
            due = started + number / task.rps
            while (left := due - time.monotonic()) > 0 and not self._stopping.is_set():
                await asyncio.sleep(min(left, 0.2))
            if self._stopping.is_set():
                return
            if len(self._out) >= _MOST_OUT:
                self._say("r", due, 0.0, "dropped", "", 0.0, path)
                continue
            fresh = bool(task.fresh_every) and number % task.fresh_every == 0
            one = asyncio.create_task(self._one("r", path, due, fresh=fresh))
            self._out.add(one)
            one.add_done_callback(self._out.discard)

    async def _ask_afresh(self, series: str, number: int, path: str) -> None:
        """So many questions over new connections, a few at a time, each as soon as there is room for it."""
        left = iter(range(number))

        async def some() -> None:
            for _ in left:
                await self._one(f"v{series}", path, time.monotonic(), fresh=True)

        await asyncio.gather(*(some() for _ in range(_AT_ONCE)))

    async def _one(self, kind: str, path: str, due: float, *, fresh: bool) -> None:
        late_ms = (time.monotonic() - due) * 1000
        failure, release = "timeout", ""
        try:
            async with asyncio.timeout_at(due + self._task.timeout_s):
                reply = await self._client.get(path, fresh=fresh)
            release = reply.headers.get(self._task.release_header.lower(), "")
            failure = reply.failure
        except TimeoutError:
            pass
        except WireError as error:
            failure = str(error)
        self._say(kind, due, (time.monotonic() - due) * 1000, failure, release, late_ms, path)

    def _add_socket(self) -> None:
        if not self._stopping.is_set():
            self._sockets.add(asyncio.create_task(self._socket(next(self._numbers))))

    async def _socket(self, number: int) -> None:
        task = self._task
        try:
            connection = await open_socket(task.place, self._context, task.socket_path, task.timeout_s)
        except WireError as error:
            self._say("s", time.monotonic(), number, "refused", str(error))
            return
        async with connection:
            try:
                async with asyncio.timeout(task.first_message_s):
                    await connection.recv()
            except TimeoutError:
                self._say("s", time.monotonic(), number, "silent", f"no message in {task.first_message_s:g} s")
            except Exception as error:  # noqa: BLE001 - however it ended, it ended before it spoke
                self._say("s", time.monotonic(), number, "lost", str(error)[:80])
                return
            else:
                self._say("s", time.monotonic(), number, "open", "")
            why = await listen(connection)
            self._say("s", time.monotonic(), number, "lost", why)

    def _say(self, *what: Any) -> None:
        self._lines.append(json.dumps(what))

    async def _keep_writing(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_S)
            self._write()

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            sys.stdout.write("\n".join(lines) + "\n")
            sys.stdout.flush()


def main() -> None:
    """Do what the first line of standard input says."""
    orders = Orders(sys.stdin.fileno())
    task = Task.read(orders.first())

    async def work() -> None:
        await Generator(task, orders).run()

    asyncio.run(work())


if __name__ == "__main__":
    main()
