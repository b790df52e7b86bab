"""Child processes that can't outlive us, under a user of their own where we are root."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

UNPRIVILEGED = 65534
"""The uid and gid (``nobody`` everywhere) that servers get when we are root: PostgreSQL refuses uid 0."""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None)  # looked up here: between fork and exec nothing may be imported


def drop_privileges() -> bool:
    """Whether servers must run as somebody else than we do."""
    return os.geteuid() == 0


def give_away(path: Path) -> None:
    """Make the servers' user own one path, if that user is not ourselves."""
    if drop_privileges():
        os.chown(path, UNPRIVILEGED, UNPRIVILEGED)


def _die_with_parent(parent: int, death_signal: int) -> Callable[[], None]:
    def before_exec() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return before_exec


def _credentials(*, unprivileged: bool) -> dict[str, object]:
    if not (unprivileged and drop_privileges()):
        return {}
    return {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []}


@dataclass
class Child:
    """One running server."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    stop_signal: signal.Signals

    def ask_to_stop(self) -> None:
        """Send the signal on which it shuts down in order; harmless if it has ended."""
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)

    def wait(self, timeout_s: float) -> None:
        """Wait for its end; kill it when the time is up."""
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once, with everything it started (each child leads a process group)."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def last_words(self, lines: int = 3) -> str:
        """The end of its log, on one line."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return " / ".join(line.strip() for line in text.splitlines()[-lines:]) or "its log is empty"


def spawn(
    name: str,
    command: Sequence[str],
    log: Path,
    *,
    unprivileged: bool = False,
    stop_signal: signal.Signals = signal.SIGTERM,
    death_signal: signal.Signals = signal.SIGKILL,
    env: Mapping[str, str] | None = None,
    fds: Sequence[int] = (),
) -> Child:
    """Start a server whose output goes to ``log`` and that is signalled when we die.

    Must be called from the main thread: the kernel sends ``death_signal`` when the *thread* that
    spawned the child ends (prctl(2), PR_SET_PDEATHSIG).

    Args:
        name: what it is called in messages.
        command: program and arguments; no shell.
        log: file that receives both output streams, appended.
        unprivileged: run as ``UNPRIVILEGED`` if we are root.
        stop_signal: what makes it shut down in order.
        death_signal: what the kernel sends it when we are gone.
        env: its whole environment; ours if ``None``.
        fds: descriptors it inherits under the same numbers.
    """
    with log.open("ab") as out:
        process = subprocess.Popen(  # noqa: S603 - fixed programs, arguments of our own
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=env,
            cwd="/",  # HAProxy returns to where it began, which may be a folder closed to its user
            pass_fds=fds,
            start_new_session=True,  # a Ctrl-C in the terminal reaches us alone; we stop them in order
            # Safe beside our DNS threads: it takes no lock that one of them could hold, only calls the kernel.
            preexec_fn=_die_with_parent(os.getpid(), death_signal),  # noqa: PLW1509
            **_credentials(unprivileged=unprivileged),  # type: ignore[call-overload]
        )
    return Child(name, process, log, stop_signal)


def can_run(command: Sequence[str], *, unprivileged: bool) -> bool:
    """Whether the servers' user can execute this; short commands only (10 s).

    Asking the kernel beats reading modes: a folder above, a mount option or an ACL may forbid it too.
    """
    try:
        done = subprocess.run(  # noqa: S603 - fixed programs, arguments of our own
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=10,
            check=False,
            cwd="/",
            **_credentials(unprivileged=unprivileged),  # type: ignore[call-overload]
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return bool(done.returncode == 0)


def stop_all(children: Sequence[Child], timeout_s: float = 4.0) -> None:
    """Stop these together, last started first; kill what is left when the time is up."""
    end = time.monotonic() + timeout_s
    for child in reversed(children):
        child.ask_to_stop()
    for child in reversed(children):
        child.wait(max(0.0, end - time.monotonic()))
