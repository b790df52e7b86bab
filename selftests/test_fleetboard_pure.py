"""The embedded target's pure parts: faults, certificates, routes, seed, statistics, zone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset
import pytest
from cryptography import x509
from cryptography.x509 import verification
from starlette.exceptions import HTTPException

from fleetboard import cli, dns_server, edge_tls, faults, proxy, seed, zone
from fleetboard.app import metrics, pages, paging
from fleetboard.dns_server import CachingResolver
from fleetboard.errors import StartError, UnknownFaultError
from fleetboard.pki import Authority
from fleetboard.routes import Route, Traffic, build_routes, distance_m, load_routes

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CITY = pages.STATIC / "geo" / "city.geojson"


def test_every_fault_has_gates_and_a_description() -> None:
    """A fault that turns nothing red proves nothing."""
    for name, fault in faults.FAULTS.items():
        assert fault.name == name
        assert fault.gates
        assert all(re.fullmatch(r"[a-z]+\.[a-z0-9-]+", gate) for gate in fault.gates)
        assert fault.description
        assert "\t" not in fault.description


def test_unknown_fault_names_the_allowed_ones() -> None:
    """The message says which faults there are."""
    with pytest.raises(
        UnknownFaultError, match=r"unknown fault 'nope'; allowed are: dns-long-ttl, .*throughput-45"
    ):
        faults.parse("health-500, nope")


def test_faults_are_parsed_once_each_in_order() -> None:
    """Blanks and repetition do no harm."""
    assert faults.parse(" health-500,,dns-long-ttl, health-500") == ("health-500", "dns-long-ttl")
    assert faults.parse("") == ()


def test_fault_listing_is_tab_separated(capsys: pytest.CaptureFixture[str]) -> None:
    """One fault a line: name, gates, description."""
    assert cli.main(["faults"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == list(faults.FAULTS)
    assert all(len(line.split("\t")) == 3 for line in lines)


def test_unknown_fault_on_the_command_line() -> None:
    """One sentence, status 4, nothing started."""
    command = [sys.executable, "-m", "fleetboard", "up", "--fault", "nope"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 4
    assert done.stderr.startswith("unknown fault 'nope'; allowed are: dns-long-ttl")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def verify(authority: Authority, leaf: x509.Certificate, name: str, at: datetime = NOW) -> None:
    """Strict path validation."""
    store = verification.Store([authority.root.certificate])
    verifier = verification.PolicyBuilder().store(store).time(at).build_server_verifier(x509.DNSName(name))
    verifier.verify(leaf, [authority.intermediate.certificate])


def test_certificates_pass_strict_validation() -> None:
    """Root, intermediate and leaf satisfy a verifier that follows RFC 5280 to the letter."""
    authority = Authority.create(NOW)
    leaf = authority.issue(["app.fleet.test"], now=NOW).certificate
    verify(authority, leaf, "app.fleet.test")
    verify(authority, leaf, "app.fleet.test", NOW + timedelta(days=89))
    with pytest.raises(verification.VerificationError):
        verify(authority, leaf, "other.fleet.test")
    with pytest.raises(verification.VerificationError):
        verify(authority, leaf, "app.fleet.test", NOW + timedelta(days=91))


def test_intermediate_may_sign_leaves_only() -> None:
    """Its path length is 0."""
    constraints = Authority.create(NOW).intermediate.certificate.extensions.get_extension_for_class(
        x509.BasicConstraints
    )
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)


@pytest.mark.parametrize(
    ("fault", "days", "names", "certificates"),
    [
        (None, 90, ["app.fleet.test"], 2),
        ("expired-certificate", -2, ["app.fleet.test"], 2),
        ("certificate-expires-soon", 5, ["app.fleet.test"], 2),
        ("missing-intermediate", 90, ["app.fleet.test"], 1),
        ("wrong-name-certificate", 90, ["other.fleet.test"], 2),
    ],
)
def test_web_certificate_by_fault(fault: str | None, days: int, names: list[str], certificates: int) -> None:
    """Each certificate fault spoils one thing and leaves the rest."""
    leaf, pem = edge_tls.issue_web_certificate(Authority.create(), [fault] if fault else [])
    left = leaf.certificate.not_valid_after_utc - datetime.now(UTC)
    san = leaf.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert left == pytest.approx(timedelta(days=days), abs=timedelta(minutes=5))
    assert not san.critical
    assert san.value.get_values_for_type(x509.DNSName) == names
    assert pem.count(b"BEGIN CERTIFICATE") == certificates


def test_missing_haproxy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the package and the variable."""
    monkeypatch.setenv("FLEETBOARD_HAPROXY", "/nowhere/haproxy")
    with pytest.raises(
        StartError, match=r"tried /nowhere/haproxy.*install the package haproxy.*FLEETBOARD_HAPROXY"
    ):
        proxy.find_haproxy()


LINE = [(24.94, 60.17), (24.95, 60.17), (24.95, 60.18)]


def test_route_goes_along_its_line() -> None:
    """East along the first piece, north along the second."""
    route = Route(LINE)
    first = distance_m(*LINE[:2])
    assert route.length_m == pytest.approx(first + distance_m(*LINE[1:]))
    assert route.at(0) == (pytest.approx(LINE[0]), pytest.approx(90))
    middle, direction = route.at(first / 2)
    assert middle == pytest.approx((24.945, 60.17))
    assert direction == pytest.approx(90)
    assert route.at(route.length_m) == (pytest.approx(LINE[2]), pytest.approx(0))
    assert route.at(1e9) == (pytest.approx(LINE[2]), pytest.approx(0))


def test_streets_are_joined_by_name_whatever_their_direction() -> None:
    """Pieces that touch at either end become one route; short rests are left out."""
    pieces = [("S", LINE[:2]), ("S", LINE[:0:-1]), ("T", [(24.9, 60.1), (24.9001, 60.1)])]
    (route,) = build_routes(pieces)
    assert set(route.points) == set(LINE)
    assert route.length_m == pytest.approx(Route(LINE).length_m)


@pytest.mark.parametrize("slot", [0, 17, 239])
def test_vehicles_move_smoothly_and_stay_in_town(slot: int) -> None:
    """From second to second nobody jumps, and the speed shown is the speed driven."""
    traffic = Traffic(load_routes(CITY), seed.VEHICLES)
    assert traffic.at(slot, 1e9, moving=True) == traffic.at(slot, 1e9, moving=True)
    before = traffic.at(slot, 1.8e9, moving=True)
    moved = 0.0
    for second in range(1, 120):
        after = traffic.at(slot, 1.8e9 + second, moving=True)
        step = distance_m((before.lon, before.lat), (after.lon, after.lat))
        assert step <= max(before.speed_kmh, after.speed_kmh) / 3.6 + 1.5
        assert 60.15 < after.lat < 60.19
        assert 24.92 < after.lon < 24.97
        assert 0 <= after.heading < 360
        moved += step
        before = after
    assert moved > 100


def test_parked_vehicles_stay_where_they_are() -> None:
    """Not moving means the same place at any time, at speed 0."""
    traffic = Traffic(load_routes(CITY), seed.VEHICLES)
    parked = traffic.at(5, 0, moving=False)
    assert parked == traffic.at(5, 1e9, moving=False)
    assert parked.speed_kmh == 0


def test_vehicles_are_spread_over_town() -> None:
    """No crowd: at most a tenth of the fleet stands within any 100 m cell."""
    traffic = Traffic(load_routes(CITY), seed.VEHICLES)
    places = [traffic.at(slot, 1.8e9, moving=True) for slot in range(seed.VEHICLES)]
    cells: dict[tuple[int, int], int] = {}
    for place in places:
        cell = (int(place.lat * 1113), int(place.lon * 554))
        cells[cell] = cells.get(cell, 0) + 1
    assert max(cells.values()) <= seed.VEHICLES / 10
    assert len(cells) >= 60


def test_a_broken_map_is_a_sentence(tmp_path: Path) -> None:
    """Missing, malformed or empty: never a traceback."""
    with pytest.raises(StartError, match=r"the city map no.geojson can't be read"):
        load_routes(tmp_path / "no.geojson")
    empty = tmp_path / "empty.geojson"
    empty.write_text(json.dumps({"features": []}))
    with pytest.raises(StartError, match=r"empty.geojson holds no street of 150 m or more"):
        load_routes(empty)


def test_seed_is_the_same_each_time_and_consistent() -> None:
    """Counts, unique plates and names, one open assignment and one load a vehicle, references that exist."""
    fleet, again = seed.Fleet(NOW), seed.Fleet(NOW)
    vehicles, drivers, loads = list(fleet.vehicles()), list(fleet.drivers()), list(fleet.loads())
    assert vehicles == list(again.vehicles())
    assert len(vehicles) == len({row[2] for row in vehicles}) == 240
    assert len(drivers) == len({row[1] for row in drivers}) == 220
    assert len(loads) == 420
    assert len(list(fleet.maintenance())) == 320
    known = {row[0] for row in vehicles}
    carried = [row[2] for row in loads if row[7] == "in_transit"]
    assert len(carried) == len(set(carried)) > 100
    open_ones = [row for row in fleet.assignments() if row[3] is None]
    assert len({row[1] for row in open_ones}) == len(open_ones) == len([r for r in vehicles if r[4] == "moving"])
    assert {row[0] for row in fleet.assignments()} | set(carried) <= known


def test_percentiles_come_from_added_buckets() -> None:
    """Two processes' buckets add up; the percentile is the bound of its bucket, at most 15 % too high."""
    fast, slow = metrics.Metrics(), metrics.Metrics()
    for _ in range(95):
        fast.record("/x", 200, 4.0)
    for _ in range(5):
        slow.record("/x", 503, 800.0)
    rows = [
        {
            "requests": m.requests,
            "errors": m.errors,
            "latency_buckets": m.buckets,
            "recent_errors": list(m.recent_errors),
            "memory_percent": 1.0,
            "cpu_percent": 2.0,
        }
        for m in (fast, slow)
    ]
    combined = metrics.combine(rows)
    assert combined["metrics"]["requests"] == 100
    assert combined["metrics"]["errorRate"] == 0.05
    assert 4.0 <= combined["metrics"]["p95Ms"] <= 4.6
    assert 800 <= metrics.percentile_ms(slow.buckets, 0.95) <= 920
    assert metrics.percentile_ms([0] * (len(metrics.BOUNDS_MS) + 1), 0.95) == 0
    assert len(combined["errors"]) == 5
    assert combined["errors"][0]["message"] == "HTTP 503"


@pytest.mark.parametrize("text", ["0", "501", "-1", "x", "", "1.5", "٣", "1_0", " 7", "9" * 5000])
def test_a_bad_limit_is_refused(text: str) -> None:
    """Whatever is no plain number in range is 422, never a crash."""
    with pytest.raises(HTTPException, match=r"limit must be a whole number from 1 to 500") as caught:
        paging.whole_number("limit", text, 50, 1, 500)
    assert caught.value.status_code == 422


def ask(
    who: zone.Authority | CachingResolver, name: str, kind: str, *, signatures: bool = False
) -> dns.message.Message:
    """One question to the zone, over no network."""
    return who.answer(dns.message.make_query(name, kind, want_dnssec=signatures))


def texts(rrsets: list[dns.rrset.RRset]) -> list[str]:
    return [f"{rrset.name} {dns.rdatatype.to_text(rrset.rdtype)} {one}" for rrset in rrsets for one in rrset]


def test_zone_answers() -> None:
    """Authoritative data, aliases followed, NODATA and NXDOMAIN with the SOA, REFUSED for what is not ours."""
    ours = zone.Authority([zone.build_zone(())])
    answer = ask(ours, "APP.fleet.test.", "A")
    assert answer.flags & dns.flags.AA
    assert [(str(rrset[0]), rrset.ttl) for rrset in answer.answer] == [("127.0.0.2", 60)]
    nodata = ask(ours, "app.fleet.test", "AAAA")
    assert (nodata.rcode(), nodata.answer, len(nodata.authority)) == (dns.rcode.NOERROR, [], 1)
    missing = ask(ours, "nope.fleet.test", "A")
    assert (missing.rcode(), len(missing.authority)) == (dns.rcode.NXDOMAIN, 1)
    assert ask(ours, "example.org", "A").rcode() == dns.rcode.REFUSED
    assert texts(ask(ours, "fleet.test", "CAA").answer) == ['fleet.test. CAA 0 issue "ca.fleet.test"']
    assert texts(ask(ours, "www.fleet.test", "A").answer) == [
        "www.fleet.test. CNAME edge.fleet.test.",
        "edge.fleet.test. A 127.0.0.2",
    ]


def test_wildcard_covers_what_is_not_there() -> None:
    """A name that exists is not covered, whatever types it has; nor is one above names that exist."""
    ours = zone.Authority([zone.build_zone(["dns-wildcard"])])
    assert texts(ask(ours, "nope.fleet.test", "A").answer) == ["nope.fleet.test. A 127.0.0.2"]
    assert texts(ask(ours, "deep.nope.fleet.test", "A").answer) == ["deep.nope.fleet.test. A 127.0.0.2"]
    assert texts(ask(ours, "www.fleet.test", "TXT").answer)[0] == "www.fleet.test. CNAME edge.fleet.test."
    assert ask(ours, "deep.app.fleet.test", "A").rcode() == dns.rcode.NXDOMAIN


def test_parent_refers_and_vouches() -> None:
    """The zone above hands out name servers with their addresses, and answers itself for the digest of the key."""
    parent = zone.sign(zone.build_parent((), zone.make_key()), zone.make_key())
    referral = ask(zone.Authority([parent]), "app.fleet.test", "A", signatures=True)
    assert not referral.flags & dns.flags.AA
    kinds = [dns.rdatatype.to_text(rrset.rdtype) for rrset in referral.authority]
    assert kinds == ["NS", "DS", "RRSIG"]
    assert sorted(texts(referral.additional)) == ["ns1.fleet.test. A 127.0.0.53", "ns2.fleet.test. A 127.0.0.54"]
    digest = ask(zone.Authority([parent]), "fleet.test", "DS")
    assert digest.flags & dns.flags.AA
    assert len(digest.answer) == 1


def test_resolver_keeps_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has in its cache grows older and is fetched again in time; it never answers with authority."""
    clock = [1000.0]
    monkeypatch.setattr(dns_server.time, "monotonic", lambda: clock[0])
    resolver = CachingResolver(zone.Authority([zone.build_zone(())]))
    seen = []
    for moment in (1000.0, 1010.5, 1059.0, 1060.0):
        clock[0] = moment
        reply = ask(resolver, "app.fleet.test", "A")
        seen.append(reply.answer[0].ttl)
        assert reply.flags & dns.flags.RA
        assert not reply.flags & dns.flags.AA
    assert seen == [60, 50, 1, 60]
    assert ask(resolver, "example.org", "A").rcode() == dns.rcode.SERVFAIL


def test_answers_that_do_not_fit_say_so() -> None:
    """Over UDP a long answer is cut short and says so; over TCP it is whole. What is no question gets no answer."""
    long = zone.build_zone(())
    for at in range(60):
        long.find_rdataset("many.fleet.test.", "A", create=True).add(
            dns.rdata.from_text("IN", "A", f"10.0.0.{at}"), 60
        )
    place = dns_server.Place(zone.Authority([long]))
    wire = dns.message.make_query("many.fleet.test", "A").to_wire()
    short = dns.message.from_wire(dns_server._wire(place, wire, udp=True))
    assert short.flags & dns.flags.TC
    whole = dns.message.from_wire(dns_server._wire(place, wire, udp=False))
    assert len(whole.answer[0]) == 60
    assert dns_server._wire(place, b"nonsense", udp=True) is None


def test_wrong_addresses_sort_last() -> None:
    """Clients that take the first address still get through."""
    for fault, address in (("dns-wrong-address", "127.0.0.66"), ("old-certificate-on-second-address", "127.0.0.3")):
        reply = ask(zone.Authority([zone.build_zone([fault])]), "app.fleet.test", "A")
        assert sorted(str(one) for one in reply.answer[0]) == ["127.0.0.2", address]
