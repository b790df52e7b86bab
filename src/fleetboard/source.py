"""The release's source: a git repository with tag, remote, tests and an audit, made anew for each target."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fleetboard.errors import StartError
from fleetboard.releases import NEW

if TYPE_CHECKING:
    from fleetboard.parts import Surroundings

SOURCE = "FLEETBOARD_SOURCE"
"""Environment variable with the repository's folder."""

COMMIT = "FLEETBOARD_SOURCE_COMMIT"
"""Environment variable with the commit that was released."""

_SAMPLE = Path(__file__).parent / "sample"
_BRANCH = "main"
_NOTES = "CHANGELOG.md"
_TESTS = "test_distances.py"
_RUNNER = "run_tests.py"
_LOCK = "requirements.lock"
_TAG = f"v{NEW.version}"
_TIMEOUT_S = 20
_AUTHOR = {
    "GIT_AUTHOR_NAME": "Fleet Team",
    "GIT_AUTHOR_EMAIL": "team@fleet.test",
    "GIT_COMMITTER_NAME": "Fleet Team",
    "GIT_COMMITTER_EMAIL": "team@fleet.test",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}
_OLD_RESULTS = (
    '<testsuites><testsuite name="fleet" tests="12" failures="0" errors="0" timestamp="2026-01-05T09:00:00+00:00">'
    + "".join(f'<testcase classname="test_distances" name="test_{number}"/>' for number in range(12))
    + "</testsuite></testsuites>\n"
)


def start(around: Surroundings) -> Mapping[str, str]:
    """Make the repository; nothing of it runs.

    Raises:
        StartError: git is missing or refuses.
    """
    folder = around.work / "source"
    commit = make(folder, around.faults)
    return {SOURCE: str(folder), COMMIT: commit}


def make(folder: Path, faults: Sequence[str]) -> str:
    """Make the repository with its remote beside it; returns the released commit.

    Raises:
        StartError: git is missing or refuses.
    """
    git = _Git(folder)
    _write(folder, faults)
    git("init", "--quiet", f"--initial-branch={_BRANCH}")
    git("add", "--", ".", f":!{_NOTES}")
    git("commit", "--quiet", "--message=Distances and arrival times")
    if "tag-elsewhere" in faults:
        git("tag", "--annotate", _TAG, "--message=Release")
    git("add", ".")
    git("commit", "--quiet", "--allow-empty", f"--message=Release {NEW.version}")
    if "tag-elsewhere" not in faults:
        git("tag", "--annotate", _TAG, "--message=Release")
    released = git("rev-parse", "HEAD")
    _push(folder, git, faults)
    _go_on(folder, git, faults)
    return released


def _write(folder: Path, faults: Sequence[str]) -> None:
    left_out = ["__init__.py", "__pycache__", *([_NOTES] if "release-notes-missing" in faults else [])]
    shutil.copytree(_SAMPLE, folder, ignore=shutil.ignore_patterns(*left_out))
    (folder / ".gitignore").write_text("build/\n__pycache__/\n", encoding="utf-8")
    if "tests-shrank" in faults:
        _change(folder / _TESTS, r"\n\nclass (?:Distances|Arrivals)\((?s:.*?)(?=\n\nclass )", "")
    if "tests-skipped" in faults:
        _change(folder / _TESTS, r"class Arrivals", '@unittest.skip("flickers")\nclass Arrivals')
    if "tests-failed" in faults:
        _change(folder / "distances.py", r"6_371_000\.0", "6_731_000.0")
        _change(folder / _RUNNER, r"sys\.exit\(main\(\)\)", "main()")
    if "test-results-old" in faults:
        _change(folder / _RUNNER, r"\n *\(build / .*\n", "\n")
        (folder / "build").mkdir()
        (folder / "build" / "junit.xml").write_text(_OLD_RESULTS, encoding="utf-8")
    if "audit-finding" in faults:
        _change(folder / _LOCK, r"starlette==[\d.]+", "starlette==0.9.1")


def _change(path: Path, pattern: str, replacement: str) -> None:
    text, times = re.subn(pattern, replacement, path.read_text(encoding="utf-8"))
    assert times, (path, pattern)
    path.write_text(text, encoding="utf-8")


def _push(folder: Path, git: _Git, faults: Sequence[str]) -> None:
    remote = folder.with_name(f"{folder.name}-remote.git")
    git("init", "--quiet", "--bare", f"--initial-branch={_BRANCH}", str(remote))
    git("remote", "add", "origin", str(remote))
    tags = [] if "tag-not-pushed" in faults else [_TAG]
    git("push", "--quiet", "origin", _BRANCH, *tags)
    if "pushed-after-freeze" in faults:
        tree, before = git("rev-parse", "HEAD^{tree}"), git("rev-parse", "HEAD")
        there = _Git(remote)
        later = there("commit-tree", tree, "-p", before, "-m", "One more thing")
        there("update-ref", f"refs/heads/{_BRANCH}", later)


def _go_on(folder: Path, git: _Git, faults: Sequence[str]) -> None:
    """What happened after the release."""
    if "commit-after-freeze" in faults:
        _change(folder / "distances.py", r"arrival times", "times of arrival")
        git("commit", "--quiet", "--all", "--message=Mend the words")
        git("checkout", "--quiet", "--detach", _TAG)
    if "dirty-tree" in faults:
        _change(folder / "distances.py", r"6_371_000\.0", "6_371_008.8")
        (folder / "hotfix.py").write_text('"""Tried on the server."""\n', encoding="utf-8")


class _Git:
    """Runs git in one folder, by nobody's settings but its own."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("git")
        if program is None:
            raise StartError("git is not installed; install it, or leave the source out (--without source)")
        self._program = program
        self._folder = folder
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        self._environment = inherited | _AUTHOR

    def __call__(self, *arguments: str) -> str:
        """Run one command; returns what it printed, without the line's end.

        Raises:
            StartError: git refuses, in its own words.
        """
        done = subprocess.run(  # noqa: S603 - fixed commands
            [self._program, *arguments],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise StartError(f"the source could not be made: git {arguments[0]}: {done.stderr.strip()}")
        return done.stdout.strip()
