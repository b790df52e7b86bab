"""Command line of the embedded target: ``up`` and ``faults``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from fleetboard import faults as registry
from fleetboard.errors import FleetboardError, UnknownFaultError

_USAGE_ERROR = 4


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    Status 0: stopped in order. 1: could not start, or a part of it died. 4: unknown fault.
    """
    arguments = _parser().parse_args(argv)
    if arguments.command == "faults":
        for fault in registry.FAULTS.values():
            print(fault.name, ",".join(fault.gates), fault.description, sep="\t")
        return 0
    try:
        names = registry.parse(",".join(arguments.fault))
        return _up(names, arguments)
    except UnknownFaultError as error:
        print(error, file=sys.stderr)
        return _USAGE_ERROR
    except FleetboardError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever asked for the line is gone
        sys.stdout = None  # or the interpreter complains when it flushes at exit
        return 1
    except OSError as error:
        print(f"the target could not start: {error}", file=sys.stderr)
        return 1


def _up(names: tuple[str, ...], arguments: argparse.Namespace) -> int:
    # Imported here: listing the faults needs neither a database driver nor a certificate library.
    from fleetboard import supervisor  # noqa: PLC0415

    signals = supervisor.Signals()
    try:
        with supervisor.work_folder() as work:
            logs = (arguments.state_dir.absolute() if arguments.state_dir else work) / "logs"
            logs.mkdir(parents=True, exist_ok=True)
            target = supervisor.Target(names, work, logs)
            try:
                endpoints = target.start()
                _announce(endpoints.to_dict(), as_json=arguments.json)
                signals.built()
                ended = supervisor.watch(target, signals, stop_on_eof=arguments.stop_on_eof)
            finally:
                signals.built()
                target.stop()
    except supervisor.StopRequested:
        return 0
    if ended is not None:
        print(
            f"{ended.name} ended by itself with status {ended.process.returncode}: {ended.last_words()}",
            file=sys.stderr,
        )
        return 1
    return 0


def _announce(endpoints: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(endpoints), flush=True)
        return
    print("The embedded target is up; Ctrl-C stops it.")
    for name in ("base_url", "resolver", "ca_file", "logs"):
        print(f"  {name:<9} {endpoints[name]}")
    print(f"  {'faults':<9} {', '.join(map(str, endpoints['faults'])) or 'none'}", flush=True)  # type: ignore[call-overload]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fleetboard", description="The embedded target: a small fleet application, for real."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="Build the target on free loopback ports and run it until stopped")
    up.add_argument("--fault", action="append", default=[], metavar="NAME[,NAME]", help="Run with these faults")
    up.add_argument("--json", action="store_true", help="Say how to reach it as one line of JSON")
    up.add_argument("--state-dir", type=Path, metavar="DIR", help="Keep the logs in DIR/logs after the end")
    up.add_argument("--stop-on-eof", action="store_true", help="Stop when standard input ends")
    commands.add_parser("faults", help="List the faults: name, gates they must turn red, description")
    return parser
