"""PM2 itself, for self-tests: installed once outside git, and run with a home of its own."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "pm2"
INSTALLED = Path(__file__).parent.parent / ".cache" / "pm2"
INSTALL_S = 120.0


@dataclass(frozen=True)
class Pm2:
    """A PM2 that runs nothing but what the test starts."""

    command: tuple[str, ...]
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """What leads a ``pm2`` to this daemon."""
        return {"PM2_HOME": str(self.home), "PM2_DISCRETE_MODE": "true"}

    def run(self, *arguments: str) -> str:
        """Runs a command of PM2's and returns its output."""
        done = subprocess.run(
            [*self.command, *arguments],
            env={**os.environ, **self.environment},
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, name: str, script: str, options: Sequence[str] = ()) -> None:
        """Has PM2 run a script of Node's under this name."""
        file = self.home / f"{name}.js"
        file.write_text(script, encoding="utf-8")
        self.run("start", str(file), "--name", name, *options)


def installed() -> Path:
    """The folder with the program, as the lock file pins it; skips where it can't be had."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("PM2 needs node and npm; install the packages nodejs and npm")
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    INSTALLED.mkdir(parents=True, exist_ok=True)
    stamp = INSTALLED / "installed"
    with (INSTALLED / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            stamp.unlink(missing_ok=True)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name, INSTALLED / name)
            command = ["npm", "ci", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"]
            try:
                done = subprocess.run(
                    command, cwd=INSTALLED, capture_output=True, text=True, timeout=INSTALL_S, check=False
                )
            except subprocess.TimeoutExpired:
                pytest.skip(f"PM2 could not be installed within {INSTALL_S:.0f} s: no registry of npm answers here")
            if done.returncode != 0:
                pytest.skip(f"PM2 could not be installed: {done.stderr.strip()[-300:]}")
            stamp.write_text(wanted)
    return INSTALLED


@contextlib.contextmanager
def daemon() -> Iterator[Pm2]:
    """A PM2 with a home of its own; its daemon ends with the block."""
    program = installed() / "node_modules" / "pm2" / "bin" / "pm2"
    home = Path(tempfile.mkdtemp(prefix="gonogo-pm2-", dir="/tmp"))  # its sockets need a short path
    pm2 = Pm2(("node", str(program)), home)
    try:
        yield pm2
    finally:
        pm2.run("kill")
        shutil.rmtree(home, ignore_errors=True)
