"""The session's test log, and what must never stand in any file under reports/."""

from __future__ import annotations

import html
from urllib.parse import quote

import pytest

from plugin_example import BAD, GOOD, SETTINGS, Launch, gate

SECRET = "tr0ub4dor&3/x"
TELLING = SECRET[:9]  # the part that no kind of escaping changes
ENCODED = quote(SECRET, safe="")


def test_the_log_has_columns_for_phase_gate_and_outcome(pytester: pytest.Pytester) -> None:
    launch = Launch(pytester)
    launch.playbook(t3="a.one", t1="a.two")
    launch.module("tests/infra/test_a.py", gate("a.one"), gate("a.two", BAD))
    launch.run()

    log = html.unescape((launch.reports / "session.html").read_text())

    for name in ("Phase", "Gate", "Outcome"):
        assert f'data-column-type="{name.lower()}">{name}</th>' in log.replace("\\", "")
    for cells in (("t3", "a.one", "PASS"), ("t1", "a.two", "FAIL")):
        assert all(f"<td>{cell}</td>" in log for cell in cells)


def test_the_reports_link_to_the_log(pytester: pytest.Pytester) -> None:
    launch = Launch(pytester)
    launch.playbook(t3="a.one")
    launch.module("tests/infra/test_a.py", gate("a.one"))
    launch.run()

    assert "session.html" in (launch.reports / "go-no-go.html").read_text()


@pytest.mark.parametrize(
    "end",
    [
        "pass",
        "assert False, url",
        "raise KeyError(url)",
        "raise TargetError(f'refused {url}')",
        "with subtests.test():\n    assert url == 'other'",
    ],
)
def test_the_databases_password_is_in_no_file_and_on_no_screen(pytester: pytest.Pytester, end: str) -> None:
    launch = Launch(
        pytester,
        SETTINGS.replace('"disposable"', '"staging"\nbase_url = "https://127.0.0.1:9"')
        + f'database_url = "postgresql://reader:{ENCODED}@127.0.0.1:9/fleet"\n',
    )
    launch.playbook(t3="a.one")
    body = (
        "import logging, sys, urllib.parse\nurl = urllib.parse.unquote(target.database_url) + target.database_url\n"
        "print(url)\nprint(url, file=sys.stderr)\nlogging.warning(url)\n"
        "measure('address', url, is_true('here'))\nevidence.text('address.txt', url)\n" + end
    )
    launch.module("tests/infra/test_a.py", gate("a.one", body, uses="target, measure, evidence, subtests"))

    seen = launch.run("--junitxml", "reports/pytest.xml", "--showlocals", "-rA", "-v")
    plain = launch.run()

    assert seen.status == plain.status == 1
    files = [path for path in launch.reports.rglob("*") if path.is_file()]
    assert len(files) > 8
    assert [path.name for path in files if TELLING in path.read_text(errors="replace")] == []
    assert TELLING not in seen.words
    assert TELLING not in plain.words


@pytest.mark.parametrize(
    "absent",
    ["html", "xdist", "terminal", "timeout", "cacheprovider", "logging", "junitxml", "capture", "subtests"],
)
def test_the_plugin_gets_along_without_its_peers(pytester: pytest.Pytester, absent: str) -> None:
    launch = Launch(pytester)
    launch.playbook(t3="a.one", t1="a.two")
    launch.module("tests/infra/test_a.py", gate("a.one"), gate("a.two"))

    seen = launch.run("-p", f"no:{absent}")

    assert seen.status == 0, seen.words
    assert launch.outcomes == {"a.one@t3": "PASS", "a.two@t1": "PASS"}
    assert (launch.reports / "session.html").exists() == (absent != "html")


def test_the_plugin_gets_along_with_all_of_them(pytester: pytest.Pytester) -> None:
    launch = Launch(pytester)
    launch.write("pytest.toml", '[pytest]\ntestpaths = ["tests"]\naddopts = ["-p", "no:locust"]\n')
    launch.playbook(t3="a.one")
    launch.module("tests/infra/test_a.py", gate("a.one"))

    seen = launch.apart()

    assert seen.status == 0, seen.words
    assert "playwright" in seen.out


@pytest.mark.parametrize("option", ["-q", "-qq", "-v", "--no-summary", "--tb=no", "--no-header"])
def test_less_or_more_words_change_nothing(pytester: pytest.Pytester, option: str) -> None:
    launch = Launch(pytester)
    launch.playbook(t3="a.one")
    launch.module("tests/infra/test_a.py", gate("a.one", GOOD))

    seen = launch.run(option)

    assert seen.status == 0
    assert ("answers: 3; required >= 3" in seen.out) == (option == "-v")
