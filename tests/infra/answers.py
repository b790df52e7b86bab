"""What every endpoint's gate asks of an answer before it looks inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gonogo import EvidenceKeeper, Measure, Target, at_most, empty, equals, is_true, one_of
from gonogo.probes.http import HttpFacts, lookup
from gonogo.probes.leaks import find, redacted
from gonogo.probes.ports import has_way

CACHED = "RFC 9111, 5.1: an answer from a cache says nothing of now; http.timeout_s"
EVERY_ADDRESS = "every published address must serve"
JSON = "RFC 8259, 11: JSON is application/json, or ends in +json"
NO_LEAKS = "playbook: no secret and no stack trace leaves the service; http.allowed_in_bodies"
BEYOND_BOUND = 3
"""So many more tries than the bound allows: a target that answers at last is told apart from one that is down."""


def fetch(
    target: Target,
    key: str,
    name: str,
    measure: Measure,
    evidence: EvidenceKeeper,
    *,
    statuses: Sequence[int] = (200,),
) -> HttpFacts:
    """Fetch an endpoint, keep its body, and measure its way, its status, its form and its age.

    Errors of the wire are put up with, up to ``http.retries`` of them; an answer never is.

    Args:
        target: whom to ask.
        key: key of the path in the table ``http``, e.g. ``health``.
        name: of the evidence.
        measure: the gate's fixture.
        evidence: the gate's fixture.
        statuses: what it may answer.

    Raises:
        TargetError: there was no complete answer.
    """
    http = target.settings("http")
    source = target.source(f"http.{key}")
    facts = target.http().get(getattr(http, key), retries=http.retries + BEYOND_BOUND)
    evidence.text(name, redacted(facts.text))
    judge_way(target, facts.transport_errors, measure)
    expected = equals(statuses[0], source) if len(statuses) == 1 else one_of(statuses, source)
    measure("HTTP status", facts.status, expected)
    measure("media type", facts.content_type, json_type(facts))
    measure("time in a cache", facts.age_s, at_most(http.timeout_s, CACHED), unit="s")
    measure("secrets and traces in the body", leaks(target, [facts]), empty(NO_LEAKS))
    return facts


def reachable(target: Target, measure: Measure) -> list[str]:
    """Every address behind the name; of those that this machine has no way to, the report says so."""
    found = []
    for ip in target.addresses:
        if has_way(ip):
            found.append(ip)
        else:
            not_asked = "not asked: this machine has no way to IPv6; run the gate on one that has"
            measure(f"{ip} answers", not_asked, is_true(EVERY_ADDRESS), n=0)
    return found


def oldest_s(answers: Sequence[HttpFacts]) -> int | None:
    """The longest time that one of these answers lay in a cache, in seconds; ``None`` if one can't be read."""
    ages = [answer.age_s for answer in answers]
    known = [age for age in ages if age is not None]
    return max(known) if known and len(known) == len(ages) else None


def worst(said: Sequence[Any], bound: Any) -> Any:
    """The first of these values that does not hold, else the first; ``None`` if there is none."""
    return next((one for one in said if not bound.judge(one, 1).ok), said[0] if said else None)


def judge_way(target: Target, errors: Sequence[str], measure: Measure) -> None:
    """Measure what went wrong on the wire before the answers came: shown always, put up with now and then."""
    shown = f" ({'; '.join(dict.fromkeys(errors))})" if errors else ""
    allowed = at_most(target.settings("http").retries, target.source("http.retries"))
    measure(f"transport errors on the way{shown}", len(errors), allowed)


def json_type(facts: HttpFacts) -> Any:
    """Bound for the media type of a JSON answer."""
    return one_of([facts.content_type] if facts.is_json else ["application/json"], JSON)


def leaks(target: Target, answers: Sequence[HttpFacts]) -> list[str]:
    """Secrets and traces that these bodies hold and the plan does not allow; each kind once."""
    allowed = target.settings("http").allowed_in_bodies
    bodies = dict.fromkeys(answer.text for answer in answers)
    found = {leak.kind: str(leak) for body in bodies for leak in find(body) if leak.kind not in allowed}
    return list(found.values())


def judge_versions(target: Target, documents: Sequence[Any], measure: Measure) -> None:
    """Hold the release that health tells against the launch's; all answers must tell the same one.

    Until the deployment the release before runs: ``rollback.version`` or one of ``http.earlier_versions`` will
    do as well. That the new one runs, in every instance, is what ``release.deployed`` proves. A plan that names
    neither, and no ``http.health_version``, asks for one and the same version alone.
    """
    http = target.settings("http")
    if not http.health_version:
        return
    source = target.source("http.health_version")
    said = [lookup(document, http.health_version) for document in documents]
    demanded = source.startswith("launch.toml")
    if not demanded and all(version is None for version in said):
        return
    versions = sorted({"none" if version is None else str(version) for version in said})
    measure("versions told", versions, _one_version(target, demanded, versions, source), n=len(said))


def _one_version(target: Target, demanded: bool, versions: list[str], source: str) -> Any:
    earlier = list(target.settings("http").earlier_versions)
    if target.has("rollback"):
        earlier.append(target.settings("rollback").version)
    if not earlier and not demanded:
        return one_of([versions[:1]] if versions[0] != "none" else [["one version"]], source)
    return one_of([[version] for version in dict.fromkeys((target.version, *earlier))], source)
