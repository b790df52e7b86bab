"""What is kept of gates of the pages: pictures, a trace, logs; nothing of it tells who drives, or a secret."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fleet import Fleet, fleet
from fleetboard import accounts
from gate_calls import target_at
from gate_runs import run_gates
from gonogo.model import Outcome
from smoke_calls import browser_for, call_page

pytestmark = pytest.mark.slow

PLAN = """\
[launch]
project = "Evidence"
version = "1.0.0"

[targets.here]
kind = "disposable"
staging = "there"
base_url = "{base_url}"
resolver = "{resolver}"
ca_file = "{ca_file}"

[targets.here.smoke]
manager = {{ user = "mira", password = {{ env = "FIRST" }} }}
dispatcher = {{ user = "dan", password = {{ env = "SECOND" }} }}
viewer = {{ user = "vera", password = {{ env = "THIRD" }} }}
tenant = "rehearsal"
timeout_s = 4.0
moves_s = 3.0

[targets.there]
kind = "staging"
base_url = "https://nowhere.fleet.test"
"""
PASSWORDS = {
    "FIRST": "FLEETBOARD_MANAGER_PASSWORD",
    "SECOND": "FLEETBOARD_DISPATCHER_PASSWORD",
    "THIRD": "FLEETBOARD_VIEWER_PASSWORD",
}
SIGNED = ("Im1pcmEi", "ImRhbiI", "InZlcmEi")
"""How the values of session cookies begin: user names as JSON, in Base64."""
RED = {"smoke.tracking", "smoke.dispatch", "smoke.maintenance"}
GREEN = {"smoke.access", "smoke.api"}


@pytest.fixture(scope="module")
def up() -> Iterator[Fleet]:
    with fleet("--fault", "wrong-details,second-user-blind,schedule-wrong-date") as running:
        yield running


def _lists(up: Fleet) -> dict[str, list[str]]:
    with up.target.client() as client:
        return {
            path: sorted(str(one) for one in client.get(path, params={"limit": 500}).json()["items"])
            for path in ("/api/fleet/loads", "/api/fleet/maintenance")
        }


def _leave_behind(up: Fleet) -> None:
    """What a run that was killed may have made."""
    due = {"dueAt": "2027-06-01T08:00:00Z", "origin": "Depot North", "destination": "Turku", "weightKg": 10}
    day = (datetime.now(UTC) + timedelta(days=5)).date().isoformat()
    with contextlib.closing(target_at(up.info)) as target:
        password = up.info["env"][PASSWORDS["FIRST"]]
        with target.session("mira", password) as manager:
            load = manager.request(
                "POST", "/api/fleet/loads", json={"reference": "GONOGO-old", "cargo": "timber", **due}
            )
            record = {"vehicleId": "V-002", "kind": "tyres", "scheduledOn": day, "note": "GONOGO-old"}
            assert load.status == 201
            best = manager.get(f"/api/fleet/loads/{load.json()['id']}/recommendations").json()["items"][0][
                "vehicle"
            ]["id"]
            path = f"/api/fleet/loads/{load.json()['id']}/assignment"
            assert manager.request("POST", path, json={"vehicleId": best}).status == 200
            assert manager.request("POST", "/api/fleet/maintenance", json=record).status == 201


def _people(up: Fleet) -> list[str]:
    with up.target.client() as client:
        drivers = client.get("/api/fleet/drivers", params={"limit": 500}).json()["items"]
    names = [account.name for account in accounts.create()[0].accounts]
    return [*names, *(one["name"] for one in drivers), *(one["phone"] for one in drivers)]


def _texts(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Content of every file below a folder, members of archives for themselves."""
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "launch.toml" and "cache" not in path.parts:
            data = path.read_bytes()
            yield str(path), data
            if path.suffix == ".zip":
                with zipfile.ZipFile(io.BytesIO(data)) as archive:
                    yield from ((f"{path}:{name}", archive.read(name)) for name in archive.namelist())


def test_evidence_of_red_gates_helps_and_tells_nobody_s_secrets(
    up: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, variable in PASSWORDS.items():
        monkeypatch.setenv(name, up.info["env"][variable])
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(
            name, "http://127.0.0.1:9"
        )  # nothing of it stands before the target, or no gate is green
    (tmp_path / "launch.toml").write_text(PLAN.format(**up.info), encoding="utf-8")
    before = _lists(up)
    _leave_behind(up)
    chosen = f"({' or '.join(sorted(RED | GREEN))}) and not accessibility"
    arguments = [
        f"--gonogo-launch-file={tmp_path / 'launch.toml'}",
        "--gonogo-target=here",
        "-m",
        "phase3 and smoke",
    ]
    run = run_gates(tmp_path, *arguments, "-k", chosen)

    outcomes = {gate: result.outcome for gate, result in run.results.items()}
    assert outcomes == dict.fromkeys(RED, Outcome.FAIL) | dict.fromkeys(GREEN, Outcome.PASS), run.output
    for gate, result in run.results.items():
        names = {one.name for one in result.evidence}
        helps = {"trace.zip", "console.log", "network.log", "at-the-end.png"}
        assert helps & names == (helps if gate in RED else set()), gate
        assert [one for one in names if one.endswith(".png")] or gate == "smoke.api"
    assert _lists(up) == before

    secrets = [up.info["env"][variable] for variable in PASSWORDS.values()]
    texts = list(_texts(tmp_path))
    assert len(texts) > 30
    told = [
        (place, secret)
        for place, data in texts
        for secret in (*secrets, *SIGNED, *_people(up), "Authorization", "authorization")
        if secret.encode() in data
    ]
    assert told == []


@pytest.mark.parametrize("gate", ["smoke.dispatch", "smoke.maintenance", "smoke.api", "smoke.mobile"])
def test_on_production_without_a_tenant_only_reading_is_tried(gate: str, up: Fleet) -> None:
    before = _lists(up)
    with contextlib.closing(target_at(up.info, smoke={"tenant": None})) as target, browser_for(target) as browser:
        target.kind = "production"
        found = call_page(gate, target, browser)

    assert found.outcome is Outcome.INCONCLUSIVE, found.reason
    assert "was not tried: rehearsal is production and launch.toml names no smoke.tenant" in found.reason
    assert len(found.measurements) > 2
    assert _lists(up) == before


def test_a_trace_has_the_steps_and_the_page_at_their_end(
    tmp_path: Path, up: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, variable in PASSWORDS.items():
        monkeypatch.setenv(name, up.info["env"][variable])
    (tmp_path / "launch.toml").write_text(PLAN.format(**up.info), encoding="utf-8")
    arguments = [
        f"--gonogo-launch-file={tmp_path / 'launch.toml'}",
        "--gonogo-target=here",
        "-m",
        "phase3 and smoke",
    ]
    run_gates(tmp_path, *arguments, "-k", "smoke.tracking")

    (path,) = tmp_path.rglob("trace.zip")
    with zipfile.ZipFile(path) as archive:
        steps = [json.loads(line) for line in archive.read("trace.trace").decode().splitlines()]
        end = [json.loads(line) for line in archive.read("end.trace").decode().splitlines()]
    assert {"goto", "fill", "click"} <= {one.get("method") for one in steps}
    states = [one["snapshot"] for one in end if one["type"] == "frame-snapshot"]
    assert states
    assert '"data-personal": ""}, "\u2588\u2588\u2588"' in json.dumps(states, ensure_ascii=False)
