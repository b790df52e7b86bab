"""Load: what the target does under more traffic than it is launched for."""

from __future__ import annotations

from pathlib import Path

import pytest

from gonogo import EvidenceKeeper, Measure, Target, ToolError, above, equals, quantile_below, rate_below
from gonogo.probes.load import LoadFacts, Plan, run

LOCUSTFILE = Path(__file__).parent / "locustfile.py"
MAX_LATENESS_MS = 100.0
"""Beyond this the figures speak of the generator's machine: a fifth of the usual p95 bound."""


# The probe has a limit of its own, which follows from launch.toml; a general one would cut a
# long run that was asked for.
@pytest.mark.timeout(0)
@pytest.mark.gate("load.throughput")
def test_throughput(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The required traffic is held, quickly and without errors, and the target is well afterwards."""
    load = target.settings("load")
    if target.kind == "production":
        raise ToolError(
            f"load is not sent at {target.name}, a production target; prove it on staging: '<!-- gate: "
            f"load.throughput on: staging -->' in the playbook and targets.{target.name}.staging in launch.toml"
        )
    health = target.settings("http").health
    target.http().get(health)  # a target that is down is said to be so at once, not after the whole run
    facts = run(
        Plan(
            base_url=target.base_url,
            requests=tuple((request.path, request.weight) for request in load.requests),
            rps=load.rps,
            duration_s=load.duration_s,
            warmup_s=load.warmup_s,
            timeout_s=load.timeout_s,
            ca_file=target.ca_file,
            credentials=target.credentials,
            hosts={(target.host, target.port): target.connect_to(target.host, target.port)},
        ),
        LOCUSTFILE,
    )
    evidence.json("load.json", facts.summary())
    evidence.text("locust.log", facts.log)
    if facts.lateness_p99_ms > MAX_LATENESS_MS:
        raise ToolError(
            f"the load generator was the limit: 1 % of its requests left more than {facts.lateness_p99_ms:.0f} ms "
            f"late, over the {MAX_LATENESS_MS:.0f} ms allowed; give it a machine of its own or lower load.rps"
        )
    judge(target, measure, facts)
    after = target.http().get(health)
    measure("health after the load", after.status, equals(200, target.source("http.health")))


def judge(target: Target, measure: Measure, facts: LoadFacts) -> None:
    """Holds what was found against the bounds of launch.toml."""
    load = target.settings("load")
    n = facts.sent
    measure("requests sent", n, equals(facts.planned, target.source("load.rps")), n=n)
    held = above(load.min_rps, target.source("load.min_rps"))
    measure("good answers per second", facts.achieved_rps, held, unit="RPS", n=n)
    few = rate_below(load.max_error_rate, target.source("load.max_error_rate"), load.confidence)
    measure("error rate", facts.error_rate, few, unit="1", n=n)
    quick = quantile_below(
        load.p95_ms,
        target.source("load.p95_ms"),
        samples=facts.latencies_ms,
        confidence=load.confidence,
    )
    measure("p95 from due time", facts.p95_ms, quick, unit="ms", n=len(facts.latencies_ms))
