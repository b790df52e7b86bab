"""What runs is what was selected; what the exit status speaks of is what -m matches."""

from __future__ import annotations

import pytest

from plugin_example import BAD, Launch, gate


def launched(pytester: pytest.Pytester) -> Launch:
    """Three phases, three kinds."""
    launch = Launch(pytester)
    launch.playbook(t3="tls.certificate dns.records", t1="smoke.api", phase2="tls.certificate load.first")
    launch.module("tests/infra/test_infra.py", gate("tls.certificate"), gate("dns.records"))
    launch.module("tests/smoke/test_smoke.py", gate("smoke.api"))
    launch.module("tests/load/test_load.py", gate("load.first"))
    return launch


@pytest.mark.parametrize(
    ("arguments", "ran"),
    [
        (("-m", "t3"), ["tls.certificate@t3", "dns.records@t3"]),
        (("-m", "infra"), ["tls.certificate@t3", "dns.records@t3", "tls.certificate@phase2"]),
        (("-m", "phase2 and infra"), ["tls.certificate@phase2"]),
        (("-m", "not infra and not load"), ["smoke.api@t1"]),
        (("-m", "t1 or load"), ["smoke.api@t1", "load.first@phase2"]),
    ],
)
def test_phases_and_kinds_are_markers_and_make_up_the_scope(
    pytester: pytest.Pytester, arguments: tuple[str, ...], ran: list[str]
) -> None:
    launch = launched(pytester)

    seen = launch.run(*arguments)

    assert launch.ran() == ran
    assert seen.status == 0
    assert launch.report["verdict"] == "HOLD"  # the report speaks for the whole launch


@pytest.mark.parametrize(
    ("arguments", "ran"),
    [
        (("-k", "tls.certificate"), ["tls.certificate@t3", "tls.certificate@phase2"]),
        (("-m", "t3", "-k", "not tls"), ["dns.records@t3"]),
        (("-m", "t3", "--deselect", "tests/infra/test_infra.py::test_dns_records[t3]"), ["tls.certificate@t3"]),
        (("tests/smoke",), ["smoke.api@t1"]),
        (("tests/smoke/test_smoke.py::test_smoke_api",), ["smoke.api@t1"]),
        (("tests/infra/test_infra.py::test_tls_certificate[phase2]",), ["tls.certificate@phase2"]),
        (("-m", "t3", "tests/infra/test_infra.py::test_tls_certificate"), ["tls.certificate@t3"]),
        (("--maxfail", "1", "tests/load", "tests/smoke"), ["smoke.api@t1", "load.first@phase2"]),
    ],
)
def test_words_node_ids_and_deselect_narrow_the_run_and_not_the_scope(
    pytester: pytest.Pytester, arguments: tuple[str, ...], ran: list[str]
) -> None:
    launch = launched(pytester)

    seen = launch.run(*arguments)

    assert launch.ran() == ran
    assert seen.status == 20


def test_a_narrowed_run_on_top_of_a_full_one_ends_in_its_verdict(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    assert launch.run().status == 0

    assert launch.run("tests/smoke/test_smoke.py::test_smoke_api[t1]").status == 0
    assert launch.ran() == ["smoke.api@t1"]


def test_a_folder_as_working_directory_narrows_as_its_path_does(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = launched(pytester)
    monkeypatch.chdir(launch.root / "tests" / "smoke")

    seen = launch.run()

    assert launch.ran() == ["smoke.api@t1"]
    assert seen.status == 20


@pytest.mark.parametrize("argument", [".", "tests", "./tests/", "{root}", "{root}/tests", "tests tests/smoke"])
def test_arguments_that_name_everything_run_everything_once(pytester: pytest.Pytester, argument: str) -> None:
    launch = launched(pytester)

    seen = launch.run(*argument.format(root=launch.root).split())

    assert len(launch.ran()) == 5
    assert seen.status == 0


def test_a_launch_may_be_run_from_elsewhere(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = launched(pytester)
    monkeypatch.chdir(launch.root.parent)

    seen = launch.run(f"{launch.root}/tests/smoke", "-m", "t1")

    assert launch.ran() == ["smoke.api@t1"]
    assert seen.status == 0


def test_rerunning_a_mended_gate_ends_in_go(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    launch.module("tests/smoke/test_smoke.py", gate("smoke.api", BAD))
    assert launch.run("--gonogo-keep-going").status == 1

    launch.module("tests/smoke/test_smoke.py", gate("smoke.api"))

    assert launch.run("-k", "smoke.api").status == 0
    assert launch.report["verdict"] == "GO"


def test_last_failed_reruns_what_failed(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    launch.module("tests/smoke/test_smoke.py", gate("smoke.api", BAD))
    assert launch.run("--gonogo-keep-going").status == 1
    launch.module("tests/smoke/test_smoke.py", gate("smoke.api"))

    seen = launch.run("--last-failed")

    assert launch.ran() == ["smoke.api@t1"], seen.words
    assert seen.status == 0


def test_a_failure_outside_the_scope_does_not_set_the_exit_status(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    launch.module("tests/smoke/test_smoke.py", gate("smoke.api", BAD))
    assert launch.run("-m", "t1").status == 1

    assert launch.run("-m", "t3").status == 0
    assert launch.report["verdict"] == "NO-GO"


def test_nothing_selected_is_5_and_holds_nothing_up(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    assert launch.run().status == 0

    assert launch.run("-k", "nothing_has_this_name").status == 5
    assert launch.run().status == 0


def test_collect_only_writes_nothing(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)

    seen = launch.run("--collect-only", "-q")

    assert seen.status == 0
    assert "tests/infra/test_infra.py::test_tls_certificate[t3]" in seen.out
    assert not launch.reports.exists()


@pytest.mark.parametrize("option", ["--setup-plan", "--setup-only"])
def test_only_setting_up_proves_nothing(pytester: pytest.Pytester, option: str) -> None:
    launch = launched(pytester)

    assert launch.run(option).status == 20


def test_a_wrong_marker_expression_leaves_the_ledger_as_it_was(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)

    seen = launch.run("-m", "t3 and")

    assert seen.status == 4
    assert "Wrong expression passed to '-m'" in seen.words
    assert launch.run().status == 0
    assert launch.report["verdict"] == "GO"


def test_stopping_at_the_first_failure_holds_what_was_not_reached(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    launch.module(
        "tests/infra/test_infra.py", gate("tls.certificate", "raise ToolError('no tool')"), gate("dns.records")
    )

    seen = launch.run("-x")

    assert launch.ran() == ["tls.certificate@t3"]
    assert launch.outcomes["dns.records@t3"] == "MISSING"
    assert seen.status == 20


def test_gates_carry_phases_themselves_where_there_is_no_playbook(pytester: pytest.Pytester) -> None:
    launch = Launch(pytester, settings=None)
    launch.module("tests/infra/test_a.py", gate("b.two", marks="t3"), gate("a.one", marks="t1 t7"))

    seen = launch.run()

    assert seen.status == 0
    assert launch.ran() == ["a.one@t7", "b.two@t3", "a.one@t1"]
    assert launch.run("-m", "t7").status == 0
    assert launch.ran() == ["a.one@t7"]


def test_a_marker_adds_a_phase_to_those_of_the_playbook(pytester: pytest.Pytester) -> None:
    launch = Launch(pytester)
    launch.playbook(t3="a.one")
    launch.module("tests/infra/test_a.py", gate("a.one", marks="phase1 t3"), gate("b.two", marks="t7"))

    assert launch.run().status == 0
    assert launch.ran() == ["b.two@t7", "a.one@t3", "a.one@phase1"]


def test_without_a_playbook_a_node_id_still_proves_no_more_than_its_gate(pytester: pytest.Pytester) -> None:
    launch = Launch(pytester)
    launch.module("tests/infra/test_a.py", gate("a.one", marks="t3"))
    launch.module("tests/infra/test_b.py", gate("b.two", marks="t3"))

    seen = launch.run("tests/infra/test_a.py::test_a_one")

    assert launch.ran() == ["a.one@t3"]
    assert seen.status == 20


def test_tests_of_a_project_without_a_launch_are_left_alone(pytester: pytest.Pytester) -> None:
    launch = Launch(pytester, settings=None)
    launch.module("tests/infra/test_a.py", "def test_plain():\n    assert 1 + 1 == 2")

    seen = launch.run()

    assert seen.status == 0
    assert not launch.reports.exists()
    assert "go/no-go" not in seen.words
