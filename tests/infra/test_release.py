"""Release: the team's deployment does what it says, and afterwards the release runs everywhere."""

from __future__ import annotations

import pytest
from tests.infra import watching
from tests.infra.release import (
    OVERTIME,
    health_check,
    judge_command,
    judge_commit,
    judge_health,
    judge_output,
    judge_release,
    judge_watch,
    running_releases,
    runs_everywhere,
    settled,
    watch_facts,
)

from gonogo import EvidenceKeeper, Measure, Target, TargetError, ToolError, at_most, empty
from gonogo.probes.catalog import read_catalog
from gonogo.probes.outage import HealthWatch
from gonogo.schema import Catalog, compare

ZERO_DOWNTIME = "playbook: zero-downtime deployment"
LAUNCHED = "launch.toml: launch.version"


@pytest.mark.gate("release.deployed")
def test_deployed(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The release to be launched is what runs, in every instance, by version and commit."""
    commit = target.commit
    facts = running_releases(target)
    evidence.json("releases.json", facts.by_instance)
    judge_release(target, measure, facts, target.version, LAUNCHED)
    judge_commit(target, measure, facts, commit)


# The commands have limits of their own, which follow from launch.toml; a general one would cut a
# deployment in half.
@pytest.mark.timeout(0)
@pytest.mark.gate("deploy.dry-run")
def test_dry_run(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The dry run of the deployment says what it should, and changes nothing: no instance, no schema."""
    deploy = target.settings("deploy")
    if deploy.dry_run is None:
        raise ToolError(
            f"launch.toml: targets.{target.name}.deploy.dry_run is missing; add the command that tries the "
            "deployment without doing it, or scope the box out"
        )
    before, schema = running_releases(target), live_schema(target)
    facts = target.run(deploy.dry_run, timeout_s=deploy.max_s * OVERTIME)
    evidence.text("output.txt", facts.output)
    bound = (deploy.max_s, target.source("deploy.max_s"))
    judge_command(measure, facts.status, facts.duration_s, bound, name="dry run")
    judge_output(target, measure, facts.output)

    after = running_releases(target)
    evidence.json("releases.json", {"before": before.by_instance, "after": after.by_instance})
    changed = after.changed_since(before)
    none = empty("a dry run only says what a deployment would do")
    measure("instances that changed in the dry run", changed, none, n=len(before.answers))
    if schema is not None:
        now = live_schema(target) or schema
        differences = [one.detail for one in compare(schema, now)]
        measure("changes of the schema in the dry run", differences, none, n=len(schema.objects))


def live_schema(target: Target) -> Catalog | None:
    """The database's catalog as it is now; ``None`` where launch.toml has no database."""
    if not target.has("database"):
        return None
    database = target.settings("database")
    return read_catalog(target.database_url, database.schema_name, database.timeout_s)


@pytest.mark.timeout(0)
@pytest.mark.destructive
@pytest.mark.gate("deploy.run")
def test_run(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The deployment goes through, no request is lost meanwhile, and the new release answers everywhere."""
    deploy, commit = target.settings("deploy"), target.commit
    if not target.armed("deploy"):
        way = (
            "runs only when the launch is armed: give --gonogo-arm deploy"
            if target.kind == "production"
            else "is for production and disposable targets only: deploy staging as you always do, and let "
            "release.deployed prove it"
        )
        raise ToolError(f"deploy.run changes the target {target.name} (kind {target.kind}), so it {way}")
    target.require_own("deploy.run", deploy.run)
    already = ran_already(target, commit)
    watching.begin(target)
    with target.client() as probe, HealthWatch(health_check(target, probe), deploy.interval_s) as watch:
        watching.mark(target, watching.BEGUN)
        facts = target.run(deploy.run, timeout_s=deploy.max_s * OVERTIME)
        watching.mark(target, watching.ENDED)
    evidence.text("output.txt", facts.output)
    evidence.json("health.json", watch_facts(watch.facts))
    bound = (deploy.max_s, target.source("deploy.max_s"))
    judge_command(measure, facts.status, facts.duration_s, bound, name="deployment")
    judge_output(target, measure, facts.output)
    lost = at_most(0, ZERO_DOWNTIME)
    measure("failed health requests meanwhile", watch.facts.failures, lost, n=watch.facts.samples)

    after = settled(
        target,
        lambda now: runs_everywhere(target, now, target.version) and not now.built_otherwise(commit),
        deploy.settle_s,
    )
    evidence.json("releases.json", after.by_instance)
    # No fault, as a deployment may be repeated; but then the answers do not show that it brought anything.
    when = "which ran everywhere before the deployment as well: " if already else ""
    judge_release(target, measure, after, target.version, LAUNCHED, when=when)
    judge_commit(target, measure, after, commit)
    judge_health(target, measure, after)
    judge_watch(watch.facts)


def ran_already(target: Target, commit: str) -> bool:
    """Whether the release runs in every instance that answers; a target that does not answer runs none."""
    try:
        facts = running_releases(target)
    except TargetError:
        return False
    return (
        bool(facts.answers) and runs_everywhere(target, facts, target.version) and not facts.built_otherwise(commit)
    )
