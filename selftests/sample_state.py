"""A launch state with every outcome in it, for the reports' self-tests."""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gonogo.model import (
    Ask,
    Box,
    BoxKind,
    Evidence,
    GateState,
    Launch,
    LaunchState,
    Measurement,
    Outcome,
    Phase,
    PhaseState,
    Result,
    RunInfo,
    Verdict,
)

NOW = datetime(2026, 11, 23, 14, 5, 9, tzinfo=UTC)
PLAN = hashlib.sha256(b"plan").hexdigest()
RUN = "20261123T140102Z-5f3a91c2"


def png(width: int = 640, height: int = 400) -> bytes:
    """A small real picture: a grey gradient."""
    rows = b"".join(b"\0" + bytes((x + y) % 200 + 40 for x in range(width)) for y in range(height))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def fact(
    name: str,
    actual: object,
    bound: str,
    source: str,
    unit: str = "",
    *,
    ok: bool | None = True,
    n: int = 1,
    margin: float | None = None,
    note: str = "",
) -> Measurement:
    return Measurement(name, actual, unit, bound, f"launch.toml: {source}", ok, n, margin, note)


def gate(
    gate_id: str,
    phase: str,
    title: str,
    outcome: Outcome = Outcome.PASS,
    reason: str = "",
    *,
    measured: tuple[Measurement, ...] = (),
    waived: bool = False,
    on: str | None = None,
    evidence: tuple[Evidence, ...] = (),
    faults: tuple[str, ...] = (),
    ran: bool = True,
) -> GateState:
    ask = Ask(gate_id, phase, on)
    bad = "; ".join(m.sentence for m in measured if m.ok is not True)
    said = reason or ("" if outcome is Outcome.PASS else bad)
    result = Result(
        ask,
        outcome,
        said,
        RUN,
        "rehearsal",
        "1.0.0",
        "d" * 64,
        NOW - timedelta(minutes=3),
        NOW - timedelta(minutes=2),
        0.0712 * len(gate_id),
        title,
        measured,
        evidence,
        faults,
    )
    return GateState(ask, title, outcome, said, waived, result if ran else None)


def box(text: str, *gates: str, on: str | None = None) -> Box:
    return Box(text, BoxKind.GATE, 12, gates, on=on)


def write_evidence(ledger: Path) -> tuple[Evidence, ...]:
    """Put a picture and a trace into a ledger folder and return their records."""
    files = {"dashboard.png": png(), "trace.json": b'{"console": []}'}
    out = []
    for name, content in files.items():
        path = ledger / "evidence" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        out.append(Evidence(name, f"evidence/{name}", hashlib.sha256(content).hexdigest()))
    return tuple(out)


def healthy(gate_state: GateState) -> GateState:
    """The same gate, passed."""
    assert gate_state.result is not None
    return replace(gate_state, outcome=Outcome.PASS, reason="", waived=False)


def t3_phase() -> PhaseState:
    gates = (
        gate(
            "dns.records",
            "t3",
            "The launch names resolve to the planned addresses",
            measured=(
                fact("A of app.fleet.test", ["127.0.0.1"], "exactly 127.0.0.1", "dns.records"),
                fact("TTL of app.fleet.test", 60, "<= 300", "dns.max_ttl_s", "s", margin=0.8),
                fact("authoritative answers", True, "yes", "dns.records", n=3),
            ),
        ),
        gate(
            "tls.certificate",
            "t3",
            "The certificate is valid, trusted, and named for this host",
            Outcome.FAIL,
            measured=(
                fact("days left", -1, ">= 21", "tls.min_days", "d", ok=False, margin=-1.048),
                fact("path to a trusted root", True, "yes", "ca_file"),
                fact("RSA key size", 2048, ">= 2048", "tls.min_rsa_bits", "bit", margin=0.0),
            ),
            faults=("expired-certificate",),
        ),
        gate(
            "tls.protocols",
            "t3",
            "Only current protocol versions are spoken",
            Outcome.FAIL,
            measured=(
                fact("TLS 1.0", "accepted", "refused", "tls.protocols", ok=False),
                fact("TLS 1.3", "accepted", "accepted", "tls.protocols"),
            ),
            waived=True,
        ),
        gate(
            "health.endpoint",
            "t3",
            "The health endpoint says healthy, and quickly",
            measured=(
                fact("status", "healthy", "= healthy", "http.health_expect"),
                fact("HTTP status", 200, "= 200", "http.health", n=20),
                fact("p95 response time", 12.4, "<= 500", "http.p95_ms", "ms", n=20, margin=0.975),
                fact("body", 388, "<= 5000000", "http.max_body_bytes", "byte", n=20, margin=0.99992),
            ),
        ),
        gate(
            "alerts.fire",
            "t3",
            "A broken target raises an alert",
            Outcome.ERROR,
            "the alert receiver's port 9093 is taken on this machine; free it or set monitoring.port",
        ),
    )
    boxes = (
        box("Production infrastructure answers as it should", "health.endpoint"),
        box("Certificates are in order", "tls.certificate"),
        box("Only modern TLS is spoken", "tls.protocols"),
        box("Names point where they should", "dns.records"),
        box("Alerts reach a person", "alerts.fire"),
        Box("Stakeholders have been told", BoxKind.ATTEST, 31, role="Launch Manager"),
        Box("Penetration test repeated", BoxKind.SCOPE, 32, reason="done at T-7, nothing changed since"),
    )
    phase = Phase("t3", "T-3 days", 20, "DevOps Lead", timedelta(days=3), boxes)
    holds = ("'Stakeholders have been told' (line 31) waits for Launch Manager: PENDING",)
    return PhaseState(phase, Verdict.NO_GO, gates, holds)


def t7_phase(evidence: tuple[Evidence, ...]) -> PhaseState:
    gates = (
        gate(
            "load.throughput",
            "t7",
            "The release carries the planned load",
            measured=(
                fact("served rate", 75.02, "> 50", "load.min_rps", "req/s", n=3151, margin=0.5004),
                fact("p95 from the due time", 471.2, "< 500", "load.p95_ms", "ms", n=3151, margin=0.0576),
                fact(
                    "error rate, upper bound",
                    0.00095,
                    "< 0.001",
                    "load.max_error_rate",
                    n=3151,
                    margin=0.05,
                    note="one-sided 95 % of 0 errors in 3151 requests",
                ),
            ),
        ),
        gate(
            "smoke.tracking",
            "t7",
            "The map shows the fleet, live, and opens a vehicle's details",
            measured=(
                fact("markers", 240, ">= 200", "smoke.min_vehicles", margin=0.2),
                fact("connection light", "connected", "= connected", "smoke.dashboard"),
            ),
            evidence=evidence,
        ),
    )
    boxes = (
        box("Load test done, above 50 requests a second", "load.throughput"),
        box("Map works", "smoke.tracking"),
    )
    return PhaseState(Phase("t7", "T-7 days", 8, "Engineering Team", timedelta(days=7), boxes), Verdict.GO, gates)


def t1_phase() -> PhaseState:
    gates = (
        gate(
            "release.deployed",
            "t1",
            "The release runs on staging",
            measured=(fact("version served", "1.0.0", "= 1.0.0", "launch.version"),),
            on="staging",
        ),
        gate(
            "ramp.errors",
            "t1",
            "Errors stay below the limit while traffic grows",
            Outcome.INCONCLUSIVE,
            measured=(
                fact(
                    "error rate, upper bound",
                    0.002,
                    "< 0.001",
                    "ramp.max_error_rate",
                    ok=None,
                    n=1500,
                    margin=-1.0,
                    note="needs 299 s more at 5 req/s",
                ),
            ),
        ),
        gate(
            "backup.restored",
            "t1",
            "The backup restores",
            Outcome.STALE,
            "measured 26 h ago, its shelf life is 24 h",
        ),
        gate("team.briefed", "t1", "The team was briefed", Outcome.PENDING, "waits for Launch Manager", ran=False),
        gate("rollback.tried", "t1", "The rollback works", Outcome.MISSING, "asked for, never run", ran=False),
    )
    boxes = (
        box("Last staging deployment done", "release.deployed", on="staging"),
        box("Ramp rehearsed", "ramp.errors"),
        box("Backup restored", "backup.restored"),
        Box("Team briefing held", BoxKind.ATTEST, 45, ("team.briefed",), role="Launch Manager"),
        box("Rollback tried", "rollback.tried"),
        Box("War room booked", BoxKind.UNMAPPED, 47),
    )
    holds = ("'War room booked' (line 47) is mapped to no gate, no role and no reason",)
    return PhaseState(
        Phase("t1", "T-1 day", 40, "Full Team", timedelta(hours=24), boxes), Verdict.HOLD, gates, holds
    )


def phase2() -> PhaseState:
    names = {
        "database.tables": "Every table of the schema exists",
        "database.indexes": "Every index exists and is valid",
        "database.triggers": "Every trigger exists and is enabled",
        "stats.database": "Connections are pooled, with room to spare",
        "stats.websocket": "Live connections are counted",
        "stats.performance": "The service reports no errors",
    }
    reason = "not tried, because T-3 days is not GO"
    gates = tuple(gate(n, "phase2", t, Outcome.BLOCKED, reason, ran=False) for n, t in names.items())
    boxes = tuple(box(title, name) for name, title in names.items())
    phase = Phase("phase2", "Phase 2: Deployment (T-90 minutes)", 60, "DevOps Lead", timedelta(hours=2), boxes)
    return PhaseState(phase, Verdict.HOLD, gates)


def phase5() -> PhaseState:
    box_ = Box("Announcement sent", BoxKind.ATTEST, 90, role="Launch Manager")
    hold = "'Announcement sent' (line 90) waits for Launch Manager: PENDING"
    return PhaseState(
        Phase("phase5", "Phase 5: Launch (T-0)", 88, "Launch Manager", None, (box_,)), Verdict.HOLD, (), (hold,)
    )


def runs() -> tuple[RunInfo, ...]:
    versions = {"gonogo": "0.1.0", "python": "3.11.7", "pytest": "9.2.0", "playwright": "1.65.2", "chromium": "156"}
    start = NOW - timedelta(hours=2)
    return (
        RunInfo(
            "20261123T120401Z-91be02aa",
            start,
            None,
            "rehearsal",
            (),
            "-m t7",
            "4be1c0ffee12",
            True,
            "e" * 64,
            versions,
            "ci-4",
        ),
        RunInfo(
            RUN,
            NOW - timedelta(minutes=4),
            NOW - timedelta(seconds=40),
            "rehearsal",
            ("expired-certificate",),
            "",
            "4be1c0ffee12",
            False,
            PLAN,
            versions,
            "bridge",
        ),
    )


def sample(evidence: tuple[Evidence, ...] = (), **changes: object) -> LaunchState:
    """NO-GO, with every outcome; ``changes`` replace fields of the state."""
    state = LaunchState(
        launch=Launch("Fleet Manager Dashboard", "1.0.0", datetime(2026, 11, 26, 9, 0, tzinfo=UTC)),
        target="rehearsal",
        target_kind="disposable",
        rehearsal=True,
        verdict=Verdict.NO_GO,
        generated_at=NOW,
        phases=(t7_phase(evidence), t3_phase(), t1_phase(), phase2(), phase5()),
        plan_digest=PLAN,
        problems=("run 20261123T120401Z-91be02aa never finished: 3 of 14 results are there",),
        runs=runs(),
        base_url="https://app.fleet.test:18443",
    )
    return replace(state, **changes)  # type: ignore[arg-type]


def all_go(evidence: tuple[Evidence, ...] = (), **changes: object) -> LaunchState:
    """GO on production: the sample with only its passed gates and gate boxes."""
    phases = []
    for item in sample(evidence).phases[:3]:
        gates = tuple(healthy(g) for g in item.gates if g.result and all(m.ok for m in g.result.measurements))
        ids = {g.ask.gate for g in gates}
        boxes = tuple(b for b in item.phase.boxes if b.gates and set(b.gates) <= ids)
        phases.append(PhaseState(replace(item.phase, boxes=boxes), Verdict.GO, gates))
    good = replace(runs()[1], faults=())
    base: dict[str, object] = {
        "target": "production",
        "target_kind": "production",
        "rehearsal": False,
        "verdict": Verdict.GO,
        "phases": tuple(phases),
        "problems": (),
        "runs": (good,),
        "base_url": "https://app.fleet.example",
    }
    return sample(evidence, **{**base, **changes})


def holding(**changes: object) -> LaunchState:
    """HOLD: nothing failed, but T-1 isn't proven."""
    go = all_go()
    return replace(go, verdict=Verdict.HOLD, phases=(go.phases[0], t1_phase()), **changes)  # type: ignore[arg-type]
