"""Command line of the embedded target: ``up``, ``faults``, and the commands of the team that runs it."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fleetboard import accounts, releases
from fleetboard import faults as registry
from fleetboard.errors import FleetboardError, UnknownFaultError

if TYPE_CHECKING:
    from fleetboard.supervisor import Endpoints

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
        if arguments.command == "scratch":
            from fleetboard import scratch  # noqa: PLC0415 - as in _up

            return scratch.up(arguments.bin, stop_on_eof=arguments.stop_on_eof)
        names = registry.parse(",".join(arguments.fault))
        return _up(names, arguments) if arguments.command == "up" else _operate(names, arguments)
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
        failed = "the target could not start" if arguments.command == "up" else f"{arguments.command} failed"
        print(f"{failed}: {error}", file=sys.stderr)
        return 1


def _operate(names: tuple[str, ...], arguments: argparse.Namespace) -> int:
    # What the team of this target runs, each command on its own; imported here for the reason below.
    import psycopg  # noqa: PLC0415

    from fleetboard import backing_up, deploying, migrating, rolling_back, state  # noqa: PLC0415

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # a tick must not fail on the locale of a job
    faults = tuple(dict.fromkeys((*state.faults_of_target(), *names)))
    try:
        if arguments.command == "migrate":
            migrating.run(releases.find(arguments.to), faults, steps_down=arguments.down)
        elif arguments.command == "backup":
            print(backing_up.run(state.read(), faults))
        else:
            known = state.read()
            with state.alone(known):
                if arguments.command == "deploy":
                    return deploying.run(known, faults, dry_run=arguments.dry_run)
                rolling_back.run(known, faults)
    except psycopg.Error as error:
        print(f"{arguments.command} failed: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def _up(names: tuple[str, ...], arguments: argparse.Namespace) -> int:
    # Imported here: listing the faults needs neither a database driver nor a certificate library.
    from fleetboard import supervisor, workplace  # noqa: PLC0415

    signals = supervisor.Signals()
    try:
        with workplace.work_folder() as work:
            logs = (arguments.state_dir.absolute() if arguments.state_dir else work) / "logs"
            logs.mkdir(parents=True, exist_ok=True)
            target = supervisor.Target(
                names, work, logs, releases.find(arguments.release), arguments.without, earlier=arguments.earlier
            )
            try:
                endpoints = target.start()
                _announce(endpoints, as_json=arguments.json)
                signals.built()
                ended = supervisor.watch(
                    target.children,
                    signals,
                    stop_on_eof=arguments.stop_on_eof,
                    control=target.control,
                    applications=target.applications,
                )
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


def _announce(endpoints: Endpoints, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(endpoints.to_dict()), flush=True)
        return
    print("The embedded target is up; Ctrl-C stops it.")
    for name in ("base_url", "resolver", "ca_file", "logs"):
        print(f"  {name:<9} {getattr(endpoints, name)}")
    print(f"  {'faults':<9} {', '.join(endpoints.faults) or 'none'}")
    for at, line in enumerate(accounts.sign_in_lines(endpoints.env)):
        print(f"  {'' if at else 'sign in':<9} {line}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fleetboard", description="The embedded target: a small fleet application, for real."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="Build the target on free loopback ports and run it until stopped")
    up.add_argument("--fault", action="append", default=[], metavar="NAME[,NAME]", help="Run with these faults")
    up.add_argument(
        "--release",
        choices=releases.RELEASES,
        default=releases.NEW.version,
        help="The release to run (default: %(default)s)",
    )
    up.add_argument(
        "--without",
        type=lambda text: [name for name in text.split(",") if name],
        default=[],
        metavar="PART[,PART]",
        help="Leave these out: inboxes, cache, monitoring, source",
    )
    up.add_argument(
        "--earlier",
        action="store_true",
        help="Keep an instance of the release before beside the others, without traffic until it is given a weight",
    )
    up.add_argument("--json", action="store_true", help="Say how to reach it as one line of JSON")
    up.add_argument("--state-dir", type=Path, metavar="DIR", help="Keep the logs in DIR/logs after the end")
    up.add_argument("--stop-on-eof", action="store_true", help="Stop when standard input ends")
    scratch = commands.add_parser("scratch", help="Run an empty PostgreSQL server; says how to reach it as JSON")
    scratch.add_argument(
        "--bin", type=Path, metavar="DIR", help="Folder of its programs (default: the packaged ones)"
    )
    scratch.add_argument("--stop-on-eof", action="store_true", help="Stop when standard input ends")
    migrate = commands.add_parser("migrate", help="Bring the database of $DATABASE_URL to a release, or back")
    migrate.add_argument(
        "--to", choices=releases.RELEASES, default=releases.NEW.version, help="default: %(default)s"
    )
    migrate.add_argument("--down", type=int, metavar="N", help="Take the N newest migrations back instead")
    backup = commands.add_parser("backup", help="Dump the running target's database; prints the path")
    deploy = commands.add_parser("deploy", help="Bring the running target to the newest release")
    deploy.add_argument("--dry-run", action="store_true", help="Check, say what would be done, change nothing")
    rollback = commands.add_parser("rollback", help="Restore a backup of the running target; asks which")
    for command in (migrate, backup, deploy, rollback):
        command.add_argument(
            "--fault", action="append", default=[], metavar="NAME[,NAME]", help="Do it with these faults too"
        )
    commands.add_parser("faults", help="List the faults: name, gates they must turn red, description")
    return parser
