"""Runs other people's programs: to their end or until time is up, with prompts answered.

A program runs in a session of its own, so that all it started can be ended together, and Ctrl-C in our
terminal reaches it through us alone. Secrets belong into its environment, never among its arguments.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import re
import selectors
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gonogo.errors import ToolError

OUTPUT_LIMIT = 1_000_000
"""Bytes of output that are kept, from its end."""
KILL_AFTER_S = 2.0
"""A program that was asked to end may tidy up for so long."""
LINGER_S = 1.0
"""What a program left running may hold its output open for ever; we listen no longer than this."""
POLL_S = 0.05
CHUNK = 65_536
WINDOW = 8_192
"""Bytes of the newest output in which a prompt is looked for."""

ESCAPES = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
"""Colours, cursor movements and titles, which terminals receive amid the text."""

# Runs in the child, which thereby gets the terminal as its own (sudo and ssh ask there) and becomes the
# program. Code between fork and exec in this process would be a risk as soon as it has a second thread.
_TAKE_TERMINAL = """
import fcntl, os, signal, sys, termios
failure = int(sys.argv[1])
os.set_inheritable(failure, False)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
if sys.argv[2] == "no":
    os.environ.pop("LC_CTYPE", None)
try:
    os.execvp(sys.argv[3], sys.argv[3:])
except OSError as error:
    os.write(failure, str(error.errno or 0).encode())
    os._exit(126)
"""


@dataclass(frozen=True)
class CommandFacts:
    """What became of one command."""

    command: str
    """The command as a person would type it."""
    status: int | None
    """Exit status; a signal's number below zero; ``None`` if it was ended because time was up."""
    duration_s: float
    output: str
    """Both streams as they came, up to the last megabyte; what is no UTF-8 stands there as escapes."""
    unanswered: tuple[str, ...]
    """Prompts that never appeared, so that their answers were not given."""


def run_command(
    command: Sequence[str],
    *,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    answers: Sequence[tuple[str, str]] = (),
    stdin: bytes | None = None,
) -> CommandFacts:
    """Runs a program and waits for its end; a bad exit status is a fact, not an error.

    Args:
        command: program and arguments; there is no shell.
        timeout_s: seconds after which it is ended with everything in its process group.
        environment: its whole environment; ours if ``None``.
        cwd: where it runs; where we run if ``None``.
        answers: pairs of a prompt's text and what to type once it has appeared after the answer before.
            With any, the program has a terminal. What it leaves in the background then loses that
            terminal (SIGHUP) when it ends, as if an operator had closed the window.
        stdin: its standard input where it has no terminal; empty if ``None``.

    Raises:
        ToolError: the program does not exist or can't be executed, or a prompt has no text.
        ValueError: both ``answers`` and ``stdin`` are given.
    """
    if answers and stdin is not None:
        raise ValueError("a command has either answers to its prompts or a standard input, not both")
    if not command:
        raise ToolError("the command is empty; name a program and its arguments")
    if not all(prompt for prompt, _ in answers):
        raise ToolError(f"an answer for {shlex.join(command)} has no prompt to wait for; name the prompt's text")
    with _started(command, environment, cwd, stdin, terminal=bool(answers)) as (process, stream):
        return _Run(process, stream, answers, timeout_s).facts(shlex.join(command))


class _Run:
    """One program that runs, and what was heard of it."""

    def __init__(
        self, process: subprocess.Popen[bytes], stream: int, answers: Sequence[tuple[str, str]], timeout_s: float
    ) -> None:
        self._process = process
        self._stream = stream
        self._answers = [(_typed(prompt), _typed(answer).removesuffix(b"\n")) for prompt, answer in answers]
        self._prompts = [prompt for prompt, _ in answers]
        self._started = time.monotonic()
        self._ends = self._started + timeout_s
        self._kept = bytearray()
        self._dropped = 0
        self._unseen = b""
        self._echo = b""

    def facts(self, command: str) -> CommandFacts:
        """Waits for the end and tells of it."""
        in_time = self._listen()
        duration_s = time.monotonic() - self._started
        if not in_time:
            _end(self._process)
        self._listen_on()
        unanswered = tuple(self._prompts[len(self._prompts) - len(self._answers) :])
        status = self._process.returncode if in_time else None
        return CommandFacts(command, status, duration_s, self._output(), unanswered)

    def _listen(self) -> bool:
        """Takes output in until the program has ended; False if time was up before."""
        is_open = True
        while self._process.poll() is None:
            left = self._ends - time.monotonic()
            if left <= 0:
                return False
            if is_open:
                is_open = self._take(min(left, POLL_S))
            else:  # it may close its output and go on
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(left)
        return True

    def _listen_on(self) -> None:
        """Takes in what is left in the pipe, and no more than that from whoever else holds it."""
        ends = time.monotonic() + LINGER_S
        while (left := ends - time.monotonic()) > 0 and self._take(left):
            pass

    def _take(self, timeout_s: float) -> bool:
        """Waits for a piece of output; False once there can't be any more."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._stream, selectors.EVENT_READ)
            if not selector.select(timeout_s):
                return True
        try:
            data = os.read(self._stream, CHUNK)
        except OSError as error:
            if error.errno != errno.EIO:  # how a terminal says that nobody holds its other end
                raise
            data = b""
        self._kept += data
        if len(self._kept) > 2 * OUTPUT_LIMIT:
            self._drop()
        if data and self._answers:
            self._answer(data)
        return bool(data)

    def _answer(self, data: bytes) -> None:
        """Types the next answer if its prompt has appeared by now."""
        self._unseen = ESCAPES.sub(b"", self._unseen + data.replace(b"\r", b""))
        while self._answers:
            prompt, answer = self._answers[0]
            _, echo, after = self._unseen.partition(self._echo) if self._echo else (b"", b"", b"")
            if echo:
                self._unseen, self._echo = after, b""
            elif prompt in self._echo:  # our own typing is not the prompt
                break
            _, found, after = self._unseen.partition(prompt)
            if not found:
                break
            self._answers.pop(0)
            self._unseen = after
            self._echo = answer + b"\n" if _echoes(self._stream) else b""
            with contextlib.suppress(OSError):  # it has just ended
                os.write(self._stream, answer + b"\r")  # what the Enter key sends
        self._unseen = self._unseen[-WINDOW:]

    def _drop(self) -> None:
        excess = max(len(self._kept) - OUTPUT_LIMIT, 0)
        del self._kept[:excess]
        self._dropped += excess

    def _output(self) -> str:
        self._drop()
        text = self._kept.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
        if not self._dropped:
            return text
        return f"[the first {self._dropped} bytes of output were not kept]\n{text}"


@contextlib.contextmanager
def _started(
    command: Sequence[str],
    environment: Mapping[str, str] | None,
    cwd: Path | None,
    stdin: bytes | None,
    *,
    terminal: bool,
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The running program and the descriptor on which it is heard, and typed to if it has a terminal."""
    with contextlib.ExitStack() as stack:
        try:
            if terminal:
                process, stream = _on_terminal(stack, command, environment, cwd)
            else:
                given = subprocess.DEVNULL if stdin is None else stack.enter_context(_file_of(stdin))
                process = subprocess.Popen(  # noqa: S603 - running the plan's commands is what this is for
                    list(command),
                    stdin=given,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=cwd,
                    bufsize=0,
                    start_new_session=True,
                )
                assert process.stdout is not None
                stack.callback(process.stdout.close)
                stream = process.stdout.fileno()
        except (OSError, ValueError) as error:
            raise ToolError(_not_started(command, cwd, error)) from None
        try:
            yield process, stream
        except BaseException:  # Ctrl-C above all: nothing of it may go on without us
            _end(process)
            raise


def _on_terminal(
    stack: contextlib.ExitStack, command: Sequence[str], environment: Mapping[str, str] | None, cwd: Path | None
) -> tuple[subprocess.Popen[bytes], int]:
    """Starts a program on a pseudo terminal that is its own.

    Raises:
        OSError: it can't be started.
    """
    ours, theirs = pty.openpty()
    stack.callback(os.close, ours)
    with contextlib.ExitStack() as until_started:
        until_started.callback(os.close, theirs)
        # Wide, so that programs which fold their lines to the window leave them whole.
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 250, 0, 0))
        reading, writing = os.pipe()
        stack.callback(os.close, reading)
        until_started.callback(os.close, writing)
        has_ctype = "yes" if "LC_CTYPE" in (os.environ if environment is None else environment) else "no"
        process = subprocess.Popen(  # noqa: S603 - as above
            [sys.executable, "-I", "-S", "-c", _TAKE_TERMINAL, str(writing), has_ctype, *command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            cwd=cwd,
            pass_fds=(writing,),
            start_new_session=True,
        )
    failed = os.read(reading, 16)  # ends when the program has taken over
    if failed:
        process.wait()
        raise OSError(int(failed), os.strerror(int(failed)), command[0])
    return process, ours


def _file_of(data: bytes) -> IO[bytes]:
    """The data as an open file without a name: whatever the program reads of it, nobody has to wait."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    file.write(data)
    file.seek(0)
    return file


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a program with everything in its group: first asks, then insists."""
    _signal(process.pid, signal.SIGTERM)
    ends = time.monotonic() + KILL_AFTER_S
    while process.poll() is None or _lives(process.pid):  # its children may tidy up as well
        if time.monotonic() > ends:
            _signal(process.pid, signal.SIGKILL)
            break
        time.sleep(POLL_S)
    # Not even SIGKILL ends a program that hangs in the kernel; waiting longer would hang us as well.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(KILL_AFTER_S)


def _signal(group: int, number: int) -> bool:
    """Sends a signal to a group; False if nobody is in it any more."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # what is left of it runs as somebody else
        return True
    return True


def _lives(group: int) -> bool:
    """Whether anything in a group still runs; in containers, what has ended may stay in it as a zombie."""
    if not _signal(group, 0):
        return False
    states: list[str] = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            state, _, group_id = entry.read_text().rpartition(")")[2].split()[:3]
            if int(group_id) == group:
                states.append(state)
    return not states or any(state != "Z" for state in states)  # none: this system has no /proc


def _typed(text: str) -> bytes:
    return text.replace("\r", "").encode()


def _echoes(terminal: int) -> bool:
    """Whether the terminal shows what is typed; programs switch that off for passwords."""
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)


def _not_started(command: Sequence[str], cwd: Path | None, error: OSError | ValueError) -> str:
    program = command[0]
    if cwd is not None and not cwd.is_dir():
        return f"{program} can't be run in {cwd}: there is no such folder"
    if isinstance(error, FileNotFoundError):
        return f"the program {program} does not exist; install it, or name it by its path"
    if isinstance(error, OSError) and error.errno == errno.ENOEXEC:
        return f"the program {program} can't be executed: it is neither a binary nor a script with a #! line"
    why = error.strerror if isinstance(error, OSError) else str(error)
    return f"the program {program} can't be executed: {why}"
