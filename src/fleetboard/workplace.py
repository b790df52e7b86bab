"""The folder in which a target keeps its state while it lives."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from fleetboard import processes

_PREFIX = "fleetboard-"
_LOCK = "lock"


@contextlib.contextmanager
def work_folder() -> Iterator[Path]:
    """A private place for state that servers of another user can reach; removed at the end.

    Leftovers of targets that were killed are removed on the way in: each holds a lock while it lives.
    """
    # A root's TMPDIR may be closed to the servers' user; /tmp never is.
    parent = Path("/tmp") if processes.drop_privileges() else Path(tempfile.gettempdir())  # noqa: S108 - mkdtemp below
    _sweep(parent)
    work = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        with (work / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            work.chmod(0o755)  # only now: a folder without this mode is not swept, its lock may be missing
            yield work
    finally:
        _remove(work)


def _sweep(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # held by a living target, somebody else's, or gone meanwhile
            status = folder.lstat()
            if status.st_uid != os.geteuid() or status.st_mode & 0o777 != 0o755:
                continue
            if not (folder / _LOCK).exists():  # the lock goes first when a folder is removed
                _remove(folder)
                continue
            with (folder / _LOCK).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(folder)


def _remove(folder: Path) -> None:
    # A server that was just killed may still have written a last file between listing and removal.
    for _ in range(5):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
