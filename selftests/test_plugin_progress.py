"""A long gate says on the terminal how it gets on: in place where lines can be rewritten, else now and then, never elsewhere."""

from __future__ import annotations

import os
import pty
import subprocess

import pytest

from plugin_example import GOOD, Launch, gate

BODY = f'for left in (9, 8, 7):\n    progress(f"75 RPS, {{left}} s left, secret-of-ours")\n{GOOD}'


def launched(pytester: pytest.Pytester) -> Launch:
    launch = Launch(pytester)
    launch.playbook(t3="load.long")
    launch.module("tests/load/test_a.py", gate("load.long", BODY, uses="measure, progress"))
    return launch


def test_where_lines_stay_it_is_said_now_and_then(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = launched(pytester)

    assert "s left" not in launch.run().words  # the gate took less than 30 s
    assert "s left" not in launch.run("-q").words
    monkeypatch.setattr("gonogo.terminal.SAID_EVERY_S", 0.0)
    seen = launch.run()

    said = [line.strip() for line in seen.out.splitlines() if "s left" in line]
    assert said == [f"running      load.long: 75 RPS, {left} s left, secret-of-ours" for left in (9, 8, 7)]
    assert seen.status == 0


def test_on_a_terminal_one_line_is_rewritten(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    ours, theirs = pty.openpty()
    done = subprocess.Popen(
        launch.command("-p", "no:cacheprovider"),
        cwd=launch.root,
        stdout=theirs,
        stderr=theirs,
        stdin=subprocess.DEVNULL,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65_536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)

    assert done.wait(60) == 0
    text = shown.decode()
    assert text.count("s left") == 3
    assert (
        "\n  running      load.long: 75 RPS, 8 s left" not in text
    )  # each begins with a return, not with a new line
    assert "\r  running      load.long: 75 RPS, 8 s left" in text
