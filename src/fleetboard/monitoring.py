"""Prometheus and Alertmanager beside the application, and an inbox where their alerts arrive."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleetboard import monitoring_rules, processes
from fleetboard.errors import StartError
from fleetboard.ports import HOST, free_port

if TYPE_CHECKING:
    from fleetboard.parts import Surroundings

PROMETHEUS = "FLEETBOARD_PROMETHEUS"
ALERTMANAGER = "FLEETBOARD_ALERTMANAGER"
RECEIVED = "FLEETBOARD_ALERTS_RECEIVED"
"""Variables with their addresses; the last answers with every alert that came in."""
_NAMES = {"prometheus": ("prometheus",), "alertmanager": ("prometheus-alertmanager", "alertmanager")}
_START_S = 20.0
_ANSWER_S = 2.0
_KEPT = 1000
_LARGEST = 1_000_000


class Inbox:
    """A webhook: keeps what is posted and shows it to whoever asks."""

    def __init__(self, *, refuses: bool) -> None:
        self._messages: list[Any] = []
        self._server = ThreadingHTTPServer((HOST, 0), self._handler(refuses=refuses))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where alerts are posted to, and asked for."""
        return f"http://{HOST}:{self._server.server_address[1]}/alerts"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def _handler(self, *, refuses: bool) -> type[BaseHTTPRequestHandler]:
        messages = self._messages

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(min(int(self.headers.get("Content-Length", "0")), _LARGEST))
                if refuses:
                    self._answer(500, {"error": "nobody reads this"})
                    return
                with contextlib.suppress(ValueError):
                    messages.append(json.loads(body))
                    del messages[:-_KEPT]
                self._answer(200, {})

            def do_GET(self) -> None:
                self._answer(200, {"messages": list(messages)})

            def _answer(self, status: int, content: Any) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: Any) -> None:
                pass

        return Handler


def start(around: Surroundings) -> Mapping[str, str]:
    """Start both, and the inbox; scraping begins some 5 s later, which is Prometheus' own interval for new targets.

    Raises:
        StartError: a program is missing, or did not come up.
    """
    programs = {name: _find(name) for name in _NAMES}
    inbox = Inbox(refuses="alert-not-delivered" in around.faults)
    around.closing.callback(inbox.close)
    folder = around.work / "monitoring"
    folder.mkdir(mode=0o700)
    processes.give_away(folder)
    ports = {name: free_port() for name in _NAMES}
    told = f"{HOST}:{ports['alertmanager']}"
    rules = _write(folder / "rules.yml", monitoring_rules.rules(around.faults))
    configs = {
        "prometheus": monitoring_rules.prometheus(around.instances, told, str(rules), around.faults),
        "alertmanager": monitoring_rules.alertmanager(inbox.url, around.faults),
    }
    children = {}
    for name, program in programs.items():
        config = _write(folder / f"{name}.yml", configs[name])
        children[name] = _spawn(around, name, program, config, ports[name])
    for name, child in children.items():
        _await(child, f"http://{HOST}:{ports[name]}/-/ready")
    urls = {name: f"http://{HOST}:{port}" for name, port in ports.items()}
    if "alert-silenced" in around.faults:
        _silence(urls["alertmanager"], "FleetInstanceDown")
    return {PROMETHEUS: urls["prometheus"], ALERTMANAGER: urls["alertmanager"], RECEIVED: inbox.url}


def _find(name: str) -> str:
    variable = f"FLEETBOARD_{name.upper()}_PROGRAM"
    configured = os.environ.get(variable)
    for candidate in [configured] if configured else [shutil.which(one) for one in _NAMES[name]]:
        if candidate and processes.can_run([candidate, "--version"], unprivileged=True):
            return candidate
    package = _NAMES[name][0]
    raise StartError(
        f"{name} does not run here (tried {configured or ', '.join(_NAMES[name])}); install the package {package}, "
        f"for instance with 'apt-get install {package}', or set {variable} to the program"
    )


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    processes.give_away(path)
    return path


def _spawn(around: Surroundings, name: str, program: str, config: Path, port: int) -> processes.Child:
    data = config.parent / f"{name}-data"
    own = {
        "prometheus": [f"--storage.tsdb.path={data}", "--storage.tsdb.retention.time=1d"],
        "alertmanager": [f"--storage.path={data}", "--cluster.listen-address="],
    }[name]
    command = [program, f"--config.file={config}", f"--web.listen-address={HOST}:{port}", "--log.level=warn", *own]
    child = processes.spawn(name, command, around.logs / f"{name}.log", unprivileged=True)
    around.children.append(child)
    return child


def _await(child: processes.Child, url: str) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        if child.process.poll() is not None:
            raise StartError(f"{child.name} ended with status {child.process.returncode}: {child.last_words()}")
        with contextlib.suppress(OSError), _open(url):
            return
        time.sleep(0.05)
    raise StartError(f"{child.name} did not answer within {_START_S:.0f} s: {child.last_words()}")


def _open(url: str | urllib.request.Request) -> Any:
    opener: Callable[..., Any] = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
    return opener(url, timeout=_ANSWER_S)


def _silence(alertmanager: str, name: str) -> None:
    begins = datetime.now(UTC)
    silence = {
        "matchers": [{"name": "alertname", "value": name, "isRegex": False}],
        "startsAt": begins.isoformat(),
        "endsAt": (begins + timedelta(days=30)).isoformat(),
        "createdBy": "somebody",
        "comment": "too loud last week",
    }
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{alertmanager}/api/v2/silences", json.dumps(silence).encode(), {"Content-Type": "application/json"}
    )
    try:
        with _open(request):
            return
    except (OSError, urllib.error.HTTPError) as error:
        raise StartError(f"alertmanager took no silence: {error}") from error
