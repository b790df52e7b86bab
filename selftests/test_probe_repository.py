"""The probe of git repositories, on real ones."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gonogo.errors import ToolError
from gonogo.probes.repository import RepositoryFacts, look

ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
    **{f"GIT_{who}_NAME": "Somebody" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "somebody@fleet.test" for who in ("AUTHOR", "COMMITTER")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def git(folder: Path, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit(folder: Path, name: str, at: str = "2026-11-01T12:00:00Z") -> str:
    (folder / name).write_text(name)
    git(folder, "add", name)
    git(folder, "commit", "-qm", f"Add {name}", GIT_COMMITTER_DATE=at, GIT_AUTHOR_DATE=at)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits, the second of them tagged."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "one.txt")
    commit(folder, "two.txt")
    git(folder, "tag", "v1")
    return folder


def seen(folder: Path, **more: object) -> RepositoryFacts:
    return look(folder, **{"tag": "v1", "branch": "main", "environment": ENVIRONMENT, **more})  # type: ignore[arg-type]


def cloned(repository: Path, *options: str) -> Path:
    there = repository.with_name("clone")
    git(repository.parent, "clone", "-q", *options, f"file://{repository}", str(there))
    return there


def test_a_frozen_repository(repository: Path) -> None:
    facts = seen(repository)

    assert facts.tag == facts.head
    assert facts.head.subject == "Add two.txt"
    assert facts.head.at == datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert (facts.changed, facts.submodules, facts.after_tag, facts.after_freeze) == ((), None, (), ())
    assert facts.branches == {"heads/main": facts.head.hash}
    assert (facts.annotated, facts.shallow, facts.unknown, facts.remote) == (False, False, [], None)
    assert any("status --porcelain" in one for one in facts.asked)


def test_an_annotated_tag_leads_to_its_commit(repository: Path) -> None:
    git(repository, "tag", "-a", "v1a", "-m", "Release")

    facts = seen(repository, tag="v1a")

    assert facts.annotated
    assert facts.tag == facts.head


def test_changed_new_staged_deleted_and_oddly_named_files_are_seen(repository: Path) -> None:
    (repository / "one.txt").write_text("other")
    (repository / "two.txt").unlink()
    (repository / "new").mkdir()
    (repository / "new" / "ä b.txt").touch()
    (repository / "staged.txt").touch()
    git(repository, "add", "staged.txt")

    assert [(line[:2], line[3:].strip('"')) for line in seen(repository).changed] == [
        (" M", "one.txt"),
        ("A ", "staged.txt"),
        (" D", "two.txt"),
        ("??", "new/ä b.txt"),
    ]


def test_what_the_users_settings_hide_is_seen(repository: Path) -> None:
    git(repository, "config", "status.showUntrackedFiles", "no")
    (repository / "new.txt").touch()

    assert seen(repository).changed == ("?? new.txt",)


def test_ignored_files_do_not_matter(repository: Path) -> None:
    (repository / ".git" / "info" / "exclude").write_text("build/\n")
    (repository / "build").mkdir()
    (repository / "build" / "x").touch()

    assert seen(repository).changed == ()


def test_a_hooks_variables_lead_nowhere_else(repository: Path, tmp_path: Path) -> None:
    elsewhere = ENVIRONMENT | {"GIT_DIR": str(tmp_path / "nowhere"), "GIT_INDEX_FILE": "/nonexistent"}

    assert seen(repository, environment=elsewhere).changed == ()


def test_what_came_after_the_tag_is_listed_newest_first(repository: Path) -> None:
    commit(repository, "three.txt")
    commit(repository, "four.txt")
    git(repository, "checkout", "-q", "v1")

    facts = seen(repository)

    assert facts.head == facts.tag
    assert [one.subject for one in facts.after_tag] == ["Add four.txt", "Add three.txt"]


def test_a_fetched_branch_counts_like_the_own_one(repository: Path) -> None:
    there = cloned(repository)
    commit(repository, "three.txt")
    git(there, "fetch", "-q")

    facts = seen(there)

    assert set(facts.branches) == {"heads/main", "remotes/origin/main"}
    assert [one.subject for one in facts.after_tag] == ["Add three.txt"]


def test_the_freeze_is_a_date(repository: Path) -> None:
    late = commit(repository, "three.txt", at="2026-11-03T12:00:00Z")
    frozen = datetime(2026, 11, 2, tzinfo=UTC)

    assert [one.hash for one in seen(repository, frozen_at=frozen).after_freeze] == [late]
    assert seen(repository, frozen_at=frozen + timedelta(days=1, hours=12)).after_freeze == ()


def test_a_submodule_at_another_commit(repository: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    git(inner, "init", "-q", "-b", "main")
    commit(inner, "one.txt")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "inner")
    git(repository, "commit", "-qm", "Add a submodule")
    git(repository, "tag", "-f", "v1")
    assert seen(repository).submodules == ()

    commit(repository / "inner", "two.txt")

    facts = seen(repository)
    assert [line.split()[1] for line in facts.submodules or ()] == ["inner"]
    assert facts.changed == (" M inner",)


def test_a_tag_that_is_not_there(repository: Path) -> None:
    facts = seen(repository, tag="v2")

    assert facts.tag is None
    assert facts.unknown == []


@pytest.mark.parametrize(
    ("options", "unknown"),
    [
        (("--depth=1", "--no-tags"), ["the tag may only not have been fetched"]),
        (("--depth=1",), []),
        (("--depth=1", "--branch=v1"), ["the clone does not have the branch"]),
    ],
)
def test_a_shallow_clone_says_what_it_can_not_tell(
    repository: Path, options: tuple[str, ...], unknown: list[str]
) -> None:
    facts = seen(cloned(repository, *options))

    assert facts.shallow
    assert len(facts.unknown) == len(unknown), facts.unknown
    assert all(words in said for words, said in zip(unknown, facts.unknown, strict=True))


def test_a_shallow_clone_of_a_branch_that_went_on_can_not_tell(repository: Path) -> None:
    commit(repository, "three.txt")
    there = cloned(repository, "--depth=1", "--no-tags")
    git(there, "fetch", "-q", "--depth=1", "origin", "tag", "v1")

    assert any("what came after can't be told" in said for said in seen(there).unknown)


def test_a_remote_is_asked(repository: Path) -> None:
    there = cloned(repository)

    same = seen(there, remote="origin").remote
    git(repository, "tag", "-f", "v1", "HEAD~1")
    commit(repository, "three.txt")
    other = seen(there, remote="origin").remote

    assert same is not None
    assert (same.tag, same.branch, same.ahead) == (git(there, "rev-parse", "v1"), same.tag, False)
    assert other is not None
    assert other.tag == git(repository, "rev-parse", "HEAD~2")
    assert other.ahead is True


def test_a_remote_that_is_behind_has_nothing_more(repository: Path) -> None:
    there = cloned(repository)
    commit(there, "three.txt")
    git(there, "tag", "-f", "v1")

    remote = seen(there, remote="origin").remote

    assert remote is not None
    assert remote.ahead is False


def test_a_remote_that_can_not_be_asked_is_asked_twice_and_its_password_is_not_told(repository: Path) -> None:
    git(repository, "remote", "add", "origin", "http://user:hunter2@127.0.0.1:9/x.git")

    facts = seen(repository, remote="origin")

    assert facts.remote is not None
    assert "git ls-remote origin ended with status 128" in facts.remote.problem
    assert sum("ls-remote" in one for one in facts.asked) == 2
    assert "hunter2" not in facts.remote.problem + "".join(facts.asked)


def test_an_unknown_remote(repository: Path) -> None:
    remote = seen(repository, remote="upstream").remote

    assert remote is not None
    assert "upstream" in remote.problem


@pytest.mark.parametrize("name", ["--upload-pack=x", "a b", "v1^", "x:y", ""])
def test_names_that_are_none_are_refused(repository: Path, name: str) -> None:
    with pytest.raises(ToolError, match="can't be the name of a tag, branch or remote"):
        seen(repository, tag=name)


def test_a_folder_that_is_no_repository(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="not a git repository"):
        seen(tmp_path)
    with pytest.raises(ToolError, match="there is no folder"):
        seen(tmp_path / "nowhere")


def test_a_repository_without_a_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")

    with pytest.raises(ToolError, match="has no commit yet"):
        seen(tmp_path)


def test_without_git(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="the program git does not exist"):
        seen(repository, environment={"PATH": str(tmp_path)})


@pytest.mark.parametrize("mark", ["--assume-unchanged", "--skip-worktree"])
def test_a_change_that_git_was_told_to_overlook(repository: Path, mark: str) -> None:
    git(repository, "update-index", mark, "one.txt", "two.txt")
    assert seen(repository).changed == ()

    (repository / "one.txt").write_text("changed")
    (repository / "two.txt").unlink()

    # A sparse checkout leaves out what it marks; nobody else does.
    gone = ("h  two.txt",) if mark == "--assume-unchanged" else ()
    assert seen(repository).changed == ("h  one.txt", *gone)


def test_a_commit_after_the_freeze_below_one_with_an_older_date(repository: Path) -> None:
    late = commit(repository, "late.txt", "2026-11-20T12:00:00Z")
    commit(repository, "older.txt", "2026-11-02T12:00:00Z")
    git(repository, "tag", "v2")

    facts = seen(repository, tag="v2", frozen_at=datetime(2026, 11, 10, tzinfo=UTC))

    assert [one.hash for one in facts.after_freeze] == [late]


def test_a_replaced_commit_is_seen_as_it_is(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    git(repository, "replace", head, git(repository, "rev-parse", "HEAD~1"))

    facts = seen(repository)

    assert (facts.head.subject, facts.changed) == ("Add two.txt", ())


def test_a_folder_without_a_file_of_the_repository_around_it(repository: Path) -> None:
    """What was to be a submodule or a clone is not there, and git would tell of the repository around it."""
    (repository / "build").mkdir()
    (repository / "part").mkdir()
    head = git(repository, "rev-parse", "HEAD")
    git(repository, "update-index", "--add", "--cacheinfo", f"160000,{head},part")
    for name in ("build", "part"):
        with pytest.raises(ToolError, match="holds no file of the repository around it"):
            seen(repository / name)

    (repository / "own").mkdir()
    (repository / "own" / "x").touch()
    git(repository, "add", "own")
    assert seen(repository / "own").head.hash == head


def test_git_that_traces_is_read_all_the_same(repository: Path) -> None:
    there = cloned(repository, "--depth", "1")

    assert seen(there, environment=ENVIRONMENT | {"GIT_TRACE": "1"}).shallow
