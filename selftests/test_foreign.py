"""A target that this project never saw: a plain nginx with a page and a health file, fifteen lines of launch.toml."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleetboard import processes
from gate_runs import ROOT, Run, environment
from gonogo.ledger import read_ledger
from gonogo.model import Outcome
from servers import authority, free_port

NAME = "desk.example.test"
BOXES = {
    "Certificate and handshake are in order": ["tls.certificate", "tls.protocols", "tls.policy"],
    "The desk says that it is healthy": ["health.endpoint"],
    "The way in is safe": ["http.edge", "edge.exposure"],
}
REST = (
    "dns.* health.endpoints-all health.truthful stats.* websocket.* process.* logs.* services.* monitoring.* announce.* "
    "docs.* plan.* release.* deploy.* database.* backup.* rollback.* smoke.* load.* ramp.* availability.*"
)
HEALTHY = '{"status": "healthy"}'

CONFIG = """\
daemon off;
worker_processes 1;
pid {work}/nginx.pid;
error_log stderr;
events {{ }}
http {{
    access_log off;
    server_tokens off;
    client_body_temp_path {work}/body;
    proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi;
    scgi_temp_path {work}/scgi;
    types {{ text/html html; }}
    server {{
        listen 127.0.0.1:{https} ssl http2;
        server_name {name};
        root {work}/site;
        ssl_certificate {work}/chain.pem;
        ssl_certificate_key {work}/chain.pem;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305;
        ssl_ecdh_curve X25519:prime256v1:secp384r1;
        add_header Strict-Transport-Security "max-age=63072000" always;
        add_header Content-Security-Policy "default-src 'self'; frame-ancestors 'none'" always;
        add_header X-Content-Type-Options nosniff always;
        add_header Referrer-Policy no-referrer always;
        location = /api/health {{ default_type application/json; }}
        location ~ /[.] {{ return 404; }}
    }}
    server {{
        listen 127.0.0.1:{http};
        server_name {name};
        return 301 https://{name}:{https}$request_uri;
    }}
}}
"""

LAUNCH = """\
[launch]
project = "Order Desk"
version = "2.4.0"
[targets.production]
kind = "production"
base_url = "https://{name}:{https}"
ca_file = "root.pem"
address = {{ "{name}" = "127.0.0.1" }}
[targets.production.tls]
[targets.production.http]
[targets.production.edge]
http_port = {http}
closed_ports = [{closed}]
"""


@dataclass
class Desk:
    """The target, and the folder from which it is judged."""

    project: Path
    health: Path

    def run(self, reports: str, *arguments: str) -> Run:
        """The gates, as somebody would run them who has cloned this project and written the two files."""
        own = [f"--gonogo-reports={self.project / reports}", "--gonogo-target", "production"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *own, *arguments],
            cwd=self.project,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=environment(),
        )
        records = read_ledger(self.project / reports / "ledger")
        results = {result.ask.gate: result for run in records.runs for result in run.results}
        return Run(done.returncode, done.stdout + done.stderr, results)


def playbook() -> str:
    """The boxes of the desk, and one that leaves every other gate of this project out."""
    boxes = [f"- [ ] {text} <!-- gate: {' '.join(ids)} -->" for text, ids in BOXES.items()]
    boxes.append(f"- [ ] Names and everything else <!-- scope: another team's gate: {REST} -->")
    return "\n".join(["# Order Desk", "", "### T-3 days <!-- phase: t3 owner: Desk -->", "", *boxes, ""])


def nginx() -> str:
    """The program."""
    found = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    assert found, "install the package nginx-light, as scripts/setup does"
    return found


def wait_for(port: int, child: processes.Child) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        assert child.process.poll() is None, child.last_words()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.2):
            return
        time.sleep(0.02)
    raise AssertionError(child.last_words())


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    work = Path(tempfile.mkdtemp(prefix="gonogo-desk-", dir="/tmp"))
    project = tmp_path_factory.mktemp("project")
    children: list[processes.Child] = []
    try:
        values = {"work": work, "name": NAME, "https": free_port(), "http": free_port(), "closed": free_port()}
        (work / "site" / "api").mkdir(parents=True)
        (work / "site" / "index.html").write_text("<!doctype html><title>Order Desk</title><h1>Order Desk</h1>")
        (work / "site" / "api" / "health").write_text(HEALTHY)
        issuer = authority(project)
        issuer.context(NAME)
        chain = next(path for path in project.glob("*.pem") if path.name != "root.pem")
        (work / "chain.pem").write_bytes(chain.read_bytes())
        (work / "nginx.conf").write_text(CONFIG.format(**values))
        for path in (work, *work.rglob("*")):
            processes.give_away(path)
        command = [nginx(), "-e", "stderr", "-c", str(work / "nginx.conf")]
        children.append(processes.spawn("nginx", command, work / "nginx.log", unprivileged=True))
        for name in ("conftest.py", "pyproject.toml"):
            shutil.copy(ROOT / name, project)
        shutil.copytree(ROOT / "tests", project / "tests", ignore=shutil.ignore_patterns("__pycache__"))
        launch = LAUNCH.format(**values)
        assert len(launch.splitlines()) <= 15
        (project / "launch.toml").write_text(launch)
        (project / "PLAYBOOK.md").write_text(playbook())
        wait_for(int(str(values["https"])), children[0])
        yield Desk(project, work / "site" / "api" / "health")
    finally:
        processes.stop_all(children)
        shutil.rmtree(work, ignore_errors=True)


def test_a_plain_nginx_is_launched_with_fifteen_lines(desk: Desk) -> None:
    run = desk.run("reports")

    assert {g: r.reason for g, r in run.results.items() if r.outcome is not Outcome.PASS} == {}, run.output
    assert set(run.results) == {gate for box in BOXES.values() for gate in box}
    assert run.status == 0, run.output


def test_a_desk_that_is_degraded_is_not_launched(desk: Desk) -> None:
    desk.health.write_text('{"status": "degraded"}')
    try:
        run = desk.run("degraded", "-m", "t3", "-k", "health or edge")
    finally:
        desk.health.write_text(HEALTHY)

    red = {gate for gate, result in run.results.items() if result.outcome is Outcome.FAIL}
    assert red == {"health.endpoint"}, run.output
    assert "degraded" in run.results["health.endpoint"].reason
    assert run.status == 1
