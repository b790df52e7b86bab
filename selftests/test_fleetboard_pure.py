"""The embedded target's pure parts: faults, certificates, routes, seed, statistics, zone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dnslib
import pytest
from cryptography import x509
from cryptography.x509 import verification
from starlette.exceptions import HTTPException

from fleetboard import cli, faults, proxy, seed
from fleetboard.app import api, metrics, pages
from fleetboard.errors import StartError, UnknownFaultError
from fleetboard.pki import Authority
from fleetboard.routes import Route, Traffic, build_routes, distance_m, load_routes
from fleetboard.zone import ZoneResolver, build_zone

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CITY = pages.STATIC / "geo" / "city.geojson"


def test_every_fault_has_gates_and_a_description() -> None:
    """A fault that turns nothing red proves nothing."""
    for name, fault in faults.FAULTS.items():
        assert fault.name == name
        assert fault.gates
        assert all(re.fullmatch(r"[a-z]+\.[a-z-]+", gate) for gate in fault.gates)
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
    leaf, pem = proxy.issue_web_certificate(Authority.create(), [fault] if fault else [])
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
        api.whole_number("limit", text, 50, 1, 500)
    assert caught.value.status_code == 422


def ask(name: str, kind: str, *fault: str, ttl_s: int = 60) -> dnslib.DNSRecord:
    """One question to the zone."""
    question = dnslib.DNSRecord.question(name, kind)
    return ZoneResolver(build_zone(fault), ttl_s).resolve(question, None)


def test_zone_answers() -> None:
    """Authoritative data, NODATA and NXDOMAIN with the SOA, REFUSED for what is not ours."""
    answer = ask("APP.fleet.test.", "A")
    assert answer.header.aa == 1
    assert [(str(rr.rdata), rr.ttl) for rr in answer.rr] == [("127.0.0.2", 60)]
    nodata = ask("app.fleet.test", "AAAA")
    assert (nodata.header.rcode, nodata.rr, len(nodata.auth)) == (0, [], 1)
    missing = ask("nope.fleet.test", "A")
    assert (missing.header.rcode, len(missing.auth)) == (3, 1)
    assert ask("example.org", "A").header.rcode == 5
    assert str(ask("fleet.test", "CAA").rr[0].rdata) == '0 issue "ca.fleet.test"'


def test_wrong_address_comes_second() -> None:
    """Clients that take the first address still get through."""
    addresses = [str(rr.rdata) for rr in ask("app.fleet.test", "A", "dns-wrong-address").rr]
    assert addresses == ["127.0.0.2", "127.0.0.66"]
