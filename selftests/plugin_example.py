"""A small launch for the plugin's self-tests: written in a few lines, run for real, read back as people read it.

What a session left is read from its files as plain JSON, so that a mistake in the code that reads ledgers
can't hide a mistake in the code that writes them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# Loaded once here: pytester forgets what an in-process session imports, and pydantic alone costs 0.3 s.
import gonogo.cli
import gonogo.commands
import gonogo.finish
import gonogo.loading
import gonogo.report.html
import gonogo.report.json_report
import gonogo.report.junit
import gonogo.report.markdown_report
import gonogo.session
import gonogo.session_html
import gonogo.target

GOOD = 'measure("answers", 3, at_least(3, "launch.toml: http.samples"))'
BAD = 'measure("answers", 2, at_least(3, "launch.toml: http.samples"))'

SETTINGS = """\
[launch]
project = "Fleet"
version = "1.0.0"

[targets.rehearsal]
kind = "disposable"
"""

# Playwright's plugin can't be nested in a session that has it too; the other two cost a second a session.
INI = """\
[pytest]
testpaths = ["tests"]
strict = true
addopts = ["-p", "no:locust", "-p", "no:playwright", "-p", "no:hypothesispytest", "-p", "no:anyio"]
filterwarnings = ["error", "ignore::pytest.PytestRemovedIn10Warning"]
"""

HEAD = """\
import pytest
from gonogo import InconclusiveError, TargetError, ToolError, at_least, is_true, rate_below
"""


def gate(gate_id: str, body: str = GOOD, *, uses: str = "measure", marks: str = "", says: str = "") -> str:
    """Source of one gate; ``marks`` are names of pytest marks, apart by blanks."""
    lines = [f'@pytest.mark.gate("{gate_id}")', *(f"@pytest.mark.{mark}" for mark in marks.split())]
    title = says or f"What {gate_id} promises holds."
    inside = [f'"""{title}"""', *body.splitlines()]
    name = re.sub(r"\W", "_", gate_id)
    return "\n".join([*lines, f"def test_{name}({uses}):", *(f"    {line}" for line in inside), ""])


@dataclass(frozen=True)
class Seen:
    """What a person sees of a session: its exit status and its words."""

    status: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """Everything that was printed."""
        return self.out + self.err

    def sentence(self, part: str) -> str:
        """The one line that contains ``part``; there must be just one, and no traceback around it."""
        lines = [line for line in self.words.splitlines() if part in line]
        assert len(set(lines)) == 1, self.words
        assert "Traceback" not in self.words
        assert "INTERNALERROR" not in self.words
        return lines[0]


class Launch:
    """A folder with a launch in it."""

    def __init__(self, pytester: pytest.Pytester, settings: str | None = SETTINGS) -> None:
        self.pytester = pytester
        self.root = pytester.path
        self.reports = self.root / "reports"
        self.ledger = self.reports / "ledger"
        self.write("pytest.toml", INI)
        if settings is not None:
            self.write("launch.toml", settings)

    # ------------------------------------------------------------------ written

    def write(self, path: str, text: str) -> Path:
        """Write a file of the launch."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def playbook(self, **phases: str) -> None:
        """Write a playbook with one box a phase: ``t3="tls.certificate tls.protocols"``."""
        parts = ["# The launch\n"]
        for phase, gates in phases.items():
            parts.append(f"## At {phase} <!-- phase: {phase} owner: {phase.upper()} Lead -->\n")
            parts.append(f"- [ ] Box of {phase} <!-- gate: {gates} -->\n")
        self.write("PLAYBOOK.md", "\n".join(parts))

    def module(self, path: str, *sources: str) -> Path:
        """Write a test module."""
        return self.write(path, "\n\n".join([HEAD, *sources]))

    # ------------------------------------------------------------------ run

    def run(self, *arguments: str) -> Seen:
        """Run pytest in this process."""
        done = self.pytester.runpytest_inprocess(*arguments)
        return Seen(int(done.ret), done.stdout.str(), done.stderr.str())

    def apart(self, *arguments: str) -> Seen:
        """Run pytest in a process of its own."""
        done = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=60, cwd=self.root, check=False
        )
        return Seen(done.returncode, done.stdout, done.stderr)

    @staticmethod
    def command(*arguments: str) -> list[str]:
        """Command line of a pytest of its own."""
        return [sys.executable, "-m", "pytest", *arguments]

    def gonogo(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> Seen:
        """Run the command ``gonogo`` in this process; the working directory is the launch's folder."""
        capsys.readouterr()
        try:
            status = gonogo.cli.main(arguments)
        except SystemExit as end:
            status = int(end.code or 0)
        out, err = capsys.readouterr()
        return Seen(status, out, err)

    # ------------------------------------------------------------------ read back

    @property
    def report(self) -> dict[str, Any]:
        """go-no-go.json."""
        read: dict[str, Any] = json.loads((self.reports / "go-no-go.json").read_text())
        return read

    @property
    def gates(self) -> dict[str, dict[str, Any]]:
        """Gates of the report by key, e.g. ``tls.certificate@t3``."""
        return {f"{g['id']}@{phase['id']}": g for phase in self.report["phases"] for g in phase["gates"]}

    @property
    def outcomes(self) -> dict[str, str]:
        """Outcomes of the report by key."""
        return {key: found["outcome"] for key, found in self.gates.items()}

    def runs(self) -> list[Path]:
        """Files of all runs, the oldest first."""
        return sorted(self.ledger.glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)

    def entries(self, run: Path | None = None) -> list[dict[str, Any]]:
        """Lines of a run, by default of the newest."""
        return [json.loads(line) for line in (run or self.runs()[-1]).read_text().splitlines()]

    def ran(self) -> list[str]:
        """Keys of what the newest run has results of, in the order of the results."""
        return [entry["result"]["ask"] for entry in self.entries() if entry["type"] == "result"]
