"""Odd ways to run a launch: none of them may end in GO without every gate measured and good."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from plugin_example import BAD, GOOD, Launch, gate


def launched(pytester: pytest.Pytester, body: str = BAD) -> Launch:
    launch = Launch(pytester)
    launch.playbook(t3="a.one")
    launch.module("tests/infra/test_a.py", gate("a.one", body))
    return launch


@pytest.mark.parametrize(
    "part", ["gonogo-collection", "gonogo-order", "gonogo-session", "gonogo-browser", "gonogo.fixtures", "gonogo"]
)
def test_no_part_of_the_plugin_can_be_switched_off(pytester: pytest.Pytester, part: str) -> None:
    launch = launched(pytester)

    seen = launch.apart("-p", f"no:{part}")

    assert seen.status not in (0, 5), seen.words


@pytest.mark.parametrize("option", ["--setup-plan", "--setup-only"])
def test_options_that_run_nothing_do_not_inherit_an_older_pass(pytester: pytest.Pytester, option: str) -> None:
    launch = launched(pytester, GOOD)
    assert launch.run().status == 0

    assert launch.run(option).status == 20


TWO = gate("a.one", 'measure("answers", n, at_least(3, "here"))', uses="measure, n", marks='parametrize("n",[3,2])')


def test_a_variant_of_a_parametrised_gate_is_not_the_gate(pytester: pytest.Pytester) -> None:
    launch = Launch(pytester)
    launch.playbook(t3="a.one")
    launch.module("tests/infra/test_a.py", TWO)

    assert launch.run("-k", "t3-3").status == 20
    assert "measured 1 of its 2 variants" in launch.gates["a.one@t3"]["reason"]
    assert launch.run().status == 1
    assert launch.run("-k", "t3-3").status == 20
    assert launch.run("-k", "t3-2").status == 1
    assert launch.outcomes == {"a.one@t3": "FAIL"}


def test_a_playbook_without_a_gate_holds(pytester: pytest.Pytester) -> None:
    launch = Launch(pytester)
    launch.write("PLAYBOOK.md", "# A\n\n## T <!-- phase: t3 -->\n\n- [ ] Briefed <!-- attest: Lead -->\n")
    launch.write("tests/test_plain.py", "def test_plain():\n    pass\n")

    assert launch.run().status == 20


def test_a_module_that_skips_itself_does_not_hide_its_gates(pytester: pytest.Pytester) -> None:
    launch = Launch(pytester)
    launch.module("tests/infra/test_a.py", gate("a.one", marks="t3"))
    launch.module("tests/infra/test_b.py", 'pytest.importorskip("no_such_thing")', gate("b.two", marks="t3"))

    seen = launch.run()
    assert seen.status not in (0, 5), seen.words


@pytest.mark.parametrize("by", ["option", "environment"])
def test_an_empty_target_name_is_a_variable_that_was_not_set(
    pytester: pytest.Pytester, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = launched(pytester, GOOD)
    if by == "environment":
        monkeypatch.setenv("GONOGO_TARGET", "")
    seen = launch.apart(*(["--gonogo-target="] if by == "option" else []))

    assert seen.status == 4, seen.words


FALSY = """\
class No:
    def __bool__(self): return False
class Number(float):
    def __ge__(self, other): return No()
measure("answers", Number(2), at_least(3, "here"))"""


def test_a_comparison_that_answers_with_another_type_of_no_is_a_no(pytester: pytest.Pytester) -> None:
    """Numbers of numpy compare to a boolean of numpy, which is not ``False`` itself."""
    launch = launched(pytester, FALSY)

    assert launch.run().status == 1
    assert launch.outcomes == {"a.one@t3": "FAIL"}


@pytest.mark.parametrize(
    "inside", ["assert False", "raise TargetError('x')", "pytest.skip('x')", "pytest.xfail('x')"]
)
def test_a_subtest_that_did_not_pass_takes_the_pass_away(pytester: pytest.Pytester, inside: str) -> None:
    launch = Launch(pytester)
    launch.playbook(t3="a.one")
    body = f"{GOOD}\nwith subtests.test():\n    {inside}"
    launch.module("tests/infra/test_a.py", gate("a.one", body, uses="measure, subtests"))

    assert launch.run().status != 0
    assert launch.outcomes != {"a.one@t3": "PASS"}


@pytest.mark.parametrize("unbuffered", [["-u"], []])
def test_a_reader_that_leaves_early_does_not_change_the_verdict(
    pytester: pytest.Pytester, unbuffered: list[str]
) -> None:
    """``gonogo verdict | grep -q GO`` with pipefail, PYTHONUNBUFFERED set as in many containers."""
    launch = launched(pytester)
    launch.run()
    reader, writer = os.pipe()
    os.close(reader)

    code = "import sys; from gonogo.cli import main; sys.exit(main(['verdict']))"
    command = [sys.executable, *unbuffered, "-c", code]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, cwd=launch.root, check=False, timeout=30)

    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


STAGED = """\
[launch]
project = "Fleet"
version = "1.0.0"

[targets.rehearsal]
kind = "disposable"
staging = "staging"
database_url = "postgresql://me:secret@{host}/fleet"

[targets.staging]
kind = "staging"
base_url = "https://staging.example.com"

[targets.staging.load]
p95_ms = {p95_ms}
"""


@pytest.mark.parametrize(
    ("changed", "stale"),
    [
        ({"host": "db", "p95_ms": 500.0}, set()),
        ({"host": "other-db", "p95_ms": 500.0}, {"a.one@t3", "b.two@t3"}),
        ({"host": "db", "p95_ms": 100.0}, {"b.two@t3"}),
    ],
)
def test_what_was_measured_elsewhere_or_by_another_bound_is_stale(
    pytester: pytest.Pytester, changed: dict[str, object], stale: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The database's address and a companion's bounds belong to what a result answers."""
    launch = Launch(pytester, STAGED.format(host="db", p95_ms=500.0))
    boxes = "- [ ] A <!-- gate: a.one -->\n- [ ] B <!-- gate: b.two on: staging -->\n"
    launch.write("PLAYBOOK.md", f"# A\n\n## T <!-- phase: t3 -->\n\n{boxes}")
    launch.module("tests/infra/test_a.py", gate("a.one"), gate("b.two"))
    assert launch.run().status == 0

    launch.write("launch.toml", STAGED.format(**changed))
    launch.gonogo(capsys, "report", "--no-pdf")

    assert {key for key, outcome in launch.outcomes.items() if outcome == "STALE"} == stale


def test_a_new_password_makes_nothing_stale(pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    settings = STAGED.format(host="db", p95_ms=500.0)
    launch = Launch(pytester, settings)
    launch.playbook(t3="a.one")
    launch.module("tests/infra/test_a.py", gate("a.one"))
    assert launch.run().status == 0

    launch.write("launch.toml", settings.replace("me:secret", "you:another"))

    assert launch.gonogo(capsys, "verdict").status == 0
