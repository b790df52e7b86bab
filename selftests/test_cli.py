"""The command gonogo: plan, report, verdict, explain; from plan and ledger alone, never from the network."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import NoReturn

import pytest

from plugin_example import BAD, SETTINGS, Launch, gate


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection and any look-up of a name ends the test."""

    def refuse(*arguments: object, **_named: object) -> NoReturn:
        raise AssertionError(f"touched the network: {arguments}")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)


def launched(pytester: pytest.Pytester) -> Launch:
    """A launch on a real address, with a load gate, a bad gate and a box for a person."""
    launch = Launch(
        pytester,
        SETTINGS.replace('"disposable"', '"staging"\nbase_url = "https://app.example.test"')
        + "[targets.rehearsal.load]\nrps = 60\nduration_s = 50\n",
    )
    launch.playbook(t7="load.first", t3="tls.certificate", t1="smoke.api")
    playbook = launch.root / "PLAYBOOK.md"
    playbook.write_text(playbook.read_text() + "- [ ] Briefing <!-- attest: Launch Manager -->\n")
    launch.module("tests/infra/test_a.py", gate("tls.certificate", BAD), gate("load.first"), gate("smoke.api"))
    return launch


def test_the_plan_names_phases_gates_owners_targets_load_and_gaps(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    launch = launched(pytester)

    seen = launch.gonogo(capsys, "plan")

    assert seen.status == 0
    assert seen.err == ""
    assert seen.out.splitlines() == [
        "Fleet 1.0.0 on rehearsal (staging)",
        "",
        "At t7 (T7 Lead) [t7]",
        "  load.first      rehearsal not run yet  60 RPS for 53 s",
        "",
        "At t3 (T3 Lead) [t3]",
        "  tls.certificate rehearsal not run yet",
        "",
        "At t1 (T1 Lead) [t1]",
        "  smoke.api       rehearsal not run yet",
        "  open: 'Briefing' (line 14) waits for Launch Manager: PENDING",
        "",
        "missing inputs:",
        "  launch.toml: [targets.rehearsal.smoke] is missing; asked for by smoke.api",
        "  launch.toml: [targets.rehearsal.tls] is missing; asked for by tls.certificate",
    ]


def test_the_plan_knows_durations_and_titles_after_a_run(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    launch = launched(pytester)
    launch.run("--gonogo-keep-going")

    assert "rehearsal ~0 s         What smoke.api promises holds" in launch.gonogo(capsys, "plan").out


def test_the_plan_names_variables_that_are_not_set(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = launched(pytester)
    launch.write("launch.toml", SETTINGS + 'database_url = { env = "FLEET_DATABASE" }\nca_file = "no.pem"\n')
    monkeypatch.delenv("FLEET_DATABASE", raising=False)

    out = launch.gonogo(capsys, "plan").out

    assert "the environment variable FLEET_DATABASE (database_url) is not set" in out
    assert "targets.rehearsal.ca_file = 'no.pem' does not exist" in out


def test_the_plan_names_what_the_live_channel_needs_and_what_is_out_of_scope(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    launch = launched(pytester)
    launch.playbook(t3="stats.websocket")
    playbook = launch.root / "PLAYBOOK.md"
    playbook.write_text(playbook.read_text() + "- [ ] Map <!-- scope: there is none gate: smoke.tracking -->\n")

    out = launch.gonogo(capsys, "plan").out

    assert "[targets.rehearsal.websocket] is missing" in out
    assert "  out of scope: smoke.tracking: there is none\n" in out
    explained = launch.gonogo(capsys, "explain", "smoke.tracking")
    assert (explained.status, explained.out) == (
        0,
        "smoke.tracking: out of scope: there is none (PLAYBOOK.md:6)\n",
    )


def test_the_verdict_is_hold_before_anything_ran(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = launched(pytester).gonogo(capsys, "verdict")

    assert seen.status == 20
    assert "MISSING tls.certificate@t3: asked for, never run" in seen.out
    assert "  HOLD t1: 'Briefing' (line 14) waits for Launch Manager: PENDING" in seen.out
    assert seen.out.splitlines()[-1] == "HOLD  Fleet 1.0.0 on rehearsal (REHEARSAL, not production)"


@pytest.mark.parametrize(
    ("require", "status", "said"),
    [((), 1, "NO-GO"), (("t7",), 0, "GO"), (("t3",), 1, "NO-GO"), (("t1",), 20, "HOLD"), (("t7,t1",), 20, "HOLD")],
)
def test_the_verdict_speaks_for_the_phases_that_are_required(
    pytester: pytest.Pytester,
    capsys: pytest.CaptureFixture[str],
    require: tuple[str, ...],
    status: int,
    said: str,
) -> None:
    launch = launched(pytester)
    launch.run("--gonogo-keep-going")

    seen = launch.gonogo(capsys, "verdict", *(f"--require={phases}" for phases in require))

    assert seen.status == status
    assert seen.out.splitlines()[-1].startswith(f"{said}  Fleet 1.0.0")
    assert ("FAIL tls.certificate@t3: answers: 2; required >= 3" in seen.out) == (require in ((), ("t3",)))
    assert ("(not required)" in seen.out) == bool(require)


def test_the_report_is_rendered_from_the_ledger(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    launch = launched(pytester)
    launch.run("--gonogo-keep-going")
    before = launch.report
    for path in launch.reports.glob("go-no-go.*"):
        path.unlink()

    seen = launch.gonogo(capsys, "report", "--no-pdf")

    assert seen.status == 0
    assert seen.out == f"{launch.reports}/go-no-go.html\n"
    assert {**launch.report, "generated_at": ""} == {**before, "generated_at": ""}
    assert "NO-GO" in (launch.reports / "go-no-go.html").read_text()


def test_a_report_without_a_browser_says_so_and_is_there(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GONOGO_CHROMIUM", "/no/browser")

    seen = launched(pytester).gonogo(capsys, "report")

    assert seen.status == 0
    assert "no PDF: no Chromium found (/no/browser);" in seen.out


def test_explain_says_what_was_measured_and_who_can_unblock(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    launch = launched(pytester)
    launch.run("--gonogo-keep-going")

    seen = launch.gonogo(capsys, "explain", "tls.certificate")

    assert seen.status == 0
    lines = seen.out.splitlines()
    assert lines[0] == "tls.certificate: What tls.certificate promises holds"
    assert lines[1] == "  proves: Box of t3 (PLAYBOOK.md:9)"
    assert "At t3 [tls.certificate@t3]: FAIL" in lines
    assert "  who can unblock: T3 Lead" in lines
    assert "  BAD answers: 2; required >= 3 (launch.toml: http.samples)" in lines


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "gonogo: the following arguments are required: COMMAND"),
        (("launch",), "invalid choice: 'launch'"),
        (("verdict", "--require", "t4"), "unknown phase 't4'; allowed are t7, t3, t1,"),
        (("verdict", "--require", ","), "name at least one phase, e.g. t3,t1"),
        (("verdict", "--require", "week2"), "the plan has no such phase; it has t1, t3, t7"),
        (("verdict", "--reqire", "t3"), "unrecognized arguments: --reqire t3"),
        (("explain",), "the following arguments are required: GATE"),
        (("explain", "tls.x"), "the plan asks for no gate 'tls.x'; it asks for load.first, smoke.api,"),
        (("plan", "--target", "moon"), "there is no target 'moon'; it has rehearsal;"),
    ],
)
def test_wrong_usage_is_4_and_one_sentence(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    launch = launched(pytester)

    seen = launch.gonogo(capsys, *arguments)

    assert seen.status == 4
    assert seen.out == ""
    assert sentence in seen.sentence(sentence)


@pytest.mark.parametrize("command", ["plan", "report", "verdict"])
@pytest.mark.parametrize(
    "mistake",
    [
        ("launch.toml", None, "gonogo: launch.toml is missing beside PLAYBOOK.md;"),
        ("launch.toml", "[launch", "gonogo: launch.toml is no valid TOML:"),
        ("PLAYBOOK.md", "# Nothing\n", "gonogo: PLAYBOOK.md: no phase found;"),
        ("reports/ledger", "a file", "gonogo: the ledger"),
    ],
)
def test_a_plan_or_ledger_that_can_not_be_read_is_4_and_one_sentence(
    pytester: pytest.Pytester,
    capsys: pytest.CaptureFixture[str],
    command: str,
    mistake: tuple[str, str | None, str],
) -> None:
    path, text, sentence = mistake
    launch = launched(pytester)
    if text is None:
        (launch.root / path).unlink()
    else:
        launch.write(path, text)

    seen = launch.gonogo(capsys, command)

    assert seen.status == 4
    assert seen.out == ""
    assert seen.err.startswith(sentence)
    assert seen.err.count("\n") == 1


def test_another_folder_may_be_named(pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    launch = launched(pytester)
    pytester.chdir()
    os.chdir(launch.root.parent)

    seen = launch.gonogo(capsys, "plan", "--root", str(launch.root))

    assert seen.status == 0
    assert seen.out.startswith("Fleet 1.0.0 on rehearsal")


def test_a_folder_without_a_launch_is_4(pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    seen = Launch(pytester, settings=None).gonogo(capsys, "verdict")

    assert seen.status == 4
    assert seen.err.startswith(f"gonogo: launch.toml is missing in {pytester.path};")


def test_the_target_may_come_from_the_environment(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GONOGO_TARGET", "moon")

    assert "there is no target 'moon'" in launched(pytester).gonogo(capsys, "plan").err


@pytest.mark.parametrize("arguments", [("--help",), ("plan", "--help"), ("verdict", "--help")])
def test_help_is_0(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    seen = launched(pytester).gonogo(capsys, *arguments)

    assert seen.status == 0
    assert seen.out.startswith("usage: gonogo")


def test_verdict_of_pytest_and_of_the_command_agree_where_markers_ask(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    launch = Launch(pytester)
    launch.module("tests/infra/test_a.py", gate("a.one", marks="t3"), gate("b.two", marks="t1"))
    for body in (BAD, "pass", 'measure("x", 1, at_least(1, "here"))'):
        launch.module("tests/infra/test_a.py", gate("a.one", marks="t3"), gate("b.two", body, marks="t1"))

        status = launch.run().status

        assert launch.gonogo(capsys, "verdict").status == status


def test_a_reader_that_leaves_early_breaks_nothing(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    command = f"{sys.executable} -m gonogo.cli plan | head -n 1"
    done = subprocess.run(
        ["sh", "-c", command], cwd=launch.root, capture_output=True, text=True, timeout=60, check=False
    )

    assert "Traceback" not in done.stderr
    assert json.dumps(done.stderr) == '""'
    assert os.linesep in done.stdout or done.stdout == ""


def test_the_plan_says_which_step_cannot_conclude(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    launch = Launch(
        pytester,
        SETTINGS.replace('"disposable"', '"staging"\nbase_url = "https://app.example.test"')
        + "[targets.rehearsal.load]\nrps = 60\nduration_s = 25\n"
        + "spike = { rps = 120.0, duration_s = 2.0, recover_s = 5.0 }\n",
    )
    launch.playbook(t7="load.throughput load.spike")
    launch.module("tests/load/test_a.py", gate("load.throughput"), gate("load.spike"))

    said = launch.gonogo(capsys, "plan").out

    assert "load.spike      rehearsal not run yet  120 RPS for 2 s in the same run" in said
    assert said.partition("too little to prove it:\n")[2].partition("\n\n")[0].splitlines() == [
        "  launch.toml: targets.rehearsal.load." + sentence
        for sentence in (
            "duration_s: load.throughput can't conclude: 1,500 requests can't prove < 0.001: needs 25 s more at this rate",
            "spike.duration_s: load.spike can't conclude: 240 requests can't prove < 0.01: needs 1 s more at this rate",
        )
    ]
