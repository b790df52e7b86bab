"""HTTP at the edge: what HAProxy answers by itself, adds, takes away or lets through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fleetboard.ports import EDGE, HOST
from fleetboard.zone import APP_NAME

HTTP_PORT = "FLEETBOARD_HTTP_PORT"
"""Environment variable with the outer port of plain HTTP."""

DATABASE_PORT = "FLEETBOARD_DATABASE_PORT"
"""Environment variable with the database's port, which must answer on the inner side alone."""

APP_PORT = "FLEETBOARD_APP_{}_PORT"
"""The same for the process of each instance, by its name in capitals."""

HSTS_S = 31_536_000
_SHORT_HSTS_S = 300
_PARKING = "https://parking.example/fleet.test"

# What this application has; everything else nobody made.
_KNOWN = "{ path / /favicon.ico /docs /sign-in } || { path_beg /api/ /fleet/ /static/ /ws/ /docs/ }"


def environment(plain_port: int, database_port: int, instances: Mapping[str, int]) -> dict[str, str]:
    """Variables that tell these ports; ``instances`` are the processes' by name."""
    apps = {APP_PORT.format(name.upper()): str(port) for name, port in instances.items()}
    return {HTTP_PORT: str(plain_port), DATABASE_PORT: str(database_port), **apps}


def alpn(faults: Sequence[str]) -> str:
    """Protocols that are offered to clients, most wanted first."""
    return "http/1.1" if "no-http2" in faults else "h2,http/1.1"


def web_rules(faults: Sequence[str], port: int) -> str:
    """Lines of the encrypted frontend.

    Args:
        faults: what is to be wrong.
        port: its own.
    """
    lines = [
        "http-request set-header X-Forwarded-Proto https",
        "http-request set-var(txn.path) path",
        # Figures are for the inner side; files whose names begin with a dot are for nobody.
        "http-request deny deny_status 404 if { path_beg /. }",
    ]
    if "metrics-exposed" not in faults:
        lines.append("http-request deny deny_status 404 if { path -m beg /metrics }")
    if "redirect-loop" in faults:
        here = f"https://{APP_NAME}:{port}%[pathq]"
        lines.append(f"http-request redirect code 302 location {here} if {{ path /sign-in }}")
    if "redirect-to-parking" in faults:
        lines.append(f"http-request redirect code 302 location {_PARKING} unless {_KNOWN}")
    if "unknown-path-200" in faults:
        lines.append(f"http-request set-path /sign-in unless {_KNOWN}")
    if "write-without-session" in faults:
        created = """'{"id":"L-90001","status":"planned"}'"""
        lines.append(
            f"http-request return status 201 content-type application/json string {created} "
            "if METH_POST { path /api/fleet/loads }"
        )
    return _indented([*lines, *_answers(faults)])


def _answers(faults: Sequence[str]) -> list[str]:
    lines = []
    if "no-hsts" not in faults:
        age = _SHORT_HSTS_S if "hsts-short" in faults else HSTS_S
        lines.append(f"http-after-response set-header Strict-Transport-Security max-age={age}")
    if "missing-csp" in faults:
        lines.append("http-response del-header Content-Security-Policy")
    if "server-banner" in faults:
        lines.append("http-after-response set-header Server nginx/1.18.0")
    if "json-as-html" in faults:
        lines.append("http-response set-header Content-Type text/html if { var(txn.path) -m beg /api/ }")
    if "no-compression" not in faults:
        lines.append("compression algo gzip")
        lines.append("compression type text/html text/css text/javascript application/javascript application/json")
    return lines


def plain_rules(faults: Sequence[str], port: int) -> str:
    """Lines of the unencrypted frontend: everything is sent on to HTTPS.

    Args:
        faults: what is to be wrong.
        port: of the encrypted frontend.
    """
    if "no-redirect" in faults:
        return _indented(["default_backend app"])
    return _indented([f"http-request redirect code 301 location https://{APP_NAME}:{port}%[pathq]"])


def exposed(faults: Sequence[str], database_port: int) -> str:
    """A section that lets the database's port through to the outer side, if that is the fault."""
    if "database-exposed" not in faults:
        return ""
    lines = ["mode tcp", "option tcplog", f"bind {EDGE}:{database_port}", f"server db {HOST}:{database_port}"]
    return "listen database\n" + _indented(lines)


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)
