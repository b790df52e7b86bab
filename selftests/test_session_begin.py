"""A session that never gets to its gates leaves no run behind."""

from __future__ import annotations

import pytest

from plugin_example import Launch, gate


def launched(pytester: pytest.Pytester) -> Launch:
    launch = Launch(pytester)
    launch.playbook(t3="tls.certificate")
    launch.module("tests/infra/test_tls.py", gate("tls.certificate"))
    assert launch.run().status == 0
    return launch


def test_a_wrong_marker_takes_no_result_with_it(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    launch = launched(pytester)

    assert launch.run("-m", "t3 and (").status == 4

    assert len(launch.runs()) == 1
    assert len(list((launch.ledger / "evidence").iterdir())) == 1
    assert launch.gonogo(capsys, "verdict").status == 0


def test_a_broken_module_takes_no_result_with_it(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    launch = launched(pytester)
    launch.write("tests/infra/test_broken.py", "import there_is_no_such_module\n")

    assert launch.run().status == 2

    assert len(launch.runs()) == 1
    assert launch.gonogo(capsys, "verdict").status == 0


def test_a_typo_in_a_box_names_the_box_first(pytester: pytest.Pytester) -> None:
    launch = launched(pytester)
    launch.playbook(t3="tls.certificat")

    seen = launch.run()

    assert seen.status == 4
    first = seen.words.index("no test carries the gate 'tls.certificat'; known are tls.certificate")
    assert first < seen.words.index("is asked for by no box")
