"""A phase that is not GO blocks the later phases of its session, and of no other."""

from __future__ import annotations

import pytest

from plugin_example import BAD, Launch, gate


def launched(pytester: pytest.Pytester, first: str = BAD) -> Launch:
    """A t7 gate with the body given, then good gates in t3 and t1."""
    launch = Launch(pytester)
    launch.playbook(t7="a.first a.second", t3="b.next", t1="b.next")
    launch.module("tests/infra/test_a.py", gate("a.first", first), gate("a.second"), gate("b.next"))
    return launch


@pytest.mark.parametrize(
    ("first", "outcome", "status"),
    [
        (BAD, "FAIL", 1),
        ("raise ToolError('no tool')", "ERROR", 20),
        ("pass", "INCONCLUSIVE", 20),
        ("pytest.skip('not today')", "MISSING", 20),
    ],
)
def test_later_phases_are_blocked_by_anything_but_a_pass(
    pytester: pytest.Pytester, first: str, outcome: str, status: int
) -> None:
    launch = launched(pytester, first)

    seen = launch.run()

    assert launch.outcomes == {
        "a.first@t7": outcome,
        "a.second@t7": "PASS",  # a phase never blocks its own gates
        "b.next@t3": "BLOCKED",
        "b.next@t1": "BLOCKED",
    }
    assert seen.status == status
    assert launch.gates["b.next@t1"]["reason"] == f"At t7 is not GO: a.first {outcome}"
    assert " skipped" not in seen.out.splitlines()[-1]
    assert "2 blocked" in seen.out


def test_keep_going_tries_the_later_phases_all_the_same(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)

    seen = launch.run("--gonogo-keep-going")

    assert launch.outcomes["b.next@t3"] == launch.outcomes["b.next@t1"] == "PASS"
    assert seen.status == 1


def test_an_earlier_phase_outside_the_selection_is_shown_and_blocks_nothing(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    assert launch.run("-m", "t7").status == 1

    seen = launch.run("-m", "t3")

    assert launch.outcomes["b.next@t3"] == "PASS"
    assert seen.status == 0
    (line,) = (line for line in seen.out.splitlines() if "At t7 (T7 Lead)" in line)
    assert line.endswith("1 of   2 gates proven  NO-GO")


def test_a_blocked_gate_sets_nothing_up(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    launch.write("conftest.py", "import pytest\n@pytest.fixture\ndef costly():\n    print('COSTLY')\n")
    launch.module(
        "tests/infra/test_a.py",
        gate("a.first", BAD),
        gate("a.second"),
        gate("b.next", uses="measure, costly"),
    )

    assert "COSTLY" not in launch.run("-s").out


def test_a_blocked_gate_was_not_measured_so_its_earlier_result_is_gone(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    assert launch.run("-m", "t3 or t1").status == 0

    launch.run()

    assert launch.outcomes["b.next@t3"] == "BLOCKED"
