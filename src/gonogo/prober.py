"""A program: asks a service all the time, from before its deployment until after its ramp.

``python -m gonogo.prober FILE`` reads one line of JSON (:class:`Task`) on standard input, goes into the background
and appends a line of JSON to the file for each second, each failure and each change of the live channel. It is a
process of its own, so that whoever deploys can't blind it. It ends on SIGTERM, with the process that it follows, or
by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gonogo.wire import Asked, Client, WireError, listen, open_socket

_SECOND = 1.0
_AGAIN_S = 0.1
"""Pause before the live channel is opened again."""


@dataclass(frozen=True)
class Task(Asked):
    """What to ask."""

    fresh_path: str
    """Gets a new connection each time."""
    kept_path: str
    """Asked for over a connection that is kept."""
    per_s: float
    timeout_s: float
    socket_path: str
    """Of the live channel; empty for none."""
    max_s: float
    follow: int
    """Id of the process with which this one ends; 0 for none."""


class Prober:
    """All that goes on in this program; moments in the file are seconds since the epoch."""

    def __init__(self, task: Task, file: Path) -> None:
        self._task = task
        self._file = file.open("a", encoding="utf-8")
        self._context = task.place.context()
        self._client = Client(task.place, self._context)
        self._offset = time.time() - time.monotonic()  # one reading: a clock that is set must not tear a gap
        self._stop = asyncio.Event()
        self._asked = self._failed = 0
        self._late_s = self._gap_s = 0.0
        self._good_at = dict.fromkeys((False, True), time.monotonic())
        """When the last good answer came over a kept connection, and over a new one."""
        self._out: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Ask until told to stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        jobs = [self._keep_asking(self._task.fresh_path, fresh=True), self._keep_telling()]
        jobs.append(self._keep_asking(self._task.kept_path, fresh=False))
        if self._task.socket_path:
            jobs.append(self._keep_listening())
        running = [asyncio.create_task(job) for job in jobs]
        await self._stop.wait()
        for job in running:
            job.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._out:
            await asyncio.wait(self._out, timeout=self._task.timeout_s)
        self._second()
        self._tell(kind="end")
        self._client.close()

    async def _keep_asking(self, path: str, *, fresh: bool) -> None:
        started = time.monotonic()
        number = 0
        while True:
            due = started + number / self._task.per_s
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            number += 1
            one = asyncio.create_task(self._one(path, due, fresh=fresh))
            self._out.add(one)
            one.add_done_callback(self._out.discard)

    async def _one(self, path: str, due: float, *, fresh: bool) -> None:
        self._late_s = max(self._late_s, time.monotonic() - due)
        why = "timeout"
        try:
            async with asyncio.timeout_at(due + self._task.timeout_s):
                reply = await self._client.get(path, fresh=fresh)
            why = reply.failure
        except TimeoutError:
            pass
        except WireError as error:
            why = str(error)
        now = time.monotonic()
        self._asked += 1
        if why:
            self._failed += 1
            self._tell(kind="failure", due=self._offset + due, path=path, why=why)
        else:
            self._gap_s = max(self._gap_s, now - self._good_at[fresh])
            self._good_at[fresh] = now

    async def _keep_telling(self) -> None:
        ends = time.monotonic() + self._task.max_s
        while time.monotonic() < ends and self._followed():
            await asyncio.sleep(_SECOND)
            self._second()
        self._stop.set()

    def _followed(self) -> bool:
        if not self._task.follow:
            return True
        try:
            os.kill(self._task.follow, 0)
        except ProcessLookupError:
            return False
        return True

    def _second(self) -> None:
        # What is still without a good answer is a gap as well, as long as it already is.
        gap_s = max(self._gap_s, time.monotonic() - min(self._good_at.values()))
        self._tell(kind="second", asked=self._asked, failed=self._failed, late_s=self._late_s, gap_s=gap_s)
        self._asked = self._failed = 0
        self._late_s = self._gap_s = 0.0

    async def _keep_listening(self) -> None:
        lost_at: float | None = None
        while True:
            try:
                connection = await open_socket(
                    self._task.place, self._context, self._task.socket_path, self._task.timeout_s
                )
            except WireError as error:
                if lost_at is None:
                    lost_at = time.monotonic()
                    self._tell(kind="socket lost", why=str(error))
                await asyncio.sleep(_AGAIN_S)
                continue
            async with connection:
                away_s = 0.0 if lost_at is None else time.monotonic() - lost_at
                self._tell(kind="socket open", away_s=away_s)
                why = await listen(connection)
            lost_at = time.monotonic()
            self._tell(kind="socket lost", why=why)

    def _tell(self, **what: Any) -> None:
        line = json.dumps({"at": self._offset + time.monotonic(), **what})
        self._file.write(line + "\n")
        self._file.flush()


def main() -> None:
    """Go into the background and ask."""
    file = Path(sys.argv[1])
    task = Task.read(sys.stdin.readline())
    if os.fork():
        return
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    with contextlib.suppress(KeyboardInterrupt):
        file.write_text(
            json.dumps({"kind": "begin", "at": time.time(), "pid": os.getpid()}) + "\n", encoding="utf-8"
        )

        async def work() -> None:
            await Prober(task, file).run()

        asyncio.run(work())


if __name__ == "__main__":
    main()
