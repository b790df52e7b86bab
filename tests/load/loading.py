"""One run of the generator, shared by the gates of a session that judge it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.infra.memory import megabytes
from tests.load.beside import Beside

from gonogo import EvidenceKeeper, InconclusiveError, Target, TargetError, ToolError
from gonogo.arrivals import Stretch
from gonogo.loadchart import chart
from gonogo.loadfacts import LoadFacts
from gonogo.loadrules import Limits, limited_by
from gonogo.probes.load import LIMITED, Plan, Request, Workers, run

LOCUSTFILE = Path(__file__).parent / "locustfile.py"
WARMUP, STEADY, SPIKE, SETTLING, RECOVERY = "warm-up", "steady", "spike", "settling", "recovery"


class LoadRun:
    """The load on one target: asked for by the first gate, kept for the others."""

    def __init__(
        self,
        target: Target,
        gates: Collection[str],
        say: Callable[[str], None] = lambda _: None,
        locustfile: Path = LOCUSTFILE,
    ) -> None:
        self.target, self.gates, self.say = target, frozenset(gates), say
        self.load = target.settings("load")
        self.locustfile = locustfile
        self.beside = Beside(target, memory="load.endurance" in self.gates)
        self.after: list[str] = []
        self._begun = math.inf
        """When the first request was due, on the monotonic clock, as near as the generator's news tells."""
        self._sessions: dict[str, str] = {}
        self._raw: LoadFacts | None = None
        """The same before anybody asked whether the generator was the limit."""
        self._found: LoadFacts | Exception | None = None

    def facts(self) -> LoadFacts:
        """What came of the run.

        Raises:
            ToolError: it may not be made, or the generator was the limit.
            TargetError: the target was down before it began.
        """
        if self._found is None:
            try:
                self._found = self._run()
            except Exception as error:  # noqa: BLE001 - raised below, now and for each gate that follows
                self._found = error
        if isinstance(self._found, Exception):
            raise self._found
        return self._found

    def stretch(self, name: str, evidence: EvidenceKeeper) -> LoadFacts:
        """The same, if the run came as far as the end of a stretch or ended for its sake.

        Raises:
            InconclusiveError: it ended earlier, for another's sake.
        """
        facts = self.made(evidence)
        if facts.stopped and not facts.stopped.startswith(f"{name}:"):
            raise InconclusiveError(f"the load ended before this was seen ({facts.stopped})")
        return facts

    def stretches(self) -> tuple[Stretch, ...]:
        """The schedule, as far as this session's gates need it."""
        load, lasts_s = self.load, self.load.duration_s
        if "load.endurance" in self.gates:
            lasts_s = max(lasts_s, load.endurance.duration_s)
        parts = [Stretch(WARMUP, load.rps, load.warmup_s), Stretch(STEADY, load.rps, lasts_s)]
        if "load.spike" in self.gates and (spike := load.spike):
            parts.append(Stretch(SPIKE, spike.rps, spike.duration_s))
            parts += [Stretch(SETTLING, load.rps, spike.settle_s), Stretch(RECOVERY, load.rps, spike.recover_s)]
        return tuple(part for part in parts if part.duration_s)

    def plan(self) -> Plan:
        """What the generator is told."""
        target, load = self.target, self.load
        limits = {STEADY: self._limits(load, p99_ms=load.p99_ms)}
        if load.spike:
            limits |= {SPIKE: self._limits(load.spike)}
        stretches = self.stretches()
        return Plan(
            base_url=target.base_url,
            requests=tuple(self._request(one) for one in load.requests),
            stretches=stretches,
            limits={s.name: limits[s.name] for s in stretches if s.name in limits},
            poisson=load.arrivals == "poisson",
            seed=load.seed,
            headers=target.credentials,
            counts_from_s=load.warmup_s,
            timeout_s=load.timeout_s,
            max_rps=load.max_rps,
            workers=Workers(
                load.workers,
                load.expect_workers,
                load.bind,
                load.port if load.expect_workers else 0,
                load.workers_within_s,
            ),
            hooks=[file for pattern in load.hooks for file in self._hooks(pattern)],
            ca_file=target.ca_file,
            hosts={(target.host, target.port): target.connect_to(target.host, target.port)},
        )

    def made(self, evidence: EvidenceKeeper) -> LoadFacts:
        """What came of the run; what another person needs to judge is kept, also if the generator was the limit.

        Raises:
            ToolError: as :meth:`facts` does.
            TargetError: as :meth:`facts` does.
        """
        try:
            return self.facts()
        finally:
            if self._raw is not None:
                evidence.json("load.json", self._raw.document())
                evidence.text("load.svg", chart(self._raw, self.load.p95_ms, f"Load on {self.target.name}"))

    def _run(self) -> LoadFacts:
        self._permitted()
        # A target that is down is said to be so at once, not after the whole run.
        self.target.http().get(self.target.settings("http").health)
        plan, heard = self.plan(), 0.0

        def told(progress: Mapping[str, float]) -> str:
            nonlocal heard
            if progress["left_s"]:
                self._begun = min(self._begun, time.monotonic() - plan.duration_s + progress["left_s"])
            if time.monotonic() - heard > 1:
                heard = time.monotonic()
                self.say(line(progress))
            return self.beside.red

        with self.beside.looking(plan.limit_s):
            facts = self._raw = run(plan, self.locustfile, told)
        self.after = self.beside.after()
        found = limited_by(facts.generator, self.load.max_late_ms, self.load.max_cpu_percent / 100)
        if found:
            raise ToolError(
                f"{LIMITED}: {'; '.join(found)}; add workers (load.workers), give it a machine of its own, "
                "or lower load.rps"
            )
        return facts

    def memory(self, begins_s: float, ends_s: float) -> dict[str, list[tuple[float, float]]]:
        """Seconds of the schedule and memory in units of 10^6 bytes, by process, as they were seen in a part of it.

        Raises:
            TargetError: the processes' manager never answered as it should.
            ToolError: the plan names none, or it could not be asked.
        """
        self.target.settings("process")
        looks = self.beside.memory.looks if self.beside.memory else {}
        if self.beside.unseen is not None and not looks:
            raise self.beside.unseen
        seen = {name: [(at - self._begun, mb) for at, mb in megabytes(its)] for name, its in looks.items()}
        return {name: [one for one in its if begins_s <= one[0] < ends_s] for name, its in seen.items()}

    def _permitted(self) -> None:
        """Refuse what must not be loaded, before anything is sent.

        Raises:
            ToolError: a production target that nobody armed, or one that only calls itself another name.
        """
        target = self.target
        if target.kind == "production" and not target.armed("load"):
            raise ToolError(
                f"load is not sent at {target.name}, a production target; prove it on staging: '<!-- gate: "
                f"load.throughput on: staging -->' in the playbook and targets.{target.name}.staging in "
                "launch.toml, or say --gonogo-arm load"
            )
        if target.kind == "production" and any(one.writes for one in self.load.requests):
            raise ToolError(
                f"load.requests of {target.name} write, and a production target is not written to; take them out"
            )
        if shared := target.production_here(self.load.shared_with):
            raise ToolError(f"load is not sent at {target.name}: {shared}")

    def _limits(self, bounds: Any, p99_ms: float = 1e12) -> Limits:
        return Limits(
            planned=0,  # the probe counts
            max_error_rate=bounds.max_error_rate,
            max_throttled_rate=bounds.max_throttled_rate,
            p95_ms=bounds.p95_ms,
            p99_ms=p99_ms,
            confidence=self.load.confidence,
            stop_error_rate=self.load.stop_error_rate,
        )

    def _hooks(self, pattern: str) -> list[Path]:
        """Files that Locust reads beside ours.

        Raises:
            ToolError: there are none, or Locust would not take them for such.
        """
        found = self.target.files(pattern)
        odd = [file.name for file in found if file.suffix != ".py" or "," in str(file)]
        if odd or not found:
            raise ToolError(
                f"launch.toml: targets.{self.target.name}.load.hooks: {pattern!r} leads to "
                f"{f'{odd[0]}, which is no Python file' if odd else 'no file'}"
            )
        return found

    def _request(self, one: Any) -> Request:
        plain = dict(one)
        headers = {name: self.target.expand(value) for name, value in plain["headers"].items()}
        if account := plain.pop("account"):
            headers |= {"Cookie": self._session(account), "Authorization": ""}
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
        return Request(**{**plain, "headers": headers, "body": plain["body"].replace("{tomorrow}", tomorrow)})

    def _session(self, role: str) -> str:
        """Signs somebody in, once; the cookies of the session.

        Raises:
            TargetError: signing in did not work.
            ToolError: the plan does not know the account, or its password is not set.
        """
        if role not in self._sessions:
            smoke, target = self.target.settings("smoke"), self.target
            account = getattr(smoke, role)
            if account is None:
                raise ToolError(
                    f"launch.toml: [targets.{target.name}.smoke] has no {role}, as whom load.requests ask"
                )
            said = {"user": account.user, "password": target.secret(account.password, f"smoke.{role}.password")}
            with target.visitor() as visitor:
                answer = visitor.request("POST", smoke.session, json=said)
            cookies = [one.partition(";")[0] for one in answer.headers.get_list("set-cookie")]
            if answer.status != 200 or not cookies:
                raise TargetError(
                    f"signing {account.user} in at {smoke.session} was answered with HTTP {answer.status}"
                )
            self._sessions[role] = "; ".join(cookies)
        return self._sessions[role]


def line(progress: Mapping[str, float]) -> str:
    """How it goes, in a few words."""
    throttled = f", {progress['throttled']:.0f} throttled" if progress["throttled"] else ""
    return (
        f"{progress['rps']:.0f} RPS, p95 {progress['p95_ms']:.0f} ms, {progress['failed']:.0f} errors{throttled} "
        f"in {progress['answered']:,.0f}, {progress['left_s']:.0f} s left"
    )
