"""launch.toml about database, backup, deployment and rollback; and targets that are like others."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gonogo.errors import PlanError, ToolError
from gonogo.launchfile import load_launch_file
from gonogo.ledger import RunWriter
from gonogo.loading import check_arming, load_plan
from gonogo.settings import LaunchFile
from gonogo.tables.release import EXPECTED_OUTPUT
from gonogo.target import Target
from gonogo.targets import Targets

LAUNCH = '[launch]\nproject = "p"\nversion = "1"\n'
TARGET = '[targets.t]\nkind = "disposable"\n'
DATABASE = 'database = { migrate = ["m"] }\n'


def load(folder: Path, text: str) -> LaunchFile:
    (folder / "launch.toml").write_text(LAUNCH + text, encoding="utf-8")
    return load_launch_file(folder / "launch.toml")


def target(folder: Path, text: str, provided: dict[str, str] | None = None) -> Target:
    settings = load(folder, TARGET + text).targets["t"]
    return Target("t", settings, {"base_url": "https://app.test", **(provided or {})}, "1", root=folder)


def test_defaults_are_the_playbook_s(tmp_path: Path) -> None:
    text = TARGET + DATABASE + 'backup = {}\ndeploy = { run = ["d"] }\n'
    text += 'rollback = { command = ["r"], version = "0", restores = "x" }\n'
    found = load(tmp_path, text).targets["t"]
    assert found.database
    assert found.backup
    assert found.deploy
    assert found.rollback
    assert (found.database.max_connections_percent, found.database.migrate_s) == (80.0, 15 * 60)
    assert (found.backup.max_age_s, found.backup.restore_s) == (2 * 3600, 10 * 60)
    assert (found.deploy.max_s, found.deploy.expect) == (20 * 60, EXPECTED_OUTPUT)
    assert len(EXPECTED_OUTPUT) == 8
    assert found.rollback.max_s == 10 * 60


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("database = {}", "launch.toml: targets.t.database.migrate is missing; add it"),
        ("database = { migrate = [] }", "launch.toml: targets.t.database.migrate: found []"),
        ('database = { migrate = "make" }', "database.migrate: found 'make'; input should be a list, e.g. [\"a\""),
        ('database = { migrate = ["m"], history = "h" }', "'h' must be written as table.column"),
        ('database = { migrate = ["m"], pool_size = 3 }', "pool_role and pool_size belong together"),
        ('database = { migrate = ["m"], migrate_down = ["{steps}"] }', "so history must name the table"),
        ('backup = { command = ["b"] }', "command makes a dump, so files must say where it is"),
        ('deploy = { run = ["d"], commit = "HEAD" }', "'HEAD' must be a commit, 7 to 64 hexadecimal digits"),
        ('deploy = { run = ["d"], expect = [] }', "launch.toml: targets.t.deploy.expect: found []"),
        ('rollback = { command = ["r"], restores = "x" }', "targets.t.rollback.version is missing"),
        ('staging = "t"', "allowed is another target that is no production: the file has none"),
        ('like = "t"', "targets.t.like names 't'; allowed is a target that is itself like no other: none"),
    ],
)
def test_a_mistake_is_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        load(tmp_path, TARGET + text)
    assert sentence in str(caught.value)


def test_a_production_target_is_nobody_s_staging(tmp_path: Path) -> None:
    text = '[targets.p]\nkind = "production"\nbase_url = "https://p.test"\n'
    with pytest.raises(PlanError, match=r"targets\.t\.staging names 'p'"):
        load(tmp_path, text + TARGET + 'staging = "p"')


def test_a_target_like_another_takes_over_the_tables_that_it_lacks(tmp_path: Path) -> None:
    text = TARGET + 'base_url = "https://t.test"\nhttp = { samples = 7 }\ntls = { min_days = 3 }\n'
    text += '[targets.s]\nkind = "staging"\nlike = "t"\ntls = { min_days = 9 }\n'
    staging = load(tmp_path, text).targets["s"]
    assert staging.http
    assert staging.tls
    assert (staging.http.samples, staging.tls.min_days) == (7, 9)
    assert (staging.kind, staging.base_url) == ("staging", None)


def test_where_scratch_databases_are_does_not_change_what_a_result_answers(tmp_path: Path) -> None:
    with_scratch = DATABASE.replace(" }", ', scratch_url = "postgresql://me:hidden@h/d", pg_bin = "/x" }')
    plain, scratch = (load(tmp_path, TARGET + text).targets["t"].for_digest() for text in (DATABASE, with_scratch))
    assert plain == scratch
    assert "hidden" not in str(scratch)


def test_the_commit_comes_from_the_file_a_variable_or_the_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELEASE_COMMIT", "ABCDEF012345")
    assert target(tmp_path, 'deploy = { run = ["d"], commit = "0123456" }').commit == "0123456"
    assert (
        target(tmp_path, 'deploy = { run = ["d"], commit = { env = "RELEASE_COMMIT" } }').commit == "abcdef012345"
    )
    assert target(tmp_path, "", {"commit": "fedcba9876"}).commit == "fedcba9876"
    with pytest.raises(ToolError, match="deploy.commit is missing"):
        _ = target(tmp_path, 'deploy = { run = ["d"] }').commit
    with pytest.raises(ToolError, match="'unknown' must be a commit"):
        _ = target(tmp_path, "", {"commit": "unknown"}).commit


def test_files_are_found_by_age_with_variables_of_the_provider(tmp_path: Path) -> None:
    for age, name in enumerate(("c.dump", "a.dump", "b.dump")):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (1_000_000 - age, 1_000_000 - age))
    (tmp_path / "a.txt").write_bytes(b"x")
    found = target(tmp_path, "", {"env.DUMPS": str(tmp_path)})
    assert [p.name for p in found.files("$DUMPS/*.dump")] == ["b.dump", "a.dump", "c.dump"]
    assert found.files("*.dump") == found.files("$DUMPS/*.dump")
    with pytest.raises(ToolError, match=r"'\$NOWHERE/\*' names a variable that is not set"):
        found.files("$NOWHERE/*")
    with pytest.raises(ToolError, match=r"'a\*\*/x' is no pattern of files"):
        found.files("a**/x")
    (tmp_path / "latest.dump").symlink_to("gone")
    assert len(found.files("*.dump")) == 3


def test_commands_run_in_the_plan_s_folder_with_the_provider_s_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import os; print(os.getcwd(), os.environ['WHO'], os.environ['MORE'], os.environ.get('PGSERVICE'))"
    monkeypatch.setenv("PGSERVICE", "production")
    done = target(tmp_path, "", {"env.WHO": "me"}).run(
        ["{python}", "-c", code], timeout_s=30, environment={"MORE": "yes"}
    )
    assert done.status == 0
    assert done.output.split() == [str(tmp_path), "me", "yes", "None"]


@pytest.mark.parametrize(
    ("kind", "at", "refusal"),
    [
        ("disposable", "", "is a rehearsal (kind disposable), and a rehearsal is not armed"),
        ("staging", "at = 2026-12-01T09:00:00Z\n", "is a rehearsal (kind staging), and a rehearsal is not armed"),
        ("production", "", "launch.at is TBD, so this would be a rehearsal on production"),
        ("production", "at = 2026-12-01T09:00:00Z\n", None),
    ],
)
def test_only_a_production_target_with_a_date_is_armed(
    kind: str, at: str, refusal: str | None, tmp_path: Path
) -> None:
    text = LAUNCH + at + f'[targets.t]\nkind = "{kind}"\nbase_url = "https://app.test"\n'
    (tmp_path / "launch.toml").write_text(text, encoding="utf-8")
    loaded = load_plan(tmp_path, "t")
    check_arming(loaded, [])
    if refusal is None:
        check_arming(loaded, ["deploy"])
        return
    with pytest.raises(PlanError) as caught:
        check_arming(loaded, ["deploy"])
    assert refusal in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "armed", "may"),
    [
        ("disposable", (), True),
        ("staging", (), False),
        ("production", (), False),
        ("production", ("deploy",), True),
    ],
)
def test_what_may_be_done_to_a_target(kind: Any, armed: tuple[str, ...], may: bool, tmp_path: Path) -> None:
    settings = load(tmp_path, f'[targets.t]\nkind = "{kind}"\nbase_url = "https://app.test"\n').targets["t"]
    assert Target("t", settings, {}, "1", armed=armed).armed("deploy") is may


def test_a_production_s_command_is_not_run_for_another_target(tmp_path: Path) -> None:
    text = '[targets.p]\nkind = "production"\nbase_url = "https://p.test"\ndeploy = { run = ["./deploy"] }\n'
    text += '[targets.s]\nkind = "staging"\nbase_url = "https://s.test"\nlike = "p"\n'
    settings = load(tmp_path, text).targets
    one = Target("s", settings["s"], {}, "1", root=tmp_path, productions=[("./deploy",), ("./deploy", "{target}")])
    with pytest.raises(ToolError, match=r"targets\.s\.deploy\.run is the very command of a production target"):
        one.require_own("deploy.run", one.settings("deploy").run)
    one.require_own("deploy.run", ("./deploy", "{target}"))
    one.require_own("deploy.run", ("./deploy", "staging"))
    assert one.run(["echo", "{target}"], timeout_s=10).output == "s\n"
    Target("p", settings["p"], {}, "1", productions=[("./deploy",)]).require_own("deploy.run", ("./deploy",))


def test_a_companion_knows_its_production_s_commands(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    text = LAUNCH + '[targets.p]\nkind = "production"\nbase_url = "https://p.test"\nstaging = "s"\n'
    text += 'deploy = { run = ["./deploy"] }\n'
    text += 'rollback = { command = ["./back"], version = "0", restores = "x" }\n'
    text += '[targets.s]\nkind = "staging"\nbase_url = "https://s.test"\nlike = "p"\n'
    (tmp_path / "launch.toml").write_text(text, encoding="utf-8")
    writer = RunWriter(tmp_path / "ledger", datetime.now(UTC))
    targets = Targets(pytestconfig, load_plan(tmp_path, "p"), writer, ())
    companion = targets.get("staging")
    for key, command in (("deploy.run", ("./deploy",)), ("rollback.command", ("./back",))):
        with pytest.raises(ToolError, match=f"targets.s.{key} is the very command"):
            companion.require_own(key, command)
        targets.get().require_own(key, command)
    targets.close()
    writer.abandon()
