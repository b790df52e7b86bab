"""Who brings the target up, how often, and what becomes of a session when that goes wrong."""

from __future__ import annotations

import pytest

from plugin_example import BAD, GOOD, SETTINGS, Launch, Seen, gate

PROVIDER = """\
from contextlib import contextmanager
from gonogo import ToolError

@contextmanager
def up(target, faults):
    print("UP", target, *faults)
    {before}
    yield {{"base_url": "http://127.0.0.1:9/", "logs": "logs"}}
    {after}
    print("DOWN", target)

def pytest_gonogo_provide_target(target, faults):
    return up(target, faults) if target != "elsewhere" else None
"""


def launched(pytester: pytest.Pytester, *, before: str = "pass", after: str = "pass") -> Launch:
    """Two phases of gates that need the target, and one that does not."""
    launch = Launch(pytester)
    launch.playbook(t7="a.alone", t3="b.one c.two")
    launch.write("conftest.py", PROVIDER.format(before=before, after=after))
    launch.write("logs/server.log", "line\n" * 3)
    launch.module(
        "tests/infra/test_a.py",
        gate("a.alone"),
        gate(
            "b.one", 'measure("url", target.base_url == "http://127.0.0.1:9", is_true("x"))', uses="target, measure"
        ),
        gate("c.two", uses="measure, target"),
    )
    return launch


def sealed(launch: Launch, seen: Seen) -> None:
    """The session ended in order: run sealed, reports written, nothing internal shown."""
    assert launch.entries()[-1]["type"] == "end"
    assert ".open." not in launch.runs()[-1].name
    assert launch.outcomes
    assert "INTERNALERROR" not in seen.words


def test_the_target_is_brought_up_once_when_first_needed_and_taken_down_at_the_end(
    pytester: pytest.Pytester,
) -> None:
    launch = launched(pytester)

    seen = launch.run("-s")

    assert seen.status == 0
    assert seen.out.count("UP rehearsal") == seen.out.count("DOWN rehearsal") == 1
    assert seen.out.index("a.alone") < seen.out.index("UP rehearsal") < seen.out.index("b.one")
    (log,) = launch.ledger.glob("evidence/*/target-logs/server.log")
    assert log.read_text().startswith("line")


def test_the_target_stays_down_when_no_gate_needs_it(pytester: pytest.Pytester) -> None:
    assert "UP" not in launched(pytester).run("-s", "-m", "t7").out


def test_faults_reach_the_provider_and_are_recorded(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)

    seen = launch.run("-s", "--gonogo-fault", "slow, dns", "--gonogo-fault", "slow")

    assert "UP rehearsal slow dns" in seen.out
    assert launch.entries()[0]["info"]["faults"] == ["slow", "dns"]


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ("raise ToolError('no database')", "no database"),
        ("raise OSError('no port left')", "the gate itself broke (OSError: no port left); mend the gate"),
        ("open('no-such-file')", "the gate itself broke (FileNotFoundError: [Errno 2] No such file"),
    ],
)
def test_a_target_that_does_not_come_up_is_tried_once(pytester: pytest.Pytester, before: str, reason: str) -> None:
    launch = launched(pytester, before=before)

    seen = launch.run("-s")

    assert seen.status == 20
    assert seen.out.count("UP rehearsal") == 1
    assert [launch.gates[key]["outcome"] for key in ("b.one@t3", "c.two@t3")] == ["ERROR", "ERROR"]
    assert launch.gates["c.two@t3"]["reason"].startswith(reason)
    sealed(launch, seen)


@pytest.mark.parametrize("after", ["raise ToolError('it hangs')", "raise OSError('it hangs')"])
def test_a_target_that_does_not_go_down_loses_no_result_and_never_goes(
    pytester: pytest.Pytester, after: str
) -> None:
    launch = launched(pytester, after=after)

    seen = launch.run()

    sealed(launch, seen)
    assert seen.status != 0
    assert "it hangs" in seen.sentence("the target could not be taken down")
    assert set(launch.outcomes.values()) == {"PASS"}


def test_a_companion_gets_the_gates_that_a_box_sends_it(pytester: pytest.Pytester) -> None:
    launch = Launch(pytester, SETTINGS + 'staging = "twin"\n[targets.twin]\nkind = "staging"\n')
    launch.write("conftest.py", PROVIDER.format(before="pass", after="pass"))
    launch.write(
        "PLAYBOOK.md",
        "## T-3 <!-- phase: t3 -->\n- [ ] x <!-- gate: a.one -->\n- [ ] y <!-- gate: a.one on: staging -->\n",
    )
    launch.module(
        "tests/infra/test_a.py", gate("a.one", "print('ON', target.name)\n" + GOOD, uses="target, measure")
    )

    seen = launch.run("-s")

    assert seen.status == 0
    assert launch.ran() == ["a.one@t3", "a.one@t3/staging"]
    assert seen.out.index("ON rehearsal") < seen.out.index("ON twin")
    assert launch.run("-k", "t3-staging").status == 0


def test_the_outbox_knows_what_failed_in_earlier_phases_in_this_run_or_before(pytester: pytest.Pytester) -> None:
    launch = Launch(pytester)
    launch.playbook(t7="a.one", t3="b.two", phase1="c.sends", phase5="d.later")
    tells = 'measure("failed", list(outbox.failed), is_true("x"))'
    launch.module(
        "tests/infra/test_a.py",
        gate("a.one", BAD),
        gate("b.two"),
        gate("c.sends", tells, uses="measure, outbox"),
        gate("d.later", BAD),
    )

    launch.run("--gonogo-keep-going", "-k", "a.one or c.sends or d.later")
    assert launch.gates["c.sends@phase1"]["reason"].startswith("failed: a.one@t7;")
    launch.run("--gonogo-keep-going", "-k", "c.sends")
    assert launch.gates["c.sends@phase1"]["reason"].startswith("failed: a.one@t7;")
