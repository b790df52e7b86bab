"""One outcome a gate, by what was measured and by whose fault it could not be."""

from __future__ import annotations

import json

import pytest

from plugin_example import BAD, GOOD, Launch, Seen, gate


def ran(
    pytester: pytest.Pytester, body: str, *, uses: str = "measure", marks: str = "", conftest: str = ""
) -> tuple[Launch, Seen]:
    """Run a launch with one gate."""
    launch = Launch(pytester)
    launch.playbook(t3="a.one")
    if conftest:
        launch.write("conftest.py", "import pytest\nfrom gonogo import TargetError, ToolError\n" + conftest)
    launch.module("tests/infra/test_a.py", gate("a.one", body, uses=uses, marks=marks))
    return launch, launch.run()


@pytest.mark.parametrize(
    ("body", "outcome", "status", "reason"),
    [
        (GOOD, "PASS", 0, ""),
        (BAD, "FAIL", 1, "answers: 2; required >= 3 (launch.toml: http.samples)"),
        ("pass", "INCONCLUSIVE", 20, "the gate ended without a single measurement, so nothing is proven"),
        (
            'measure("errors", 0.0, rate_below(0.001, "here"), n=0)',
            "INCONCLUSIVE",
            20,
            "errors: 0; required < 0.001",
        ),
        ('raise TargetError("it refused")', "FAIL", 1, "it refused"),
        ('raise ToolError("dig is missing")', "ERROR", 20, "dig is missing"),
        ('raise InconclusiveError("too short")', "INCONCLUSIVE", 20, "too short"),
        ('assert 1 == 2, "they differ"', "FAIL", 1, "they differ"),
        ('raise KeyError("x")', "ERROR", 20, "the gate itself broke (KeyError: 'x'); mend the gate"),
        ('pytest.skip("not today")', "MISSING", 20, "skipped: not today"),
        ('pytest.xfail("known")', "MISSING", 20, "expected to fail: known"),
        ('pytest.fail("no")', "FAIL", 1, "no"),
        (f'{BAD}\nraise KeyError("x")', "FAIL", 1, "answers: 2;"),
        (f'{BAD}\nraise ToolError("gone")', "FAIL", 1, "answers: 2;"),
        (f'{BAD}\npytest.skip("enough")', "FAIL", 1, "answers: 2;"),
        (f'{GOOD}\nraise ToolError("gone")', "ERROR", 20, "gone"),
        (f'{GOOD}\npytest.skip("enough")', "MISSING", 20, "skipped: enough"),
        ('measure("answers", float("nan"), at_least(3, "here"))', "FAIL", 1, "answers: nan;"),
        ('measure("answers", 3, at_least(3, "here"), n=-1)', "ERROR", 20, "the gate itself broke (ValueError"),
    ],
)
def test_the_outcome_says_what_was_found_or_why_not(
    pytester: pytest.Pytester, body: str, outcome: str, status: int, reason: str
) -> None:
    launch, seen = ran(pytester, body)

    assert launch.outcomes == {"a.one@t3": outcome}
    assert launch.gates["a.one@t3"]["reason"].startswith(reason)
    assert seen.status == status


@pytest.mark.parametrize(
    "marks",
    ["skip(reason='later')", "skipif(True,reason='later')", "xfail(run=False,reason='later')"],
)
def test_a_gate_marked_as_not_to_be_run_is_missing(pytester: pytest.Pytester, marks: str) -> None:
    launch, seen = ran(pytester, GOOD, marks=marks)

    assert launch.outcomes == {"a.one@t3": "MISSING"}
    assert "later" in launch.gates["a.one@t3"]["reason"]
    assert seen.status == 20


@pytest.mark.parametrize("body", [BAD, "assert False", GOOD])
@pytest.mark.parametrize("marks", ["xfail", "xfail(strict=False)"])
def test_a_gate_that_is_expected_to_fail_never_goes(pytester: pytest.Pytester, body: str, marks: str) -> None:
    launch, seen = ran(pytester, body, marks=marks)

    assert launch.outcomes["a.one@t3"] != "PASS"
    assert seen.status in (1, 20)


def test_all_measurements_are_kept_and_judged_after_a_bad_one(pytester: pytest.Pytester) -> None:
    launch, _ = ran(pytester, f'{BAD}\nmeasure("named", True, is_true("here"))\nmeasure("x", 1, at_least(2, "y"))')

    found = launch.gates["a.one@t3"]
    assert [(m["name"], m["ok"]) for m in found["measurements"]] == [
        ("answers", False),
        ("named", True),
        ("x", False),
    ]
    assert "answers: 2;" in found["reason"]
    assert "x: 1;" in found["reason"]
    assert "named" not in found["reason"]


def test_what_a_failed_gate_printed_is_shown_and_its_sentence_also_with_q(pytester: pytest.Pytester) -> None:
    launch, seen = ran(pytester, 'print("seen on the way")\nraise TargetError("it is gone")')
    assert "seen on the way" in seen.out

    assert "it is gone" in launch.run("-q").out.partition("FAILURES")[2].partition("board")[0]


def test_a_sentence_comes_without_a_trace_and_a_surprise_with_one(pytester: pytest.Pytester) -> None:
    _, told = ran(pytester, 'raise ToolError("dig is missing")')
    assert told.out.count("dig is missing") == 2  # in the gate's line and in the board, nowhere else
    assert "test_a.py" not in told.out
    assert "raise ToolError" not in told.out

    _, surprised = ran(pytester, 'raise KeyError("x")')
    assert "raise KeyError" in surprised.out


@pytest.mark.parametrize(
    ("error", "outcome", "status"), [("TargetError('it refused')", "FAIL", 1), ("ToolError('no dig')", "ERROR", 20)]
)
@pytest.mark.parametrize("scope", ["function", "session"])
def test_a_fixture_that_ends_with_a_sentence_speaks_for_each_of_its_gates(
    pytester: pytest.Pytester, error: str, outcome: str, status: int, scope: str
) -> None:
    launch = Launch(pytester)
    launch.playbook(t3="a.one b.two")
    launch.write(
        "conftest.py",
        "import pytest\nfrom gonogo import TargetError, ToolError\n"
        f"@pytest.fixture(scope='{scope}')\ndef site():\n    raise {error}\n",
    )
    launch.module("tests/infra/test_a.py", gate("a.one", uses="measure, site"), gate("b.two", uses="site, measure"))

    seen = launch.run()

    sentence = error.split("'")[1]
    assert {key: (g["outcome"], g["reason"]) for key, g in launch.gates.items()} == {
        "a.one@t3": (outcome, sentence),
        "b.two@t3": (outcome, sentence),
    }
    assert f"raise {error}" not in seen.out
    assert "conftest.py" not in seen.out
    assert seen.status == status


def test_a_fixtures_own_assertion_says_nothing_of_the_target(pytester: pytest.Pytester) -> None:
    launch, seen = ran(
        pytester,
        GOOD,
        uses="measure, site",
        conftest="@pytest.fixture\ndef site():\n    assert 0, 'mine'\n",
    )

    assert launch.outcomes == {"a.one@t3": "ERROR"}
    assert "def site" in seen.out
    assert seen.status == 20


@pytest.mark.parametrize("error", ["KeyError('x')", "AssertionError('x')", "ToolError('x')"])
def test_a_teardown_that_breaks_takes_the_pass_away(pytester: pytest.Pytester, error: str) -> None:
    launch, seen = ran(
        pytester,
        GOOD,
        uses="measure, site",
        conftest=f"@pytest.fixture\ndef site():\n    yield\n    raise {error}\n",
    )

    assert launch.outcomes == {"a.one@t3": "ERROR"}
    assert "x" in launch.gates["a.one@t3"]["reason"]
    assert seen.status == 20


def test_a_teardown_that_breaks_does_not_soften_a_failure(pytester: pytest.Pytester) -> None:
    launch, seen = ran(
        pytester,
        BAD,
        uses="measure, site",
        conftest="@pytest.fixture\ndef site():\n    yield\n    raise KeyError('x')\n",
    )

    assert launch.outcomes == {"a.one@t3": "FAIL"}
    assert seen.status == 1


@pytest.mark.parametrize(
    ("inside", "outcome"),
    [
        ("    assert 0, 'inside'", "FAIL"),
        ("    raise KeyError('inside')", "ERROR"),
        ("    raise TargetError('inside')", "FAIL"),
        ("    pytest.skip('inside')", "MISSING"),
    ],
)
def test_a_failing_subtest_keeps_its_gate_from_passing(
    pytester: pytest.Pytester, inside: str, outcome: str
) -> None:
    launch, seen = ran(pytester, f"{GOOD}\nwith subtests.test():\n{inside}", uses="measure, subtests")

    assert launch.outcomes == {"a.one@t3": outcome}
    assert "inside" in launch.gates["a.one@t3"]["reason"]
    assert seen.status == (1 if outcome == "FAIL" else 20)


def test_good_subtests_pass(pytester: pytest.Pytester) -> None:
    launch, seen = ran(pytester, f"with subtests.test():\n    {GOOD}", uses="measure, subtests")

    assert launch.outcomes == {"a.one@t3": "PASS"}
    assert seen.status == 0


def test_leaving_the_session_from_inside_a_gate_never_goes(pytester: pytest.Pytester) -> None:
    _, seen = ran(pytester, 'pytest.exit("enough", returncode=0)')

    assert seen.status == 20


def test_a_gate_that_hangs_fails_by_its_timeout(pytester: pytest.Pytester) -> None:
    launch, seen = ran(pytester, "import time\ntime.sleep(30)", marks="timeout(0.3)")

    assert launch.outcomes == {"a.one@t3": "FAIL"}
    assert "Timeout" in launch.gates["a.one@t3"]["reason"]
    assert seen.status == 1


def test_other_tests_run_as_usual_and_their_failure_never_goes(pytester: pytest.Pytester) -> None:
    launch = Launch(pytester)
    launch.playbook(t3="a.one")
    launch.module("tests/infra/test_a.py", gate("a.one"), "def test_plain():\n    assert 1 + 1 == 2")
    assert launch.run().status == 0

    launch.module("tests/infra/test_a.py", gate("a.one"), "def test_plain():\n    assert 1 + 1 == 3")
    seen = launch.run()

    assert seen.status == 1
    assert "assert (1 + 1) == 3" in seen.out
    assert launch.outcomes == {"a.one@t3": "PASS"}


@pytest.mark.parametrize("fixture", ["target", "evidence", "measure"])
def test_what_is_for_gates_refuses_other_tests(pytester: pytest.Pytester, fixture: str) -> None:
    """A bad measurement of a test that is no gate would be judged by nobody."""
    launch = Launch(pytester)
    launch.playbook(t3="a.one")
    launch.module("tests/infra/test_a.py", gate("a.one"), f"def test_plain({fixture}):\n    pass")

    seen = launch.run()

    assert seen.status == 1
    assert "test_plain: this fixture is for gates; add @pytest.mark.gate('area.name')" in seen.out
    assert "fixtures.py" not in seen.out


@pytest.mark.parametrize("options", [(), ("--continue-on-collection-errors",)])
def test_a_module_that_can_not_be_collected_never_goes(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    launch = Launch(pytester)
    launch.playbook(t3="a.one")
    launch.module("tests/infra/test_a.py", gate("a.one"))
    launch.write("tests/infra/test_broken.py", "import no_such_module\n")

    seen = launch.run(*options)

    assert seen.status == (1 if options else 2)
    assert "no_such_module" in seen.out


def test_a_module_that_skips_itself_never_goes(pytester: pytest.Pytester) -> None:
    launch = Launch(pytester)
    launch.playbook(t3="a.one b.two")
    launch.module("tests/infra/test_a.py", gate("a.one"))
    launch.module("tests/infra/test_b.py", "pytest.importorskip('no_such_module')", gate("b.two"))

    seen = launch.run()

    assert seen.status == 4
    assert "no test carries the gate 'b.two'" in seen.words


def test_a_gate_without_any_parameters_to_try_is_missing(pytester: pytest.Pytester) -> None:
    launch, seen = ran(pytester, GOOD, uses="measure, count", marks="parametrize('count',[])")

    assert launch.outcomes == {"a.one@t3": "MISSING"}
    assert seen.status == 20


@pytest.mark.parametrize(
    "value", ["float('nan')", "float('inf')", "object()", "'\\udcff'", "{1: {2}}", "b'x'", "1j"]
)
def test_any_value_is_stored_as_json_that_everybody_can_read(pytester: pytest.Pytester, value: str) -> None:
    launch, seen = ran(pytester, f'measure("odd", {value}, is_true("here"))')

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    assert seen.status == 1
    json.loads((launch.reports / "go-no-go.json").read_text(), parse_constant=refuse)
    assert launch.outcomes == {"a.one@t3": "FAIL"}


def test_words_that_are_no_unicode_end_no_session(pytester: pytest.Pytester) -> None:
    """Bytes of a tool's output that are no UTF-8 arrive as lone surrogates."""
    launch, seen = ran(
        pytester,
        "evidence.text('out.txt', 'a \\udcff b')\nraise TargetError('it said \\udcff')",
        uses="measure, evidence",
    )

    assert seen.status == 1
    assert launch.gates["a.one@t3"]["reason"].startswith("it said ")


def test_what_a_fixture_measures_on_its_way_out_counts(pytester: pytest.Pytester) -> None:
    launch = Launch(pytester)
    launch.playbook(t3="a.one", t1="b.two")
    launch.write(
        "conftest.py",
        "import pytest\nfrom gonogo import at_least\n@pytest.fixture\ndef leaks(measure):\n    yield\n"
        "    measure('closed', 1, at_least(2, 'here'))\n",
    )
    launch.module("tests/infra/test_a.py", gate("a.one", uses="measure, leaks"), gate("b.two"))

    seen = launch.run()

    assert launch.outcomes == {"a.one@t3": "FAIL", "b.two@t1": "BLOCKED"}
    assert seen.status == 1


def test_a_fixture_may_be_asked_for_inside_a_gate(pytester: pytest.Pytester) -> None:
    body = "measure = request.getfixturevalue('measure')\n" + BAD
    launch, seen = ran(pytester, body, uses="request")

    assert launch.outcomes == {"a.one@t3": "FAIL"}
    assert seen.status == 1


@pytest.mark.parametrize("leave", ["raise SystemExit(0)", "import sys\nsys.exit()"])
def test_a_gate_that_leaves_the_process_is_an_error(pytester: pytest.Pytester, leave: str) -> None:
    launch, seen = ran(pytester, f"{GOOD}\n{leave}")

    assert launch.outcomes == {"a.one@t3": "ERROR"}
    assert seen.status == 20
