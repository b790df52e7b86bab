"""A small application and its team, whose deployments are shell scripts; and how their gates are judged."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from gate_calls import Called, target_at
from gonogo.model import Outcome
from gonogo.target import Target

COMMIT = "a1b2c3d4e5f60718"
TICKS = (
    "✓ Pre-flight checks passed",
    "✓ Backup created",
    "✓ Code updated",
    "✓ Dependencies installed",
    "✓ Tests passed",
    "✓ Build completed",
    "✓ Application deployed",
    "✓ Health check passed",
)
SAYS = "; ".join(f"echo '{tick}'" for tick in TICKS)


class Team:
    """An application of two instances behind one address, whose releases are the lines of a file."""

    def __init__(self, folder: Path, port: int) -> None:
        self.state = folder / "releases"
        self.port = port
        self.folder = folder
        self.runs("1.0.0")

    def runs(self, *versions: str, commit: str = COMMIT, status: str = "healthy") -> str:
        """Instances a and b run these releases from now on; also the shell command that says so."""
        both = [versions[0], versions[-1]]
        lines = [f"{name} {version} {commit} {status}" for name, version in zip("ab", both, strict=True)]
        self.state.write_text("\n".join(lines) + "\n")
        return f"printf '{lines[0]}\\n{lines[1]}\\n' > {self.state}.new && mv {self.state}.new {self.state}"

    def becomes(self, *versions: str, commit: str = COMMIT, status: str = "healthy") -> str:
        """Shell command after which other releases run; nothing changes yet."""
        before = self.state.read_text()
        command = self.runs(*versions, commit=commit, status=status)
        self.state.write_text(before)
        return command

    def target(
        self,
        run: str = "true",
        dry_run: str | list[str] | None = "true",
        kind: str = "disposable",
        rollback: dict[str, Any] | None = None,
        backup: dict[str, Any] | None = None,
        **deploy: Any,
    ) -> Target:
        """The target, whose commands are these shell scripts."""
        dry_run = ["/bin/sh", "-c", dry_run] if isinstance(dry_run, str) else dry_run
        commands = {"run": ["/bin/sh", "-c", run], "dry_run": dry_run}
        tables = {
            "deploy": {**commands, "settle_s": 0.5, "max_s": 20.0, "samples": 8, **deploy},
            "http": {"timeout_s": 5.0},
            "rollback": rollback or {},
            "backup": backup or {},
        }
        info = {"base_url": f"http://127.0.0.1:{self.port}", "commit": COMMIT}
        target = target_at(info, root=self.folder, **tables, database=None)
        target.kind = kind  # type: ignore[assignment]
        return target


@contextlib.contextmanager
def working_team(folder: Path) -> Iterator[Team]:
    """The application, served until the end of the block."""
    turn = itertools.count()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            lines = (folder / "releases").read_text().split("\n")[:-1]
            name, version, commit, status = lines[next(turn) % 2].split(" ")
            told = {"instance": name, "version": version, "commit": commit, "status": status}
            body = json.dumps({key: value for key, value in told.items() if value}).encode()
            self.send_response(200 if status != "down" else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield Team(folder, server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def red(called: Called, name: str, *words: str) -> None:
    """The gate is red for exactly this measurement, whose value says these words."""
    assert called.outcome is Outcome.FAIL, called.reason
    assert [one for one in called.bad if name in one] == list(called.bad), called.bad
    assert called.bad
    for word in words:
        assert word in str(called[name].actual)


def green(called: Called) -> None:
    assert (called.outcome, called.bad) == (Outcome.PASS, {}), called.reason
    assert called.measurements
