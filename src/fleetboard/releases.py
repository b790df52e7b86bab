"""The releases of the application: what each is called, was built from, needs and shows."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fleetboard.errors import UnknownReleaseError

PRIORITY = "priority"
"""Feature: loads are shown with their priority."""

_WRONG_COMMIT = "0badc0ffee00"


@dataclass(frozen=True)
class Release:
    """One release."""

    version: str
    last_migration: str
    """The newest migration that it needs."""
    features: tuple[str, ...] = ()
    """What its application shows beyond that of the release before."""


OLD = Release("0.9.0", "0004_instances")
NEW = Release("1.0.0", "0006_search", (PRIORITY,))
RELEASES = {release.version: release for release in (OLD, NEW)}
"""Every release by its version, oldest first."""

# Nothing was ever built from it: the release before the one in this tree exists only in the story.
_OLD_COMMIT = "3f9c1d27ab54"


def find(version: str) -> Release:
    """The release of this version.

    Raises:
        UnknownReleaseError: there is none; the message names those there are.
    """
    if version not in RELEASES:
        raise UnknownReleaseError(f"there is no release {version!r}; allowed are: {', '.join(RELEASES)}")
    return RELEASES[version]


def commit(release: Release) -> str:
    """Commit that a release was built from, 12 hex digits; ``unknown`` outside a source tree."""
    return _OLD_COMMIT if release is OLD else _commit_of_tree()


def shown_commit(release: Release, faults: Sequence[str]) -> str:
    """Commit that the running application tells."""
    return _WRONG_COMMIT if release is NEW and "wrong-commit" in faults else commit(release)


@functools.cache
def _commit_of_tree() -> str:
    git = shutil.which("git")
    if git is None:
        return "unknown"
    command = [git, "-C", str(Path(__file__).parent), "rev-parse", "--short=12", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603 - fixed command
    return done.stdout.strip() if done.returncode == 0 else "unknown"
