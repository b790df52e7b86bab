"""Load is sent only where it may be: nothing reaches a sink that counts, unless somebody said so by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import servers
from gate_calls import Called, call, gates, load_run
from gonogo.model import Outcome
from gonogo.settings import LaunchFile
from gonogo.target import Target

HEALTH = servers.answer(b'{"status": "healthy"}', headers="Content-Type: application/json")


def called(
    tmp_path: Path,
    url: str,
    kind: str,
    *,
    armed: tuple[str, ...] = (),
    load: dict[str, Any] | None = None,
    others: dict[str, Any] | None = None,
) -> Called:
    """The gate on a target of this kind, with what else the plan has."""
    settings = {"rps": 60.0, "duration_s": 0.5, "warmup_s": 0.0, "requests": [{"path": "/"}], **(load or {})}
    one = {"kind": kind, "base_url": url, "http": {}, "load": settings}
    launch = LaunchFile.model_validate(
        {"launch": {"project": "p", "version": "1.0.0"}, "targets": {"it": one, **(others or {})}}
    )
    target = Target("it", launch.targets["it"], {}, "1.0.0", root=tmp_path, plan=launch, armed=armed)
    try:
        return call(gates()["load.throughput"], target, load_run=load_run(target, "load.throughput"))
    finally:
        target.close()


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        pytest.param("production", {}, "a production target; prove it on staging", id="unarmed"),
        pytest.param(
            "production", {"armed": ("deploy", "alerts")}, "or say --gonogo-arm load", id="armed for else"
        ),
        pytest.param(
            "production",
            {"armed": ("load",), "load": {"requests": [{"path": "/a", "method": "POST"}]}},
            "a production target is not written to",
            id="writes",
        ),
        pytest.param(
            "staging",
            {"others": {"live": {"kind": "production", "base_url": "https://localhost"}}},
            "resolves to 127.0.0.1, which is an address of live, a production target",
            id="address",
        ),
        pytest.param(
            "disposable",
            {"others": {"live": {"kind": "production", "base_url": "https://127.0.0.1:8443"}}},
            "127.0.0.1 is the host of live, a production target",
            id="host",
        ),
        pytest.param(
            "staging",
            {
                "others": {
                    "live": {
                        "kind": "production",
                        "base_url": "https://app.fleet.test",
                        "address": {"app.fleet.test": "127.0.0.1"},
                    }
                }
            },
            "is an address of live",
            id="address that only the plan knows",
        ),
    ],
)
def test_nothing_is_sent_where_load_may_not_go(
    tmp_path: Path, kind: str, options: dict[str, Any], said: str
) -> None:
    ca = servers.authority(tmp_path)
    context = ca.context("127.0.0.1") if kind == "production" else None
    with servers.serve(HEALTH, context) as sink:
        url = sink.url.replace("http:", "https:") if context else sink.url
        found = called(tmp_path, url, kind, **options)

    assert found.outcome is Outcome.ERROR
    assert said in found.reason
    assert sink.accepted == []


@pytest.mark.parametrize(("file", "said"), [("none.py", "no file"), ("*.txt", "odd.txt, which is no Python file")])
def test_a_file_of_the_team_that_locust_can_not_read_is_told_before_the_load(
    tmp_path: Path, file: str, said: str
) -> None:
    (tmp_path / "odd.txt").touch()
    with servers.serve(HEALTH) as sink:
        found = called(tmp_path, sink.url, "staging", load={"hooks": [file]})

    assert found.outcome is Outcome.ERROR
    assert found.reason == f"launch.toml: targets.it.load.hooks: {file!r} leads to {said}"
    assert len(sink.accepted) == 1  # the look at health


@pytest.mark.parametrize(
    "options",
    [
        {"others": {"live": {"kind": "production", "base_url": "https://no-such-host.invalid"}}},
        {
            "others": {"live": {"kind": "production", "base_url": "https://localhost"}},
            "load": {"shared_with": ["live"]},
        },
    ],
    ids=["production is not there yet", "shared on purpose"],
)
def test_a_staging_target_of_its_own_is_loaded(tmp_path: Path, options: dict[str, Any]) -> None:
    with servers.serve(HEALTH) as sink:
        found = called(tmp_path, sink.url, "staging", **options)

    assert found.outcome is Outcome.INCONCLUSIVE, found.reason  # half a second proves no error rate
    assert "needs 2965 more samples" in found.reason
    assert len(sink.accepted) > 1
