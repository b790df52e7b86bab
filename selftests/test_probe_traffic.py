"""Weights are set in a real HAProxy and a real nginx, and what was refused is said and undone."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonogo.errors import TargetError, ToolError
from gonogo.probes.traffic import MAX_WEIGHT, Command, Haproxy, Nginx, weights
from gonogo.processes import CommandFacts, run_command
from servers import answer, free_port, serve

run = partial(run_command, timeout_s=10.0)


@settings(max_examples=60)
@given(share=st.integers(5, 95), new=st.integers(1, 8), old=st.integers(1, 8))
def test_weights_come_within_half_a_point_of_any_share(share: int, new: int, old: int) -> None:
    mine, theirs = weights(share / 100, new, old)

    assert 1 <= mine <= MAX_WEIGHT
    assert 1 <= theirs <= MAX_WEIGHT
    got = mine * new / (mine * new + theirs * old)
    assert abs(got - share / 100) < 0.005


def test_none_and_all_are_exact_and_a_release_without_servers_gets_nothing() -> None:
    assert (weights(0, 2, 1), weights(1, 2, 1)) == ((0, 1), (1, 0))
    assert weights(1, 2, 0) == (1, 0)
    for share, new, old in ((0.5, 0, 1), (0.5, 1, 0), (1.5, 1, 1), (1, 0, 1)):
        with pytest.raises(ValueError):
            weights(share, new, old)


# HAProxy

CONFIG = """
global
    stats socket {socket} mode 600 level admin
defaults
    mode http
    timeout connect 2s
    timeout client 5s
    timeout server 5s
frontend web
    bind 127.0.0.1:{port}
    default_backend app
frontend api
    mode tcp
    bind 127.0.0.1:{api}
    default_backend api
backend api
    mode tcp
    server socket unix@{socket}
backend app
    balance {balance}
    server new 127.0.0.1:{new}
    server old 127.0.0.1:{old} weight 0
"""


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A short path: sockets have names of 107 bytes at most."""
    path = Path(tempfile.mkdtemp(prefix="gonogo-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextlib.contextmanager
def program(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until_served(port)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(5)


def until_served(port: int) -> None:
    end = time.monotonic() + 5
    while True:
        try:
            asked(port, 1)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return


def asked(port: int, times: int) -> Counter[str]:
    """Who answered, over new connections."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    said: Counter[str] = Counter()
    for _ in range(times):
        with opener.open(f"http://127.0.0.1:{port}/", timeout=5) as reply:
            said[reply.read().decode()] += 1
    return said


@contextlib.contextmanager
def haproxy(balance: str = "roundrobin") -> Iterator[tuple[Path, int, int]]:
    """HAProxy between two servers; yields its socket, its port, and the port of its API."""
    with folder() as here, serve(answer(b"new")) as new, serve(answer(b"old")) as old:
        port, api, path = free_port(), free_port(), here / "admin.sock"
        text = CONFIG.format(socket=path, port=port, api=api, new=new.port, old=old.port, balance=balance)
        (here / "haproxy.cfg").write_text(text)
        with program(
            [shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f", str(here / "haproxy.cfg")], port
        ):
            yield path, port, api


def test_haproxy_gives_each_release_its_share_at_once_and_loses_nothing() -> None:
    with haproxy() as (path, port, api):
        control = Haproxy(str(path), "app", ["new"], ["old"])
        for share, expected in ((0.1, 20), (0.5, 100), (1.0, 200), (0.0, 0)):
            assert "weights new " in control.set(share)
            assert asked(port, 200)["new"] == pytest.approx(expected, abs=1), share
        new, old = control.counts()
        assert (new.failures, old.failures) == (0, 0)
        assert new.answers + old.answers >= 800
        assert "nothing left" in control.drain(1.0)
        # The same over an address.
        Haproxy(f"127.0.0.1:{api}", "app", ["new"], ["old"]).set(1.0)
        assert asked(port, 10) == {"new": 10}


def test_connections_that_last_are_ended_when_the_new_release_is_drained() -> None:
    with haproxy() as (path, port, _), contextlib.ExitStack() as stack:
        control = Haproxy(str(path), "app", ["new"], ["old"])
        control.set(1.0)
        slow = stack.enter_context(serve(answer(b"late", delay_s=2.5)))
        control._ask(f"set server app/new addr 127.0.0.1 port {slow.port}")
        waiting = stack.enter_context(
            contextlib.closing(__import__("socket").create_connection(("127.0.0.1", port)))
        )
        waiting.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.2)
        control.set(0.0)
        begun = time.monotonic()

        assert control.drain(0.3).startswith("1 connections")
        assert time.monotonic() - begun < 2
        waiting.settimeout(3)
        assert b"200" not in waiting.recv(1000)[:15]


def test_a_load_balancer_that_can_not_change_weights_is_found_out() -> None:
    with haproxy("static-rr") as (path, _, _), pytest.raises(TargetError, match="HAProxy refused"):
        Haproxy(str(path), "app", ["new"], ["old"]).set(0.1)


def test_wrong_names_and_a_socket_that_is_not_there_are_our_own_fault() -> None:
    with haproxy() as (path, port, _):
        with pytest.raises(ToolError, match="has no server green; it has new, old"):
            Haproxy(str(path), "app", ["green"], ["old"]).set(0.1)
        with pytest.raises(ToolError, match="has no server new, old; it has none"):
            Haproxy(str(path), "shop", ["new"], ["old"]).set(0.1)
        assert asked(port, 4) == {"new": 4}
    for api in ("/nowhere/admin.sock", f"127.0.0.1:{free_port()}"):
        with pytest.raises(ToolError, match="runtime API at"):
            Haproxy(api, "app", ["new"], ["old"]).set(0.1)


# nginx

NGINX = """
daemon off;
pid {here}/nginx.pid;
error_log {here}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {here}/body;
    proxy_temp_path {here}/proxy;
    fastcgi_temp_path {here}/fastcgi;
    uwsgi_temp_path {here}/uwsgi;
    scgi_temp_path {here}/scgi;
    include {here}/upstream.conf;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://app; }}
    }}
}}
"""
UPSTREAM = "upstream app {{\n    server 127.0.0.1:{new} {{new}};\n    server 127.0.0.1:{old} {{old}};\n}}\n"


@pytest.mark.skipif(shutil.which("nginx") is None and not Path("/usr/sbin/nginx").exists(), reason="no nginx here")
def test_nginx_is_given_a_new_file_and_the_one_before_if_it_does_not_take_it() -> None:
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    with folder() as here, serve(answer(b"new")) as new, serve(answer(b"old")) as old:
        here.chmod(0o755)
        port = free_port()
        (here / "nginx.conf").write_text(NGINX.format(here=here, port=port))
        template, file = here / "upstream.template", here / "upstream.conf"
        template.write_text(UPSTREAM.format(new=new.port, old=old.port))
        file.write_text(template.read_text().replace("{new}", "").replace("{old}", "down"))
        command = [nginx, "-c", str(here / "nginx.conf"), "-e", str(here / "error.log")]
        with program(command, port) as process:
            control = Nginx(template, file, [*command, "-s", "reload"], run)
            for share, expected in ((0.1, 20), (0.5, 100), (0.0, 0), (1.0, 200)):
                before = children(process.pid)
                assert "was written" in control.set(share)
                replaced(process.pid, before)
                assert asked(port, 200)["new"] == pytest.approx(expected, abs=3), share

            good = file.read_bytes()
            template.write_text(template.read_text().replace("upstream app", "upstream"))
            with pytest.raises(TargetError, match="file before was put back"):
                control.set(0.1)
            assert file.read_bytes() == good
            assert asked(port, 10) == {"new": 10}
            assert process.poll() is None


def children(pid: int) -> set[str]:
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def replaced(pid: int, before: set[str]) -> None:
    """A reload is carried out a moment after it was ordered; the old workers answer until they have ended."""
    end = time.monotonic() + 10
    while not (now := children(pid)) or now & before:
        assert time.monotonic() < end, f"nginx still has the workers {now & before}"
        time.sleep(0.02)


def test_a_template_must_have_both_places(tmp_path: Path) -> None:
    template = tmp_path / "t"
    control = Nginx(template, tmp_path / "f", ["true"], run)
    with pytest.raises(ToolError, match="can't be read"):
        control.set(0.5)
    template.write_text("server 127.0.0.1:1 {new};")
    with pytest.raises(ToolError, match="write {new} and {old}"):
        control.set(0.5)
    assert not (tmp_path / "f").exists()


# A command of the team's


def test_a_command_is_told_the_share_in_percent(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    control = Command(["sh", "-c", f"echo $0 >>{seen}", "{share}"], run, ["sh", "-c", f"echo drained >>{seen}"])
    for share in (0.1, 0.5, 1.0, 0.0):
        control.set(share)
    control.drain(0.0)

    assert seen.read_text().split() == ["10", "50", "100", "0", "drained"]


def test_a_command_that_fails_or_hangs_is_said_to() -> None:
    with pytest.raises(TargetError, match="status 3; it said: no such pool"):
        Command(["sh", "-c", "echo no such pool; exit 3"], run).set(0.1)

    def hangs(command: object) -> CommandFacts:
        return CommandFacts("shift 10", None, 30.0, "", ())

    with pytest.raises(TargetError, match="did not end within 30 s"):
        Command(["shift", "{share}"], hangs).set(0.1)
