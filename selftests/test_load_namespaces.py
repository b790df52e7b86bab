"""Load from several machines, as network namespaces of this one: workers that share nothing but the wire with the master."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import servers
from gonogo.arrivals import Stretch
from gonogo.probes.load import Plan, Request, Workers, run

LOCUSTFILE = Path(__file__).parent.parent / "tests" / "load" / "locustfile.py"


def ip(*arguments: str) -> bool:
    """Runs one command of iproute2; whether it worked."""
    try:
        return subprocess.run(["ip", *arguments], capture_output=True, timeout=20, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def namespaces() -> Iterator[list[tuple[str, str]]]:
    """Two namespaces, each with the address under which it sees this machine."""
    made: list[tuple[str, str]] = []
    number = os.getpid() % 200
    with contextlib.ExitStack() as stack:
        for index in (1, 2):
            name, near, far = f"gonogo-{os.getpid()}-{index}", f"gg{os.getpid()}{index}", f"gh{os.getpid()}{index}"
            ours, theirs = f"10.203.{number}.{index * 4 + 1}", f"10.203.{number}.{index * 4 + 2}"
            if not ip("netns", "add", name):
                pytest.skip("network namespaces can't be made here (iproute2 and root)")
            stack.callback(ip, "netns", "del", name)
            steps = [
                ("link", "add", near, "type", "veth", "peer", "name", far),
                ("link", "set", far, "netns", name),
                ("addr", "add", f"{ours}/30", "dev", near),
                ("link", "set", near, "up"),
                ("-n", name, "addr", "add", f"{theirs}/30", "dev", far),
                ("-n", name, "link", "set", far, "up"),
                ("-n", name, "link", "set", "lo", "up"),
                ("-n", name, "route", "add", "default", "via", ours),
            ]
            if not all(ip(*step) for step in steps):
                pytest.skip("virtual links can't be made here")
            stack.callback(ip, "link", "del", near)
            made.append((name, ours))
        yield made


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: set[str]

    def do_GET(self) -> None:
        self.seen.add(self.client_address[0])
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def test_workers_of_two_namespaces_share_one_schedule(namespaces: list[tuple[str, str]]) -> None:
    port = servers.free_port()
    seen: set[str] = set()
    server = ThreadingHTTPServer(("0.0.0.0", 0), type("Here", (_Answering,), {"seen": seen}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--worker", "--master-port", str(port)]
    first = namespaces[0][1]
    with contextlib.ExitStack() as stack:
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        for name, ours in namespaces:
            inside = ["ip", "netns", "exec", name, *command, "--master-host", ours]
            worker = stack.enter_context(
                subprocess.Popen(inside, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
            )
            stack.callback(worker.kill)
        facts = run(
            Plan(
                f"http://{first}:{server.server_port}",
                (Request("/"),),
                (Stretch("steady", 40, 2),),
                workers=Workers(remote=2, bind="0.0.0.0", port=port),
            ),
            LOCUSTFILE,
        )

    assert facts.generators == 2
    assert [row.due_s for row in facts.rows] == pytest.approx([number / 40 for number in range(80)])
    assert facts.of("steady").failures == 0
    assert len(seen) == 2, seen  # each worker came from an address of its own
