"""launch.toml: what is read, and one sentence for each mistake."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gonogo.errors import PlanError, ToolError
from gonogo.launchfile import load_launch_file
from gonogo.loading import load_plan
from gonogo.settings import LaunchFile, split_host_port
from gonogo.target import Target

ROOT = Path(__file__).parent.parent
LAUNCH = '[launch]\nproject = "p"\nversion = "1"\n'
TARGET = '[targets.t]\nkind = "disposable"\n'


def _load(folder: Path, text: str) -> LaunchFile:
    (folder / "launch.toml").write_text(text, encoding="utf-8")
    return load_launch_file(folder / "launch.toml")


def test_our_own_launch_file_is_valid() -> None:
    assert load_launch_file(ROOT / "launch.toml").targets["rehearsal"].kind == "disposable"


def test_an_empty_table_has_the_playbook_s_bounds(tmp_path: Path) -> None:
    target = _load(tmp_path, f"{LAUNCH}{TARGET}[targets.t.http]\n[targets.t.load]\n[targets.t.tls]\n").targets["t"]
    assert target.http
    assert target.load
    assert target.tls
    assert (target.http.p95_ms, target.http.max_pool_percent, target.http.max_error_rate) == (500.0, 80.0, 0.001)
    assert (target.load.min_rps, target.load.p95_ms, target.load.max_error_rate) == (50.0, 500.0, 0.001)
    assert target.tls.protocols == ("TLSv1.2", "TLSv1.3")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x =", "launch.toml is no valid TOML: Invalid value (at end of document)"),
        ("", "launch.toml: launch is missing; add it"),
        (LAUNCH, "launch.toml: targets is missing; add it"),
        (LAUNCH + "[targets.t]\n", "launch.toml: targets.t.kind is missing; add it"),
        (
            LAUNCH + "foo = 1\n" + TARGET,
            "launch.toml: launch.foo is no known key; allowed are project, version, at",
        ),
        (
            LAUNCH + TARGET + "tsl = {}",
            "launch.toml: targets.t.tsl is no known key; allowed are kind, like, base_url",
        ),
        (LAUNCH + '[targets.t]\nkind = "prod"', "launch.toml: targets.t.kind: found 'prod'; input should be"),
        (
            LAUNCH + TARGET + 'tls = { min_days = "3" }',
            "launch.toml: targets.t.tls.min_days: found '3'; input should",
        ),
        (
            LAUNCH + TARGET + "tls = { min_days = -1 }",
            "launch.toml: targets.t.tls.min_days: found -1; input should be",
        ),
        (
            LAUNCH + TARGET + 'tls = { protocols = ["SSLv3"] }',
            "launch.toml: targets.t.tls.protocols.0: found 'SSLv3'",
        ),
        (LAUNCH + TARGET + "tls = { protocols = [] }", "launch.toml: targets.t.tls.protocols: found []"),
        (
            LAUNCH + TARGET + 'base_url = "app.example.com"',
            "launch.toml: targets.t.base_url: 'app.example.com' must",
        ),
        (
            LAUNCH + TARGET + 'resolver = "127.0.0.1"',
            "launch.toml: targets.t.resolver: '127.0.0.1' must be written as",
        ),
        (
            LAUNCH + TARGET + 'http = { health = "api" }',
            "launch.toml: targets.t.http.health: 'api' must begin with a",
        ),
        (
            LAUNCH + TARGET + "load = { rps = 50.0 }",
            "launch.toml: targets.t.load: rps = 50.0 can't prove more than",
        ),
        (LAUNCH + TARGET + "load = { max_error_rate = 0 }", "launch.toml: targets.t.load.max_error_rate: found 0;"),
        (
            LAUNCH + TARGET + 'base_url = "https://"',
            "launch.toml: targets.t.base_url: 'https://' must be scheme, host",
        ),
        (
            LAUNCH + TARGET + 'base_url = "https://a.test:1x"',
            "launch.toml: targets.t.base_url: 'https://a.test:1x'",
        ),
        (
            LAUNCH + TARGET + 'base_url = "https://u:pw@a.test"',
            "launch.toml: targets.t.base_url: must hold no user",
        ),
        (
            LAUNCH + TARGET + 'resolver = "ns.test:53"',
            "launch.toml: targets.t.resolver: 'ns.test:53' must begin with",
        ),
        (LAUNCH + TARGET + 'address = { "a.test" = "b" }', "launch.toml: targets.t.address: 'b' must be an IP"),
        (LAUNCH + TARGET + 'address = "b"', "launch.toml: targets.t.address: found 'b'; input should be a table"),
        (LAUNCH + TARGET + "database_url = 5", "launch.toml: targets.t.database_url: write a text or { env ="),
        (LAUNCH + "at = 2026-12-01\n" + TARGET, "launch.toml: launch.at: 2026-12-01 has no time"),
        (LAUNCH + TARGET + 'staging = "s"', "launch.toml: targets.t.staging names 's'; allowed is another target"),
        (LAUNCH + 'at = "2026-12-01"\n' + TARGET, "launch.toml: launch.at: write a date and time with its zone"),
        (LAUNCH + "at = 2026-12-01T09:00:00\n" + TARGET, "launch.toml: launch.at: 2026-12-01T09:00:00 has no zone"),
        (
            LAUNCH + '[targets.t]\nkind = "production"\nbase_url = "http://app.example.com"',
            "launch.toml: targets.t: base_url of a production target must begin with https://",
        ),
    ],
)
def test_each_mistake_is_one_sentence_with_its_key(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(PlanError) as caught:
        _load(tmp_path, text)
    assert str(caught.value).splitlines() == [line for line in str(caught.value).splitlines() if line]
    assert str(caught.value).startswith(sentence)


def test_several_mistakes_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        _load(tmp_path, LAUNCH + TARGET + "a = 1\nb = 2\n")
    assert [line.split()[1] for line in str(caught.value).splitlines()] == ["targets.t.a", "targets.t.b"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            'database_url = ["postgresql://u:secret@h/d"]',
            'targets.t.database_url: write a text or { env = "NAME" }',
        ),
        (
            'dns = { records = [{ name = "a.test", type = "A", values = "1" }] }',
            'targets.t.dns.records.0.values: found \'1\'; input should be a list, e.g. ["a", "b"]',
        ),
    ],
)
def test_a_mistake_is_told_once_and_without_secrets(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(PlanError) as caught:
        _load(tmp_path, LAUNCH + TARGET + text)
    assert str(caught.value) == f"launch.toml: {sentence}"


def test_a_file_that_is_no_text_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "launch.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PlanError, match="no UTF-8 text"):
        load_launch_file(tmp_path / "launch.toml")


def test_a_launch_is_in_utc_or_open(tmp_path: Path) -> None:
    assert _load(tmp_path, LAUNCH + 'at = "TBD"\n' + TARGET).launch.at is None
    text = LAUNCH + "at = 2026-12-01T10:00:00+01:00\n" + TARGET
    assert _load(tmp_path, text).launch.at == datetime(2026, 12, 1, 9, tzinfo=UTC)


def test_the_database_url_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = _load(tmp_path, LAUNCH + TARGET + 'database_url = { env = "FLEET_DB" }').targets["t"]
    monkeypatch.delenv("FLEET_DB", raising=False)
    with pytest.raises(ToolError, match="read from FLEET_DB, which is not set"):
        target.database_address()
    monkeypatch.setenv("FLEET_DB", "postgresql://x")
    assert target.database_address() == "postgresql://x"


def test_the_database_url_is_part_of_no_digest(tmp_path: Path) -> None:
    digests = set()
    for password in ("one", "two"):
        _load(tmp_path, LAUNCH + TARGET + f'database_url = "postgresql://u:{password}@h/d"')
        digests.add(load_plan(tmp_path, "t").plan.digest)
    assert len(digests) == 1


def test_a_target_says_where_its_bounds_come_from(tmp_path: Path) -> None:
    settings = _load(tmp_path, LAUNCH + TARGET + "tls = { min_days = 30 }").targets["t"]
    target = Target("t", settings, {"base_url": "https://app.example.com:8443/"}, "1")
    assert target.source("tls.min_days") == "launch.toml: tls.min_days"
    assert target.source("tls.timeout_s") == "default: tls.timeout_s"
    assert (target.host, target.port, target.url("/x")) == (
        "app.example.com",
        8443,
        "https://app.example.com:8443/x",
    )
    with pytest.raises(ToolError, match=r"launch.toml: \[targets.t.dns\] is missing"):
        target.settings("dns")
    with pytest.raises(ToolError, match=r"targets.t.database_url is missing"):
        _ = target.database_url


def test_a_target_without_an_address_is_refused(tmp_path: Path) -> None:
    settings = _load(tmp_path, LAUNCH + TARGET).targets["t"]
    with pytest.raises(ToolError, match="targets.t.base_url is missing"):
        Target("t", settings, {}, "1")


def test_addresses_of_the_plan_win_over_every_resolver(tmp_path: Path) -> None:
    settings = _load(tmp_path, LAUNCH + TARGET + 'address = { "app.test" = "127.0.0.9" }').targets["t"]
    target = Target("t", settings, {"base_url": "https://app.test"}, "1")
    assert target.connect_to("app.test", 443) == ("127.0.0.9", 443)
    assert target.resolve("127.0.0.1") == ["127.0.0.1"]


@pytest.mark.parametrize(("text", "expected"), [("127.0.0.1:53", ("127.0.0.1", 53)), ("[::1]:5353", ("::1", 5353))])
def test_addresses_with_ports(text: str, expected: tuple[str, int]) -> None:
    assert split_host_port(text) == expected


@pytest.mark.parametrize("text", ["", "127.0.0.1", ":53", "host:0", "host:70000", "host:x"])
def test_what_is_no_address_with_a_port(text: str) -> None:
    with pytest.raises(ValueError, match="address:port"):
        split_host_port(text)
