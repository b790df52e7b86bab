"""What is looked at while the load goes on, and after it: health, a real read, live connections, memory."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from tests.infra.channel import auth, opened
from tests.infra.memory import Memory

from gonogo import Target, TargetError, ToolError
from gonogo.probes.claims import claims
from gonogo.probes.http import HttpFacts, HttpProbe, lookup
from gonogo.probes.leaks import redacted

RED_LOOKS = 5
"""So many bad looks one after the other, and the load ends: the target is no longer well."""


class Beside:
    """Looks in a thread of its own, over connections of its own; never raises for what the target does."""

    def __init__(self, target: Target, *, memory: bool = False) -> None:
        """Prepare it; nothing is looked at yet.

        Args:
            target: what is looked at.
            memory: whether its processes' memory is as well.
        """
        self.target = target
        self.memory = Memory(target) if memory else None
        self.unseen: TargetError | ToolError | None = None
        """Why its memory could not be seen at a look."""
        self.load, self.http = target.settings("load"), target.settings("http")
        health = self.http.health
        reads = [one.path for one in self.load.requests if one.method == "GET" and one.path != health]
        self.read: str | None = self.load.read or next(iter(reads), None)
        self.looks = 0
        self.bad: dict[str, list[str]] = {"health": [], "read": []}
        """Sentences about bad looks, with the second at which they were taken."""
        self.held: list[str] = []
        """What went wrong with live connections."""
        self._in_a_row = 0
        self._ending = threading.Event()
        self._begun = time.monotonic()

    @property
    def red(self) -> str:
        """Why the load should end; empty if it need not."""
        if self._in_a_row < RED_LOOKS:
            return ""
        latest = (self.bad["health"] or self.bad["read"])[-1]
        return f"the target was not well at {self._in_a_row} looks in a row; last {latest}"

    @contextlib.contextmanager
    def looking(self, seconds: float) -> Iterator[None]:
        """Look for the length of the block; live connections are held for so many seconds at most."""
        self._begun = time.monotonic()
        # Two of them: answers that take their time must not make looks at memory rare.
        lookers = [threading.Thread(target=one, daemon=True) for one in (self._look_on, self._look_at_memory)]
        with ThreadPoolExecutor(max(self.load.websockets, 1)) as pool:
            for looker in lookers:
                looker.start()
            ends = time.monotonic() + seconds
            futures: list[Future[str]] = [pool.submit(self._hold, ends) for _ in range(self.load.websockets)]
            try:
                yield
            finally:
                self._ending.set()
                for looker in lookers:
                    looker.join(self.load.timeout_s * 2 + 5)
                self.held = sorted({said for future in futures if (said := future.result())})

    def after(self) -> list[str]:
        """One more look when all is over; what was bad."""
        with self.target.client() as probe:
            return [f"{what}: {said}" for what, said in self._look(probe) if said]

    def _look_on(self) -> None:
        with self.target.client() as probe:
            while not self._ending.wait(self.load.look_s):
                found = self._look(probe)
                self.looks += 1
                for what, said in found:
                    if said:
                        self.bad[what].append(f"after {time.monotonic() - self._begun:.0f} s: {said}")
                self._in_a_row = self._in_a_row + 1 if any(said for _, said in found) else 0

    def _look(self, probe: HttpProbe) -> list[tuple[str, str]]:
        found = [("health", self._asked(probe, self.http.health, health=True))]
        return [*found, ("read", self._asked(probe, self.read))] if self.read else found

    def _look_at_memory(self) -> None:
        while self.memory is not None and not self._ending.wait(self.load.look_s):
            try:
                self.memory.look()
            except (TargetError, ToolError) as error:
                self.unseen = error

    def _asked(self, probe: HttpProbe, path: str, *, health: bool = False) -> str:
        try:
            answer = probe.get(path, self.load.timeout_s)
            return self._unwell(answer) if health else f"HTTP {answer.status}" if answer.status != 200 else ""
        except TargetError as error:
            return str(error)

    def _unwell(self, answer: HttpFacts) -> str:
        """What health says that is not well; empty if all is."""
        if answer.status != 200:
            return f"HTTP {answer.status}"
        document = answer.json(redacted)
        said = {path: lookup(document, path) for path in self.http.health_expect}
        wrong = [
            f"{path} is {said[path]!r}" for path, value in self.http.health_expect.items() if said[path] != value
        ]
        checks = claims(lookup(document, self.http.health_checks)) if self.http.health_checks else ()
        return ", ".join([*wrong, *(str(claim) for claim in checks if not claim.healthy(self.http.healthy))])

    def _hold(self, ends: float) -> str:
        """Keeps one live connection open until the end of the block; what was wrong with it."""
        socket, least = self.target.settings("websocket"), 0
        try:
            with opened(self.target, socket.path) as listener:
                if (said := auth(self.target)) is not None:
                    listener.send(said, socket.timeout_s)
                while not self._ending.is_set() and time.monotonic() < ends:
                    facts = listener.hold(0.5)
                    least += len(facts.messages)
                    if facts.ended:
                        return f"{facts.ended} after {time.monotonic() - self._begun:.0f} s"
        except TargetError as error:
            return str(error)
        return "" if least else f"{socket.path}: no message came in {time.monotonic() - self._begun:.0f} s"
