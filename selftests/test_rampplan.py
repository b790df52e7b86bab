"""`gonogo plan` says which step of a ramp can't conclude; the table refuses what can't be meant."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gate_runs import ROOT
from gonogo.cli import main
from gonogo.rampplan import inconclusive
from gonogo.statistics import samples_needed
from gonogo.tables.ramp import Ramp

GATES = ("ramp.10", "ramp.50", "ramp.100", "http.edge")
COMMAND: dict[str, Any] = {"command": ["shift", "{share}"]}


def said(*, users: bool = False, **keys: Any) -> list[str]:
    ramp = Ramp.model_validate({**COMMAND, **keys})
    return list(inconclusive(ramp, GATES, counts_users=users))


def test_the_playbook_s_own_ramp_can_not_conclude_with_fifty_requests_a_second_at_ten_percent() -> None:
    """50 RPS x 300 s x 10 % = 1,500, and 2,995 are needed."""
    (sentence,) = said(rps=50.0)

    assert sentence.startswith("ramp.10 can't conclude: 50 RPS for 300 s lead 1500 requests to the new release")
    assert "takes 2995 without one; hold it for 599 s" in sentence
    assert said(rps=100.0) == []


def test_a_weaker_proof_at_the_first_step_concludes() -> None:
    assert said(rps=50.0, steps=[{"share": 10, "proven_error_rate": 0.01}]) == []
    assert samples_needed(0.01) == 299


def test_with_users_nobody_knows_beforehand() -> None:
    sentences = said(users=True)

    assert [one.split()[0] for one in sentences] == ["ramp.10", "ramp.100", "ramp.50"]
    assert all("only if users bring it 9.98 requests a second" in one for one in sentences)


def test_our_own_rehearsal_concludes_at_each_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--root", str(ROOT)]) == 0
    out = capsys.readouterr().out

    assert "can't conclude" not in out
    assert "200 RPS for 15.75 s" in out


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ({"command": None}, "name one way to shift traffic"),
        ({"nginx": {"template": "t", "file": "f", "reload": ["r"]}}, "name one way"),
        ({"command": ["shift"]}, "an argument with {share}"),
        ({"steps": [{"share": 10}, {"share": 10}]}, "name a share twice"),
        ({"steps": [{"share": 20}]}, "10, 50 or 100"),
        ({"steps": [{"share": 10, "proven_error_rate": 0.0001}]}, "below max_error_rate"),
        ({"command": None, "nginx": {"template": "t", "file": "f", "reload": ["r"]}, "drain": ["d"]}, "goes with"),
        ({"command": None, "haproxy": {"api": "s", "backend": "b", "new": [], "old": ["o"]}}, "at least 1"),
    ],
)
def test_a_ramp_that_can_not_be_meant_is_refused(keys: dict[str, Any], word: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=word):
        Ramp.model_validate({**COMMAND, **keys})


def test_our_own_rehearsal_would_tell_a_release_that_is_slower_by_30_percent() -> None:
    """As the fault new-release-slower is: 390 ms where the earlier release takes 300 ms."""
    launch = tomllib.loads((ROOT / "launch.toml").read_text(encoding="utf-8"))
    ramp = Ramp.model_validate(launch["targets"]["rehearsal"]["ramp"])

    assert 300.0 * (1 + ramp.max_slower) + ramp.slack_ms < 0.97 * 390.0
