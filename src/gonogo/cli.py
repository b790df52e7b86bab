"""The command ``gonogo``: plan, report, verdict, explain. None of them touches the network."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from gonogo.errors import GonogoError
from gonogo.model import PHASES

USAGE = 4
"""Exit status for wrong arguments, a wrong plan or an unreadable ledger, as pytest has it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    arguments = _parser().parse_args(argv)
    status = 0
    try:
        status = arguments.run(arguments)
        sys.stdout.flush()
    except GonogoError as error:
        print(f"gonogo: {error}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:  # the reader of a pipe has seen enough; Python's own last flush must not fail on it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


class _Parser(argparse.ArgumentParser):
    """Ends with pytest's status for wrong usage: argparse's own 2 means interrupted there."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and leave."""
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    from gonogo import commands  # noqa: PLC0415 - `gonogo --help` needs none of what it brings

    common = _Parser(add_help=False)
    common.add_argument("--root", type=Path, default=Path.cwd(), metavar="DIR", help="folder with PLAYBOOK.md")
    common.add_argument("--target", metavar="NAME", help="target of launch.toml (default: $GONOGO_TARGET)")
    common.add_argument("--reports", type=Path, metavar="DIR", help="folder of reports and ledger")
    parser = _Parser(prog="gonogo", description="Launch gates: plan, report, verdict.")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, text in (
        (
            "plan",
            commands.plan,
            "what would run: phase, gate, target, expected duration, load; missing inputs",
        ),
        ("report", commands.report, "render the reports from the ledger, without a target"),
        ("verdict", commands.verdict, "print the verdict and exit with it: 0 GO, 1 NO-GO, 20 HOLD"),
        ("explain", commands.explain, "what a gate measures, its bounds, its last measurements, who can unblock"),
    ):
        verb = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", parents=[common])
        verb.set_defaults(run=run)
        if name == "verdict":
            verb.add_argument(
                "--require", type=_phases, default=(), metavar="PHASE,...", help="judge these phases only"
            )
        if name == "explain":
            verb.add_argument("gate", metavar="GATE", help="id of a gate, e.g. tls.certificate")
        if name == "report":
            verb.add_argument("--no-pdf", action="store_true", help="do not make the PDF")
    return parser


def _phases(text: str) -> tuple[str, ...]:
    phases = tuple(part.strip() for part in text.split(",") if part.strip())
    for phase in phases:
        if phase not in PHASES:
            raise argparse.ArgumentTypeError(f"unknown phase {phase!r}; allowed are {', '.join(PHASES)}")
    if not phases:
        raise argparse.ArgumentTypeError("name at least one phase, e.g. t3,t1")
    return phases
