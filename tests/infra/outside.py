"""What health claims of a part, against what that part shows to somebody outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.infra.channel import held
from tests.infra.endpoints import problems

from gonogo import EvidenceKeeper, Measure, Target, TargetError, ToolError, is_true
from gonogo.probes.claims import claims
from gonogo.probes.http import HttpFacts, lookup

LOOKS = 4
"""Looks from outside at each part, so that each of a few instances is met."""
WHOLE = "health as a whole"


@dataclass(frozen=True)
class Seen:
    """What one part showed."""

    how: str
    problems: tuple[str, ...]
    n: int

    def __str__(self) -> str:
        return f"{self.how} {'; '.join(self.problems) or 'works'}"


def compare(target: Target, answers: Sequence[HttpFacts], measure: Measure, evidence: EvidenceKeeper) -> None:
    """Look at every part that the plan knows a way to, and hold what health says against that.

    Both ways round: a part that health calls healthy must work, and one that works must not be called sick,
    since a load balancer would take it out of turn. What health has no check for, it claims as a whole.

    Raises:
        ToolError: the plan says nothing of a check that health makes, or nothing at all.
    """
    http = target.settings("http")
    source = target.source("http.truth")
    said = claimed(target, answers)
    seen = {name: look(target, how) for name, how in http.outside.items()}
    for name, one in seen.items():
        claim = said.get(name) or said[WHOLE]
        measure(f"{name}: health tells the truth", verdict(name, claim, one), is_true(source), n=one.n)
    evidence.json("truth.json", {"health": said, "outside": {name: str(one) for name, one in seen.items()}})
    unknown = [name for name in said if name not in (*http.truth, WHOLE)]
    if unknown or not seen:
        what = f"the checks {', '.join(unknown)} that health makes" if unknown else "any part to look at"
        raise ToolError(
            f"launch.toml: [targets.{target.name}.http.truth] says nothing of {what}; give each a path that only "
            f'works if it does, "websocket", or false if nothing shows it from outside'
        )


def claimed(target: Target, answers: Sequence[HttpFacts]) -> dict[str, list[bool]]:
    """By name of the check, what each answer says of it: healthy or not; and of the whole."""
    http = target.settings("http")
    found: dict[str, list[bool]] = {WHOLE: []}
    for answer in answers:
        try:
            document = answer.json()
        except TargetError:
            continue
        expected = all(lookup(document, path) == value for path, value in http.health_expect.items())
        found[WHOLE].append(answer.status == 200 and expected)
        for claim in claims(lookup(document, http.health_checks)) if http.health_checks else ():
            found.setdefault(claim.name, []).append(claim.healthy(http.healthy))
    return found


def look(target: Target, how: Any) -> Seen:
    """Look at one part from outside."""
    if how == "websocket":
        return _channel(target)
    samples = target.http().sample(how.path, LOOKS, fresh=True)
    wrong = [problem for answer in samples.answers for problem in problems(how, answer)]
    # What a cache answered says nothing of the part behind it.
    limit = target.settings("http").timeout_s
    stored = sum(answer.age_s is None or answer.age_s > limit for answer in samples.answers)
    told = f"GET {how.path}" + (f" (out of a cache {stored} times)" if stored else "")
    found = tuple(dict.fromkeys((*wrong, *samples.failures)))
    return Seen(told, found, samples.n if found else samples.n - stored)


def _channel(target: Target) -> Seen:
    socket = target.settings("websocket")
    how = f"a WebSocket to {socket.path}"
    try:
        with held(target, socket.connections):
            return Seen(how, (), socket.connections)
    except TargetError as error:
        return Seen(how, (str(error),), 1)


def verdict(name: str, claim: Sequence[bool], seen: Seen) -> Any:
    """``True`` if claim and sight agree, else the sentence that says how they do not."""
    if not claim:
        return f"health could not be read, so it says nothing of {name}"
    if all(claim) and seen.problems:
        return f"health says {name} healthy, yet {seen.how}: {'; '.join(seen.problems)}"
    if not all(claim) and not seen.problems:
        sick = sum(not one for one in claim)
        return f"health says {name} not healthy in {sick} of {len(claim)} answers, yet {seen.how} works"
    return True
