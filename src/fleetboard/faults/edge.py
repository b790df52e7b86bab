"""Faults of the way in: redirects, headers, what is exposed."""

from __future__ import annotations

from fleetboard.faults.fault import Fault

FAULTS: tuple[Fault, ...] = (
    Fault("no-redirect", ("http.edge",), "plain HTTP serves the pages instead of leading to HTTPS"),
    Fault(
        "redirect-loop",
        ("http.edge", "edge.exposure", "smoke.access", "smoke.tracking"),
        "the sign-in redirects to itself",
    ),
    Fault("no-hsts", ("http.edge",), "answers lack Strict-Transport-Security"),
    Fault("hsts-short", ("http.edge",), "Strict-Transport-Security holds for 300 s"),
    Fault("missing-csp", ("http.edge",), "pages lack Content-Security-Policy, and with it any word about framing"),
    Fault("server-banner", ("http.edge",), "answers carry Server: nginx/1.18.0"),
    Fault(
        "unknown-path-200",
        ("http.edge", "edge.exposure"),
        "a path that nobody made shows the sign-in with HTTP 200, /admin and the like included",
    ),
    Fault("json-as-html", ("http.edge",), "answers in JSON are declared text/html"),
    Fault("no-compression", ("http.edge",), "pages are sent uncompressed"),
    Fault("no-http2", ("http.edge",), "the proxy speaks HTTP/1.1 alone"),
    Fault("redirect-to-parking", ("http.edge",), "a path that nobody made leads to a parking page on another host"),
    Fault("database-exposed", ("edge.exposure",), "the outer address passes connections on to PostgreSQL"),
    Fault("metrics-exposed", ("edge.exposure",), "/metrics of the application answers from outside"),
    Fault(
        "write-without-session",
        ("edge.exposure",),
        "POST /api/fleet/loads answers 201 to somebody without a session",
    ),
)
