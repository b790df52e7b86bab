"""Gates run by phase, inside a phase in the order of the playbook, whatever the files say."""

from __future__ import annotations

import pytest

from plugin_example import GOOD, Launch, gate


def two_modules(pytester: pytest.Pytester) -> Launch:
    """Three phases over two modules, named so that neither file nor id order is the right one."""
    launch = Launch(pytester)
    launch.playbook(t7="load.first smoke.api", t3="tls.certificate load.first", phase2="smoke.api tls.certificate")
    launch.module("tests/infra/test_a.py", gate("tls.certificate"))
    launch.module("tests/smoke/test_b.py", gate("smoke.api"), gate("load.first"))
    return launch


ORDER = [
    "load.first@t7",
    "smoke.api@t7",
    "tls.certificate@t3",
    "load.first@t3",
    "smoke.api@phase2",
    "tls.certificate@phase2",
]


def test_a_gate_runs_once_in_each_phase_that_asks_for_it_in_the_playbooks_order(pytester: pytest.Pytester) -> None:
    launch = two_modules(pytester)

    seen = launch.run()

    assert seen.status == 0
    assert launch.ran() == ORDER
    assert launch.entries()[0]["planned"] == ORDER
    assert list(launch.outcomes) == ORDER


def test_the_terminal_shows_one_line_a_gate_below_its_phase(pytester: pytest.Pytester) -> None:
    launch = two_modules(pytester)

    out = launch.run().out

    wanted = ["At t7 (T7 Lead)", "load.first", "smoke.api", "At t3 (T3 Lead)", "tls.certificate", "At phase2"]
    places = [out.index(word) for word in wanted]
    assert places == sorted(places)
    assert out.count("At t3 (T3 Lead)") == 2  # above its gates, and on the board


def test_a_session_wide_parametrised_fixture_does_not_break_the_order(pytester: pytest.Pytester) -> None:
    """pytest groups items by such fixtures, which would run a later phase before an earlier one."""
    launch = Launch(pytester)
    launch.playbook(t7="a.one b.two", t3="a.one b.two")
    launch.write(
        "conftest.py",
        "import pytest\n@pytest.fixture(scope='session', params=['chromium', 'firefox'])\n"
        "def engine(request):\n    return request.param\n",
    )
    launch.module("tests/infra/test_a.py", gate("a.one", uses="measure, engine"))
    launch.module("tests/smoke/test_b.py", gate("b.two", uses="engine, measure"))

    seen = launch.run()

    assert seen.status == 0
    assert launch.ran() == ["a.one@t7"] * 2 + ["b.two@t7"] * 2 + ["a.one@t3"] * 2 + ["b.two@t3"] * 2


def test_a_gate_tried_with_several_parameters_is_as_good_as_the_worst(pytester: pytest.Pytester) -> None:
    launch = Launch(pytester)
    launch.playbook(t3="a.one")
    body = 'measure("answers", count, at_least(3, "here"))'
    launch.module(
        "tests/infra/test_a.py",
        "@pytest.mark.parametrize('count', [3, 2, 4])\n" + gate("a.one", body, uses="measure, count"),
    )

    seen = launch.run()

    assert seen.status == 1
    assert launch.ran() == ["a.one@t3"] * 3
    assert launch.outcomes == {"a.one@t3": "FAIL"}


def test_tests_that_are_no_gates_run_first(pytester: pytest.Pytester) -> None:
    launch = Launch(pytester)
    launch.playbook(t3="a.one")
    launch.module("tests/infra/test_a.py", gate("a.one", 'print("GATE")\n' + GOOD))
    launch.module("tests/infra/test_z.py", 'def test_plain():\n    print("PLAIN")')

    out = launch.run("-s").out

    assert out.index("PLAIN") < out.index("GATE")


def test_gates_of_a_class_keep_their_place(pytester: pytest.Pytester) -> None:
    launch = Launch(pytester)
    launch.playbook(t7="b.two", t3="a.one b.two")
    inside = "\n".join("    " + line for line in gate("b.two", uses="self, measure").splitlines())
    launch.module("tests/infra/test_a.py", gate("a.one"), "class TestGates:\n" + inside)

    seen = launch.run()

    assert seen.status == 0
    assert launch.ran() == ["b.two@t7", "a.one@t3", "b.two@t3"]
