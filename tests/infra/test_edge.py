"""The outer side, at every address behind the name: redirects, headers, and what must not answer."""

from __future__ import annotations

import pytest
from tests.infra import edge_lines
from tests.infra.answers import EVERY_ADDRESS, reachable
from tests.infra.edge_lines import REFUSED_WRITE, Seen, port_number, url_of

from gonogo import (
    EvidenceKeeper,
    Measure,
    Target,
    TargetError,
    ToolError,
    at_least,
    at_most,
    empty,
    equals,
    is_true,
    one_of,
)
from gonogo.probes.edge import MAX_HOPS, Answer, Edge, canonical
from gonogo.probes.headers import versions_told
from gonogo.probes.ports import PortFacts, try_ports

OWASP = "OWASP Secure Headers Project"


@pytest.mark.gate("http.edge")
def test_http_edge(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """Plain HTTP leads to HTTPS, pages carry the agreed headers, and what is not there is said not to be."""
    edge = target.settings("edge")
    measure("scheme of base_url", target.scheme, equals("https", "RFC 6797, section 7.2: users come by HTTPS"))
    kept: list[Answer] = []
    for ip in reachable(target, measure) if target.scheme == "https" else ():
        with Edge(ip, ca_file=target.ca_file, timeout_s=edge.timeout_s) as client:
            seen = Seen()
            plain_http(target, measure, client, seen)
            try:
                seen.answers.append(client.ask(target.url(edge.pages[0])))
            except TargetError as error:
                measure(f"{ip} answers", str(error), is_true(EVERY_ADDRESS))
            else:
                edge_lines.look(target, client, seen)
                contents(target, measure, ip, seen)
                headers(target, measure, ip, seen)
                transfer(target, measure, client, seen)
            kept += seen.answers
    evidence.json("edge.json", [answer.to_dict() for answer in kept])


def plain_http(target: Target, measure: Measure, client: Edge, seen: Seen) -> None:
    """What the port of plain HTTP does with a page: sends it on, or is closed, as the plan has it."""
    edge = target.settings("edge")
    ip, port = client.address, port_number(target, edge.http_port)
    if not edge.redirect:
        facts = try_ports(ip, [port], edge.timeout_s)[0]
        measure(f"{ip} port {port} open", facts.open, equals(False, target.source("edge.redirect")))
        return
    path = edge.pages[0] + ("&" if "?" in edge.pages[0] else "?") + "gonogo=edge"
    url = url_of(target, "http", port, path)
    lasting = one_of(edge.redirect_status, f"{target.source('edge.redirect_status')} (RFC 6797, section 7.2)")
    try:
        first = client.ask(url)
    except TargetError as error:
        measure(f"{ip} plain HTTP answers", str(error), is_true(target.source("edge.redirect")))
        return
    seen.answers.append(first)
    measure(f"{ip} plain HTTP answers", first.status, lasting)
    there = url_of(target, "https", target.port, path)
    leads_to = canonical(first.leads_to) if first.leads_to else "nowhere"
    measure(f"{ip} plain HTTP leads to", leads_to, equals(there, "RFC 6797, section 7.2"))
    try:
        chain = client.follow(url)
    except TargetError as error:
        measure(f"{ip} redirects", str(error), is_true(EVERY_ADDRESS))
        return
    seen.answers.extend(chain[1:])
    measure(f"{ip} redirects", edge_lines.redirect_end(chain), at_most(MAX_HOPS, "RFC 9110, section 15.4"))


def contents(target: Target, measure: Measure, ip: str, seen: Seen) -> None:
    """Pages are pages, JSON is JSON, and a path that nobody made is neither."""
    edge = target.settings("edge")
    for kind, name, n in (
        ("pages", "pages that are not 200 and HTML here", len(edge.pages)),
        ("api", "paths that are not 200 and JSON", len(edge.api)),
        ("unknown", "unknown paths that are answered", len(edge_lines.unknown_paths(edge.api))),
    ):
        if n:
            key = "unknown_status" if kind == "unknown" else kind
            measure(f"{ip} {name}", seen.problems.get(kind), empty(target.source(f"edge.{key}")), n=n)


def headers(target: Target, measure: Measure, ip: str, seen: Seen) -> None:
    """Headers of the pages, and what any answer tells of the software."""
    edge = target.settings("edge")
    n = len(seen.pages)
    if edge.hsts_min_s:
        lasts = at_least(edge.hsts_min_s, target.source("edge.hsts_min_s"))
        measure(f"{ip} strict-transport-security", edge_lines.hsts_age(seen.pages), lasts, unit="s", n=n)
    source = target.source("edge.headers")
    for name, pattern in edge.headers.items():
        wrong = edge_lines.without_header(seen.pages, name, pattern)
        measure(f"{ip} pages without the agreed {name}", wrong, empty(f"{source} ({OWASP})"), n=n)
    if edge.framing:
        open_to_all = edge_lines.frameable(seen.pages)
        measure(
            f"{ip} pages that may be framed", open_to_all, empty(f"{target.source('edge.framing')} ({OWASP})"), n=n
        )
    if edge.hide_versions:
        told = {one for a in seen.answers for one in versions_told(a.headers, a.text if a.status >= 400 else "")}
        source = f"{target.source('edge.hide_versions')} (OWASP WSTG-INFO-02)"
        measure(f"{ip} versions told", sorted(told), empty(source), n=len(seen.answers))


def transfer(target: Target, measure: Measure, client: Edge, seen: Seen) -> None:
    """Compression and HTTP/2, where the plan asks for them."""
    edge = target.settings("edge")
    ip = client.address
    if edge.compression:
        wrong, n = edge_lines.uncompressed(client, seen.pages)
        measure(f"{ip} pages that come uncompressed", wrong, empty(target.source("edge.compression")), n=n)
    if edge.http2:
        try:
            with Edge(ip, ca_file=target.ca_file, timeout_s=edge.timeout_s, http2=True) as modern:
                answer = modern.ask(target.url(edge.pages[0]))
            seen.answers.append(answer)
            spoken = answer.version
        except TargetError as error:
            spoken = str(error)
        measure(f"{ip} protocol", spoken, equals("HTTP/2", f"{target.source('edge.http2')} (RFC 9113)"))


@pytest.mark.gate("edge.exposure")
def test_exposure(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """Ports, paths and writes that are not meant for everybody are refused at every address."""
    edge = target.settings("edge")
    ports = [port_number(target, port) for port in edge.closed_ports]
    if target.port in ports:
        raise ToolError(
            f"launch.toml: edge.closed_ports names {target.port}, the port of base_url; take it out, users need it"
        )
    tried: list[PortFacts] = []
    kept: list[Answer] = []
    for ip in reachable(target, measure):
        facts = try_ports(ip, [target.port, *ports], edge.timeout_s)
        tried += facts
        control = facts[0].open or facts[0].answer
        measure(f"{ip} port {target.port} accepts", control, is_true("control: else closed ports prove nothing"))
        found = [str(one.port) for one in facts[1:] if one.open]
        measure(f"{ip} open ports", found, empty(target.source("edge.closed_ports")), n=len(facts) - 1)
        with Edge(ip, ca_file=target.ca_file, timeout_s=edge.timeout_s) as client:
            kept += closed_paths(target, measure, client)
            kept += closed_writes(target, measure, client)
    answers = [answer.to_dict() for answer in kept]
    evidence.json("exposure.json", {"ports": [vars(one) for one in tried], "answers": answers})


def closed_paths(target: Target, measure: Measure, client: Edge) -> list[Answer]:
    """Paths that must be refused, after a page that must not be: else refusals would prove nothing."""
    edge = target.settings("edge")
    ip, page = client.address, edge.pages[0]
    kept: list[Answer] = []
    control: bool | str
    try:
        kept += client.follow(target.url(page))
        control = kept[-1].status == 200 or edge_lines.status_of(kept[-1])
    except TargetError as error:
        control = str(error)
    measure(f"{ip} {page} answers", control, is_true("control: else refused paths prove nothing"))
    if not kept:
        return kept
    wrong = []
    for path in edge.closed_paths:
        try:
            problem, answers = edge_lines.exposed(client, target, path)
        except TargetError as error:
            problem, answers = f"{path}: {error}", []
        kept += answers
        wrong += [problem] if problem else []
    n = len(edge.closed_paths)
    measure(f"{ip} paths that are not refused", wrong, empty(target.source("edge.closed_paths")), n=n)
    return kept


def closed_writes(target: Target, measure: Measure, client: Edge) -> list[Answer]:
    """Writes of the plan, without a session: whatever is no refusal was carried out, or nearly so."""
    edge = target.settings("edge")
    kept, wrong = [], []
    for write in edge.closed_writes:
        json_type = {"Content-Type": "application/json"}
        try:
            answer = client.ask(target.url(write.path), method=write.method, headers=json_type, body=b"{}")
        except TargetError as error:
            wrong.append(f"{edge_lines.write_of(write)}: {error}")
            continue
        kept.append(answer)
        if answer.status not in REFUSED_WRITE:
            wrong.append(f"{edge_lines.write_of(write)}: {edge_lines.status_of(answer)}")
    if edge.closed_writes:
        name = f"{client.address} writes that are not refused"
        measure(name, wrong, empty(target.source("edge.closed_writes")), n=len(edge.closed_writes))
    return kept
