"""An empty PostgreSQL server for experiments: same machinery as the target's, no data, gone at the end."""

from __future__ import annotations

import json
from pathlib import Path

from fleetboard import postgres, processes, supervisor, workplace
from fleetboard.pki import Authority


def up(folder: Path | None, *, stop_on_eof: bool) -> int:
    """Run a server until a signal, or the end of standard input; returns the exit status.

    Prints one line of JSON: ``database_url`` (the superuser's, to the database ``postgres``) and ``bin``.

    Args:
        folder: folder with ``postgres`` and ``initdb``; the packaged one if ``None``.
        stop_on_eof: stop when standard input ends.

    Raises:
        StartError: it did not come up.
    """
    signals = supervisor.Signals()
    child: processes.Child | None = None
    try:
        with workplace.work_folder() as work:
            try:
                authority = Authority.create()
                ca_file = work / "root.pem"
                ca_file.write_bytes(authority.root.pem)
                ca_file.chmod(0o644)
                cluster = postgres.Cluster(
                    folder or postgres.find_bin(work), work, work / "postgres.log", authority, ca_file
                )
                cluster.create()
                try:
                    cluster.start()
                finally:
                    child = cluster.child
                url = cluster.url(postgres.SUPERUSER, "postgres")
                print(json.dumps({"database_url": url, "bin": str(cluster.bin)}), flush=True)
                signals.built()
                supervisor.watch([child] if child else [], signals, stop_on_eof=stop_on_eof)
            finally:
                signals.built()
                if child is not None:
                    processes.stop_all([child])
    except supervisor.StopRequested:
        pass
    return 0
