"""Mistakes in plan and arguments: exit status 4, one sentence that says where, no traceback."""

from __future__ import annotations

import pytest

from plugin_example import SETTINGS, Launch, gate


def launched(pytester: pytest.Pytester) -> Launch:
    """A launch without a mistake."""
    launch = Launch(pytester)
    launch.playbook(t3="tls.certificate")
    launch.module("tests/infra/test_a.py", gate("tls.certificate"))
    return launch


def refused(launch: Launch, *arguments: str, part: str) -> str:
    """Run, expect a usage error, and return its sentence."""
    seen = launch.run(*arguments)
    assert seen.status == 4, seen.words
    assert not launch.ledger.exists()
    return seen.sentence(part)


def test_a_gate_in_neither_playbook_nor_phase(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    launch.module("tests/infra/test_b.py", gate("tls.protocols"))

    sentence = refused(launch, part="'tls.protocols'")

    assert "tests/infra/test_b.py::test_tls_protocols" in sentence
    assert "asked for by no box of PLAYBOOK.md and carries no phase marker" in sentence
    assert "<!-- gate: tls.protocols -->" in sentence


def test_a_gate_of_the_playbook_that_no_test_carries(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    launch.playbook(t3="tls.certificate", t1="tls.certifcate")

    sentence = refused(launch, part="no test carries")

    assert "PLAYBOOK.md:9: no test carries the gate 'tls.certifcate'; known are tls.certificate;" in sentence


def test_two_tests_with_one_gate(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    launch.module("tests/smoke/test_b.py", gate("tls.certificate"))

    sentence = refused(launch, part="is carried by two tests")

    assert "tests/infra/test_a.py::test_tls_certificate and tests/smoke/test_b.py::test_tls_certificate" in sentence


def test_a_gate_without_a_docstring(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    launch.module("tests/infra/test_a.py", '@pytest.mark.gate("tls.certificate")\ndef test_a(measure):\n    pass')

    assert "tests/infra/test_a.py::test_a[t3]" in refused(launch, part="a gate needs a docstring")


@pytest.mark.parametrize("arguments", ['"TLS"', '"tls"', '"tls..x"', '"tls x.y"', '""'])
def test_a_malformed_gate_id(pytester: pytest.Pytester, arguments: str) -> None:
    launch = launched(pytester)
    launch.module("tests/infra/test_b.py", f"@pytest.mark.gate({arguments})\ndef test_b():\n    'B.'")

    sentence = refused(launch, part="is no gate id")

    assert "tests/infra/test_b.py::test_b" in sentence
    assert "e.g. tls.certificate" in sentence


@pytest.mark.parametrize("marker", ["gate", "gate()", "gate('a.b', 'c.d')", "gate(id='a.b')", "gate(3)"])
def test_a_gate_marker_without_exactly_one_id(pytester: pytest.Pytester, marker: str) -> None:
    launch = launched(pytester)
    launch.module("tests/infra/test_b.py", f"@pytest.mark.{marker}\ndef test_b():\n    'B.'")

    assert "tests/infra/test_b.py::test_b" in refused(launch, part="with exactly one id")


def test_a_kind_of_test_that_can_not_be_a_gate(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    launch.module(
        "tests/infra/test_b.py",
        "import unittest\nclass TestOld(unittest.TestCase):\n    @pytest.mark.t3\n    @pytest.mark.gate('b.two')\n"
        "    def test_b(self):\n        'B.'",
    )

    assert "tests/infra/test_b.py::TestOld::test_b" in refused(launch, part="can be a gate")


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("phase: t3", "phase: t4", "PLAYBOOK.md:3: unknown phase 't4'; allowed are t7, t3, t1,"),
        ("gate: tls", "gates: tls", "PLAYBOOK.md:5: unknown word 'gates'"),
        ("tls.certificate", "Tls", "PLAYBOOK.md:5: 'Tls' is no gate id;"),
        ("owner: T3 Lead", "within: 3m", "PLAYBOOK.md:3: within: '3m' is no shelf life;"),
        ("<!-- gate", "<!-- on: staging gate", "PLAYBOOK.md:5: 'on: staging' has no companion;"),
    ],
)
def test_a_mistake_in_the_playbook(pytester: pytest.Pytester, old: str, new: str, part: str) -> None:
    launch = launched(pytester)
    text = (launch.root / "PLAYBOOK.md").read_text()
    assert old in text
    launch.write("PLAYBOOK.md", text.replace(old, new))

    refused(launch, part=part)


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ("[launch\n", "launch.toml is no valid TOML: "),
        (SETTINGS.replace('version = "1.0.0"\n', ""), "launch.toml: launch.version is missing; add it"),
        (
            SETTINGS + "speed = 3\n",
            "launch.toml: targets.rehearsal.speed is no known key; allowed are kind, like, base_url",
        ),
        (SETTINGS.replace('"disposable"', '"prod"'), "launch.toml: targets.rehearsal.kind: found 'prod'; "),
        (SETTINGS + "[targets.rehearsal.tls]\nmin_days = '21'\n", "targets.rehearsal.tls.min_days: found '21'; "),
        (SETTINGS + "[targets.rehearsal.http]\nhealth = 'api'\n", "'api' must begin with a slash"),
        (SETTINGS.replace("rehearsal", "staging"), "there is no target 'rehearsal'; it has staging;"),
        (SETTINGS.replace("[launch]", "[launch]\nat = 2026-12-01T09:00:00"), "has no zone"),
    ],
)
def test_a_mistake_in_the_launch_file(pytester: pytest.Pytester, settings: str, part: str) -> None:
    launch = launched(pytester)
    launch.write("launch.toml", settings)

    refused(launch, part=part)


def test_a_launch_file_that_is_missing(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    (launch.root / "launch.toml").unlink()

    refused(launch, part="launch.toml is missing beside PLAYBOOK.md")


def test_a_named_launch_file_that_is_missing(pytester: pytest.Pytester) -> None:
    refused(launched(pytester), "--gonogo-launch-file", "other.toml", part="other.toml is missing")


def test_a_target_that_does_not_exist(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = launched(pytester)

    refused(launch, "--gonogo-target", "moon", part="there is no target 'moon'; it has rehearsal;")

    monkeypatch.setenv("GONOGO_TARGET", "mars")
    refused(launch, part="there is no target 'mars'")


@pytest.mark.parametrize("arguments", [("-n", "2"), ("-n", "auto"), ("--dist", "load", "--tx", "2*popen")])
def test_workers(pytester: pytest.Pytester, arguments: tuple[str, ...]) -> None:
    refused(launched(pytester), *arguments, part="-n can't be used with gates")


def test_workers_where_gates_alone_say_that_there_is_a_launch(pytester: pytest.Pytester) -> None:
    launch = Launch(pytester, settings=None)
    launch.module("tests/infra/test_a.py", gate("a.one", marks="t3"))

    seen = launch.apart("-n", "1")

    assert seen.status != 0, seen.words
    assert "-n can't be used with gates" in seen.words
    assert "Traceback" not in seen.words
    assert not launch.ledger.exists()


def test_a_phase_marker_on_a_module(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    launch.module("tests/infra/test_a.py", "pytestmark = pytest.mark.t7", gate("tls.certificate"))

    sentence = refused(launch, part="stands on its module or class; put it on the test")

    assert "the phase marker 't7'" in sentence


@pytest.mark.parametrize(
    "argument",
    [
        "tests/infra/test_a.py::test_nope",
        "tests/infra/test_nope.py",
        "tests/nope",
        "tests/infra/test_a.py::test_tls",
    ],
)
def test_a_path_or_node_id_that_does_not_exist(pytester: pytest.Pytester, argument: str) -> None:
    refused(launched(pytester), argument, part=f"not found: {argument}")


def test_a_marker_that_nobody_declared(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    launch.module("tests/infra/test_a.py", gate("tls.certificate", marks="t8"))

    seen = launch.run()

    assert seen.status == 2  # pytest's own strictness, at collection
    assert "'t8' not found in `markers`" in seen.out


def test_a_section_that_a_gate_needs_and_nobody_wrote_is_an_error_of_the_gate(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    launch.write("launch.toml", SETTINGS.replace('"disposable"', '"staging"\nbase_url = "https://127.0.0.1:9"'))
    launch.module(
        "tests/infra/test_a.py", gate("tls.certificate", 'target.settings("tls")', uses="target, measure")
    )

    seen = launch.run()

    found = launch.gates["tls.certificate@t3"]
    assert found["outcome"] == "ERROR"
    assert found["reason"].startswith("launch.toml: [targets.rehearsal.tls] is missing;")
    assert seen.status == 20


def test_a_target_that_nothing_says_where_it_is_is_an_error_of_the_gate(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    launch.module("tests/infra/test_a.py", gate("tls.certificate", uses="target, measure"))

    seen = launch.run()

    assert launch.gates["tls.certificate@t3"]["reason"].startswith(
        "launch.toml: targets.rehearsal.base_url is missing;"
    )
    assert seen.status == 20
    assert "Traceback" not in seen.words


def test_a_variable_for_the_database_that_is_not_set_concerns_only_what_needs_the_database(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLEET_DATABASE", raising=False)
    launch = Launch(
        pytester,
        SETTINGS.replace('"disposable"', '"staging"\nbase_url = "https://127.0.0.1:9"')
        + 'database_url = { env = "FLEET_DATABASE" }\n',
    )
    launch.playbook(t3="tls.certificate database.tables")
    launch.module(
        "tests/infra/test_a.py",
        gate("tls.certificate", 'measure("port", target.port, at_least(9, "x"))', uses="target, measure"),
        gate("database.tables", "target.database_url", uses="target, measure"),
    )

    launch.run()

    assert launch.outcomes == {"tls.certificate@t3": "PASS", "database.tables@t3": "ERROR"}
    assert "FLEET_DATABASE, which is not set; export" in launch.gates["database.tables@t3"]["reason"]


def test_an_authority_is_looked_for_beside_the_plan(pytester: pytest.Pytester) -> None:
    launch = Launch(
        pytester,
        SETTINGS.replace('"disposable"', '"staging"\nbase_url = "https://127.0.0.1:9"\nca_file = "ca.pem"'),
    )
    launch.playbook(t3="tls.certificate")
    body = f'measure("found", int(str(target.ca_file) == "{launch.root / "ca.pem"}"), at_least(1, "x"))'
    launch.module("tests/infra/test_a.py", gate("tls.certificate", body, uses="target, measure"))

    launch.run()

    assert launch.outcomes == {"tls.certificate@t3": "PASS"}
