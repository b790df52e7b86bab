"""How traffic is shifted: the plan's controller, our own traffic beside the users', and how far a ramp has come."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

from tests.infra.channel import asking

from gonogo import InconclusiveError, Target, TargetError, ToolError, share_near
from gonogo.probes.ramping import Offered, Place, Plan, Traffic
from gonogo.probes.traffic import Command, Controller, Haproxy, Nginx, Run

READY_S = 10.0
"""Until the first answers of our own traffic, and the live connections."""
BACK_SAMPLES = 60
"""New connections that must all come to the earlier release once the share was taken back."""
SHARES = (10, 50, 100)


def controller(target: Target) -> Controller:
    """What launch.toml names to shift traffic with."""
    plan = target.settings("ramp")

    run: Run = partial(target.run, timeout_s=plan.command_s)

    if plan.haproxy is not None:
        named = plan.haproxy
        return Haproxy(target.expand(named.api), named.backend, named.new, named.old)
    if plan.nginx is not None:
        template, file = (target.root / target.expand(one) for one in (plan.nginx.template, plan.nginx.file))
        return Nginx(template, file, plan.nginx.reload, run)
    target.require_own("ramp.command", plan.command)
    return Command(plan.command, run, plan.drain)


def require_armed(target: Target) -> None:
    """Refuse what is neither a rehearsal nor armed, before anything is sent.

    Raises:
        ToolError: says what would arm it.
    """
    if target.armed("ramp"):
        return
    way = (
        "runs only when the launch is armed: give --gonogo-arm ramp"
        if target.kind == "production"
        else "is for production and disposable targets only"
    )
    raise ToolError(f"a ramp moves the users of the target {target.name} (kind {target.kind}), so it {way}")


@contextmanager
def own_traffic(target: Target) -> Iterator[Traffic]:
    """Our own requests and live connections for the length of a block, once the first of them were answered.

    Raises:
        TargetError: none was answered, or a live connection did not open.
    """
    plan = target.settings("ramp")
    live = target.settings("websocket") if target.has("websocket") and plan.sockets else None
    address, port = target.connect_to(target.host, target.port)
    place = Place(
        host=target.host,
        port=port,
        address=address,
        secure=target.scheme == "https",
        ca_file=str(target.ca_file) if target.ca_file else None,
        headers=dict(asking(target).headers if live else target.credentials),
    )
    made = Plan(
        place=place,
        requests=tuple((one.path, one.weight) for one in plan.requests),
        rps=plan.rps,
        release_header=plan.release_header,
        timeout_s=plan.timeout_s,
        socket_path=live.path if live else "",
        sockets=plan.sockets if live else 0,
        first_message_s=live.first_message_s if live else 0.0,
    )
    with Traffic(made) as traffic:
        _await_ready(traffic, made)
        yield traffic


def _await_ready(traffic: Traffic, made: Plan) -> None:
    ends = time.monotonic() + max(READY_S, made.first_message_s)
    while time.monotonic() < ends:
        answered = [one for one in traffic.offered() if not one.failure]
        spoke = [one for one in traffic.sockets() if one.state == "open"]
        if answered and len(spoke) >= made.sockets:
            if not any(one.release for one in answered):
                raise ToolError(
                    f"answers have no header {made.release_header}, so nobody can tell which release gave them; "
                    "name the header that does as ramp.release_header, or have the application send it"
                )
            return
        time.sleep(0.02)
    failures = [one.failure for one in traffic.offered() if one.failure] or ["none was answered"]
    states = [f"{one.state} {one.why}" for one in traffic.sockets() if one.state != "open"]
    raise TargetError(
        f"before the share was changed, requests came to nothing ({failures[0]}) or live connections did not open "
        f"({states[0] if states else 'none spoke'})"
    )


class Progress:
    """How far this release's ramp has come; a file beside the reports, as steps may run in different sessions."""

    def __init__(self, target: Target) -> None:
        self._file = target.reports / "ramp" / f"{target.name}.json"
        self._where = f"{target.base_url} {target.version}"

    def require_before(self, share: int) -> None:
        """Refuse a step whose forerunner was not held.

        Raises:
            InconclusiveError: nothing was tried.
        """
        place = SHARES.index(share)
        if place and SHARES[place - 1] not in self._held():
            raise InconclusiveError(
                f"not tried: ramp.{SHARES[place - 1]} was not held, so no more users are led to this release; "
                "run it again once it can hold"
            )

    def held(self, share: int) -> None:
        """This step was held; those after it have to be held again."""
        self._write([*(one for one in self._held() if one < share), share])

    def begin(self, share: int) -> None:
        """From now on until it is held, this step and those after it are not."""
        self._write([one for one in self._held() if one < share])

    def taken_back(self) -> None:
        """The release has no traffic any more."""
        self._write([])

    def _held(self) -> list[int]:
        try:
            said = json.loads(self._file.read_text(encoding="utf-8"))
            return list(said["held"]) if said["where"] == self._where else []
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def _write(self, held: list[int]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        told = {"where": self._where, "held": held, "at": datetime.now(UTC).isoformat(timespec="seconds")}
        self._file.write_text(json.dumps(told) + "\n", encoding="utf-8")


def settled(target: Target, traffic: Traffic, share: int) -> tuple[int, int]:
    """How many of how many new connections come to the new release, once that is as planned or time is up."""
    plan = target.settings("ramp")
    near = share_near(share / 100, plan.tolerance, "")
    ends = time.monotonic() + plan.settle_s
    path = target.settings("http").health
    while True:
        within_s = max(ends - time.monotonic(), plan.timeout_s)
        answers = [one for one in traffic.ask_afresh(plan.samples, path, within_s) if one.release]
        ours = sum(one.release == target.version for one in answers)
        if (answers and near.judge(ours / len(answers), len(answers)).ok) or time.monotonic() >= ends:
            return ours, len(answers)


def taken_back(target: Target, control: Controller, traffic: Traffic) -> str:
    """Give all users back to the earlier release, at once; says what became of it, and never raises."""
    plan = target.settings("ramp")
    try:
        control.set(0.0)
    except (TargetError, ToolError) as error:
        return f"THE SHARE COULD NOT BE TAKEN BACK, do it by hand: {error}"
    try:
        answers = traffic.ask_afresh(BACK_SAMPLES, target.settings("http").health, plan.timeout_s)
        drained = control.drain(plan.drain_s)
    except (TargetError, ToolError) as error:
        return f"the share was set back to 0 %, but not looked at again: {error}"
    left = sum(one.release == target.version for one in answers)
    if left:
        return f"THE SHARE WAS SET TO 0 %, YET {left} of {len(answers)} new connections came to {target.version}"
    return f"the share was set back to 0 %, {len(answers)} new connections came to the earlier release, {drained}"


def of_release(offered: Sequence[Offered], version: str) -> list[Offered]:
    """Requests that this release answered, and those that nobody did: they count against the new one."""
    return [one for one in offered if one.release == version or (not one.release and one.failure)]


def of_others(offered: Sequence[Offered], version: str) -> list[Offered]:
    """Requests that another release answered."""
    return [one for one in offered if one.release and one.release != version]
