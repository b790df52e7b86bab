"""Services outside the application: each is found, answers, and speaks its protocol."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

import pytest

from gonogo import (
    EvidenceKeeper,
    GonogoError,
    InconclusiveError,
    Measure,
    Target,
    TargetError,
    ToolError,
    at_most,
    equals,
    is_true,
)
from gonogo.probes.services import Place, greet

HELLOS = {
    "redis": "says PONG",
    "smtp": "says hello as a mail server",
    "http": "answers as it should",
    "tls": "completes a verified handshake",
    "tcp": "accepts connections",
}


@pytest.mark.gate("services.reachable")
def test_reachable(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """Every service of the plan says hello at each of its addresses, and quickly."""
    kept: dict[str, Any] = {}
    failed: list[GonogoError] = []
    for service in target.settings("services").needed:
        try:
            visit(target, service, measure, kept)
        except TargetError as error:
            measure(f"{service.name} is found", str(error), is_true(target.source("services.needed")))
        except (
            ToolError,
            InconclusiveError,
        ) as error:  # a password that is not set must not hide what the others say
            failed.append(error)
    evidence.json("services.json", kept)
    if failed:
        raise failed[0]


def visit(target: Target, service: Any, measure: Measure, kept: dict[str, Any]) -> None:
    """Says hello to one service at each of its addresses.

    Raises:
        TargetError: its name has no address.
        ToolError: the plan does not say where it is, or names a variable that is not set.
        InconclusiveError: this machine has no way to any of its addresses.
    """
    host, port, path, encrypted = where(target, service)
    untried: list[InconclusiveError] = []
    for ip in target.resolve(host):
        place = Place(
            host=host,
            ip=ip,
            port=port,
            tls=encrypted,
            starttls=service.starttls,
            server_name=service.server_name,
            ca_file=target.root / service.ca_file if service.ca_file else target.ca_file,
            writable=service.writable,
            user=service.user,
            password=password_of(target, service),
            timeout_s=target.settings("services").timeout_s,
        )
        name = f"{service.name} at {ip} port {port}"
        source = target.source("services.needed")
        try:
            hello = greet(service.kind, place, path, service.status)
        except TargetError as error:
            measure(f"{name} {HELLOS[service.kind]}", str(error), is_true(source))
            kept[name] = str(error)
            continue
        except InconclusiveError as error:
            kept[name] = str(error)
            untried.append(error)
            continue
        kept[name] = asdict(hello)
        measure(f"{name} {HELLOS[service.kind]}", True, is_true(source))
        measure(f"{name}: time", round(hello.duration_ms, 1), at_most(service.max_ms, source), unit="ms")
        if service.writable:
            measure(f"{name}: role", hello.facts.get("role"), equals("master", source))
    if len(untried) == len(target.resolve(host)):
        raise untried[0]


def where(target: Target, service: Any) -> tuple[str, int, str, bool]:
    """Host, port and path of a service, and whether it is encrypted from the first byte.

    Raises:
        ToolError: that can't be read out of the plan.
    """
    key = "url" if service.kind == "http" else "address"
    text = target.expand(getattr(service, key))
    try:
        url = urlsplit(text if key == "url" else f"//{text}")
        port = {"https": 443, "http": 80}.get(url.scheme) if url.port is None else url.port
    except ValueError:
        url, port = urlsplit(""), None
    known = url.scheme in ({"http", "https"} if key == "url" else {""})
    plain = text.isascii() and text.isprintable() and " " not in text and (key == "url" or url.netloc == text)
    host = url.hostname or ""
    named = all(0 < len(label) < 64 for label in host.removesuffix(".").split("."))
    if not named or not port or not known or not plain or "@" in url.netloc:
        allowed = (
            "https://host/path, without user and password" if key == "url" else "host:port, e.g. 10.0.0.7:6379"
        )
        shown = "hidden, as it holds a password" if "@" in text else repr(text)
        raise ToolError(f"launch.toml: the {key} of the service {service.name} is {shown}; allowed is {allowed}")
    path = f"{url.path or '/'}?{url.query}" if url.query else url.path or "/"
    return host, port, path, service.tls or service.kind == "tls" or url.scheme == "https"


def password_of(target: Target, service: Any) -> str | None:
    """What the plan's variable holds.

    Raises:
        ToolError: it is not set.
    """
    if service.password is None:
        return None
    value = target.environment.get(service.password.env)
    if not value:
        raise ToolError(
            f"launch.toml: the password of the service {service.name} is read from {service.password.env}, which "
            "is not set; export that environment variable"
        )
    return str(value)
