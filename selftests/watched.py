"""Prometheus and Alertmanager as the embedded target starts them, before two small applications in threads."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from fleetboard import monitoring, processes
from fleetboard.app.database import Database
from fleetboard.app.exposition import PATH, TYPE, Exposition
from fleetboard.app.metrics import Metrics
from fleetboard.parts import Surroundings
from fleetboard.pki import Authority


@dataclass(frozen=True)
class Watched:
    """What ``target_at`` needs, and more."""

    info: dict[str, Any]
    instances: dict[str, str]


@contextlib.contextmanager
def _application(faults: tuple[str, ...]) -> Iterator[str]:
    """An application that counts each request, and shows the real figures; yields its address."""
    metrics = Metrics()
    exposition = Exposition(metrics, Database("postgresql://nowhere"), faults)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body, kind = (exposition.text(), TYPE) if self.path == PATH else (b"{}", "application/json")
            if self.path != PATH:
                metrics.record(self.path, 200, 5.0)
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextlib.contextmanager
def watched(*faults: str) -> Iterator[Watched]:
    """Two applications, and the target's own monitoring of them; up in 1 s, scraped 5 to 10 s later."""
    work = Path(tempfile.mkdtemp(prefix="gonogo-watched-", dir="/tmp"))
    work.chmod(0o755)
    children: list[processes.Child] = []
    with contextlib.ExitStack() as closing:
        closing.callback(shutil.rmtree, work, ignore_errors=True)
        closing.callback(processes.stop_all, children)
        instances = {name: closing.enter_context(_application(faults)) for name in ("a", "b")}
        base_url = f"http://{instances['a']}"
        around = Surroundings(work, work, faults, children, closing, Authority.create(), base_url, instances)
        yield Watched({"base_url": base_url, "env": dict(monitoring.start(around))}, instances)
