"""What gates tell beside their outcome: what they see as they go, that they failed before, pictures in the report."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gonogo.browser import refuse_unfit
from gonogo.errors import ToolError
from gonogo.model import Evidence, Outcome
from gonogo.report.facts import tries_of
from gonogo.report.html import render
from plugin_example import BAD, GOOD, Launch, gate
from sample_state import gate as state_of
from sample_state import sample, t3_phase

JPEG = b"\xff\xd8\xff small"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 400_000


def launched(pytester: pytest.Pytester, body: str, uses: str = "measure") -> Launch:
    launch = Launch(pytester)
    launch.playbook(t3="a.one")
    launch.module("tests/infra/test_a.py", gate("a.one", body, uses=uses))
    return launch


# ---------------------------------------------------------------------- seen and hide


def test_what_a_gate_sees_stands_under_a_line_that_names_it(pytester: pytest.Pytester) -> None:
    launch = launched(
        pytester, f'seen("240 markers,\\n240 vehicles")\nseen("all live")\n{GOOD}', uses="measure, seen"
    )
    lines = launch.run().out.splitlines()
    first = next(index for index, line in enumerate(lines) if line.split() == ["running", "a.one"])

    assert [line.strip() for line in lines[first + 1 : first + 3]] == ["240 markers, 240 vehicles", "all live"]
    assert lines[first + 3].split()[:2] == ["PASS", "a.one"]


def test_it_is_quiet_with_q_and_capture_makes_no_difference(pytester: pytest.Pytester) -> None:
    launch = launched(pytester, f'seen("all live")\nprint("mine")\n{GOOD}', uses="measure, seen")

    assert "all live" not in launch.run("-q").words
    for capture in ("fd", "sys", "no"):
        assert launch.run(f"--capture={capture}").words.count("all live") == 1


def test_a_gate_that_sees_nothing_has_its_one_line(pytester: pytest.Pytester) -> None:
    assert "running" not in launched(pytester, GOOD).run().out


def test_what_is_hidden_is_neither_shown_nor_stored(pytester: pytest.Pytester) -> None:
    body = 'hide("Ada Lovelace")\nseen("driven by Ada Lovelace")\nevidence.text("x.txt", "Ada Lovelace")\n'
    body += 'measure("driver", "Ada Lovelace", equals("nobody", "here"))'
    launch = launched(pytester, body, uses="measure, evidence, seen, hide")
    seen = launch.run()

    assert "driven by [redacted]" in seen.out
    assert "Lovelace" not in seen.words
    stored = b"".join(path.read_bytes() for path in launch.reports.rglob("*") if path.is_file())
    assert b"[redacted]" in stored
    assert b"Lovelace" not in stored


# ---------------------------------------------------------------------- ends early, failed before


def test_what_was_measured_bad_is_said_before_the_end_that_came_early(pytester: pytest.Pytester) -> None:
    launch = launched(pytester, f'{BAD}\nraise TargetError("the door is shut")')
    launch.run()

    reason = launch.gates["a.one@t3"]["reason"]
    assert reason.startswith("answers: 2;")
    assert reason.endswith("; then: the door is shut")


def test_a_pass_after_failures_is_shown_as_one(pytester: pytest.Pytester) -> None:
    launch = launched(pytester, BAD)
    launch.run()
    assert launch.gates["a.one@t3"]["failed_tries"] == 0
    assert "failed once in this launch before" in launch.run().out
    launch.module("tests/infra/test_a.py", gate("a.one", GOOD))
    seen = launch.run()

    assert "it failed 2 times in this launch before" in seen.out
    assert launch.outcomes == {"a.one@t3": "PASS"}
    assert launch.gates["a.one@t3"]["failed_tries"] == 2
    assert "passed after 2 failed tries" in (launch.reports / "go-no-go.html").read_text()
    assert "passed after 2 failed tries" in (launch.reports / "go-no-go.md").read_text()
    assert seen.status == 0


@pytest.mark.parametrize(
    ("outcome", "failed", "words"),
    [
        (Outcome.PASS, 0, ""),
        (Outcome.PASS, 1, "passed after 1 failed try"),
        (Outcome.FAIL, 3, "after 3 failed tries"),
    ],
)
def test_tries_in_words(outcome: Outcome, failed: int, words: str) -> None:
    state = dataclasses.replace(state_of("a.b", "t3", "T"), outcome=outcome, failed_tries=failed)

    assert tries_of(state) == words


# ---------------------------------------------------------------------- pictures in the report


def _kept(ledger: Path, name: str, data: bytes) -> Evidence:
    (ledger / name).write_bytes(data)
    return Evidence(name, name, hashlib.sha256(data).hexdigest())


def _page(tmp_path: Path, *evidence: Evidence) -> str:
    item = state_of("tls.certificate", "t3", "T", evidence=evidence)
    phase = dataclasses.replace(t3_phase(), gates=(item,))
    return render(sample(phases=(phase,)), tmp_path, tmp_path / "ledger")


def test_a_large_picture_is_shown_by_its_small_copy_at_its_gate_and_beside_its_box(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    ledger.mkdir()
    both = (_kept(ledger, "map.png", PNG), _kept(ledger, "map.preview.jpg", JPEG))
    page = _page(tmp_path, *both)

    assert page.count("data:image/jpeg;base64,") == 2
    assert page.count('href="ledger/map.png"') >= 2
    assert "map.preview.jpg" not in page
    assert len(page) < 200_000


def test_a_small_copy_that_was_changed_is_not_shown(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    ledger.mkdir()
    both = (_kept(ledger, "map.png", PNG), _kept(ledger, "map.preview.jpg", JPEG))
    (ledger / "map.preview.jpg").write_bytes(JPEG + b"!")

    assert "data:image/jpeg" not in _page(tmp_path, *both)
    (ledger / "map.preview.jpg").write_bytes(b"GIF89a")
    odd = Evidence("map.preview.jpg", "map.preview.jpg", hashlib.sha256(b"GIF89a").hexdigest())
    assert "data:image/jpeg" not in _page(tmp_path, both[0], odd)


# ---------------------------------------------------------------------- other browsers


def _target(**facts: Any) -> Any:
    return SimpleNamespace(**{"name": "t", "host": "app.test", "ca_file": None, "maps_names": False, **facts})


@pytest.mark.parametrize(
    ("facts", "path", "sentence"),
    [
        (
            {"ca_file": Path("/x/ca.pem")},
            __file__,
            "firefox can't be told to trust ca.pem, which launch.toml names",
        ),
        ({"maps_names": True}, __file__, "firefox can't be told where app.test is, for which launch.toml has"),
        ({}, "/nowhere/firefox", "firefox is not installed for Playwright; run `playwright install firefox`, or"),
    ],
)
def test_another_browser_that_can_t_look_at_a_target_says_why(
    facts: dict[str, Any], path: str, sentence: str
) -> None:
    browser: Any = SimpleNamespace(name="firefox", executable_path=path)

    with pytest.raises(ToolError) as raised:
        refuse_unfit(browser, [_target(**facts)])
    assert str(raised.value).startswith(sentence)
    assert "--browser chromium" in str(raised.value)


def test_another_browser_that_is_there_may_look_at_a_public_target() -> None:
    refuse_unfit(SimpleNamespace(name="webkit", executable_path=__file__), [_target()])  # type: ignore[arg-type]
