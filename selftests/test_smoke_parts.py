"""Parts of the smoke gates that need no browser: geometry, whose things may be changed, what is asked for."""

from __future__ import annotations

import random
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from gate_runs import ROOT
from gonogo.errors import InconclusiveError, ToolError
from gonogo.settings import LaunchFile
from gonogo.target import Target

if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

from tests.smoke.geometry import distance_m, misplaced, steady_line
from tests.smoke.own_things import PREFIX, OwnThings, not_tried, why_not_write
from tests.smoke.pages.asking import Asking
from tests.smoke.users import Users, names_in

TOWN = (60.17, 24.94)


def _town(count: int = 60) -> tuple[dict[str, tuple[float, float]], dict[str, tuple[float, float]]]:
    """Things in a town, and where a map of 1000 by 700 pixels shows them."""
    chance = random.Random(7)
    ground = {f"V-{n}": (TOWN[0] + chance.random() * 0.014, TOWN[1] + chance.random() * 0.03) for n in range(count)}
    screen = {
        name: ((lon - TOWN[1]) / 0.03 * 1000, 700 - (lat - TOWN[0]) / 0.014 * 700)
        for name, (lat, lon) in ground.items()
    }
    return ground, screen


def test_distances_are_metres() -> None:
    assert distance_m((60.0, 25.0), (60.0, 25.0)) == 0
    assert distance_m((60.0, 25.0), (61.0, 25.0)) == pytest.approx(111_195, rel=1e-3)
    assert distance_m((60.0, 25.0), (60.0, 26.0)) == pytest.approx(55_597, rel=1e-3)


def test_things_that_are_drawn_where_they_are_are_not_misplaced() -> None:
    ground, screen = _town()

    assert misplaced(ground, screen, 5.0) == []


def test_a_few_that_are_drawn_elsewhere_are_named() -> None:
    ground, screen = _town()
    wrong = {"V-3": (500.0, 20.0), "V-20": (0.0, 0.0), "V-41": (-4000.0, 9000.0)}
    away = {name: place for name, place in wrong.items() if abs(place[0] - screen[name][0]) > 150}

    assert set(misplaced(ground, screen | wrong, 150.0) or []) >= set(away)
    assert len(misplaced(ground, screen | wrong, 150.0) or []) <= 3


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_tell_no_scale(count: int) -> None:
    ground, screen = _town(count)

    assert misplaced(ground, screen, 5.0) is None


def test_all_at_one_place_tell_no_scale() -> None:
    ground, screen = _town()

    assert misplaced(ground, dict.fromkeys(screen, (640.0, 360.0)), 5.0) is None
    assert steady_line([(1.0, 2.0)] * 9) is None


def _users(kind: str, tenant: str | None, says: Any) -> Users:
    plan = {"kind": kind, "base_url": "https://a.test", "smoke": {} if tenant is None else {"tenant": tenant}}
    launch = LaunchFile.model_validate({"launch": {"project": "p", "version": "1"}, "targets": {"t": plan}})
    target = Target("t", launch.targets["t"], {}, "1")
    users = Users(lambda: None, target, None, lambda _: None, lambda _: None, sessions={})  # type: ignore[arg-type]
    answer = SimpleNamespace(json=lambda: says)
    users.api = lambda _who: SimpleNamespace(get=lambda _path: answer)  # type: ignore[assignment,method-assign,return-value]
    return users


@pytest.mark.parametrize(
    ("kind", "tenant", "says", "why"),
    [
        ("production", None, {"tenant": "x"}, "is production and launch.toml names no smoke.tenant"),
        ("production", "x", {"tenant": "y"}, "names the tenant x in smoke.tenant, and /api/session says y"),
        ("production", "x", {}, "says None"),
        ("production", "x", ["x"], "says None"),
        ("production", "x", {"tenant": "x"}, ""),
        ("staging", None, {}, ""),
        ("staging", "x", {"tenant": "y"}, "says y"),
        ("disposable", None, {}, ""),
    ],
)
def test_production_is_changed_for_the_named_tenant_alone(
    kind: str, tenant: str | None, says: Any, why: str
) -> None:
    found = why_not_write(_users(kind, tenant, says))

    assert (why in found) if why else not found
    assert isinstance(not_tried("assigning a load", found), InconclusiveError)


def test_an_account_that_the_plan_lacks_is_said() -> None:
    with pytest.raises(ToolError, match=r"targets\.t\.smoke\.viewer is missing; name an account for the gates"):
        _users("staging", None, {}).credentials("viewer")


@pytest.mark.parametrize(
    ("smoke", "sentence"),
    [
        (
            {"allow_requests": [{"origin": "http://a.test", "reason": "r"}]},
            "must be an encrypted origin without a path",
        ),
        (
            {"allow_requests": [{"origin": "https://a.test/x", "reason": "r"}]},
            "must be an encrypted origin without a path",
        ),
        (
            {"allow_requests": [{"origin": "https://u:p@a.test", "reason": "r"}]},
            "must be an encrypted origin without a path",
        ),
        ({"allow_requests": [{"origin": "https://a.test", "reason": ""}]}, "reason"),
        ({"allow_console": [{"pattern": ".*", "reason": "r"}]}, "matches every line"),
        ({"allow_console": [{"pattern": "(", "reason": "r"}]}, "is no regular expression"),
        ({"manager": {"user": "qa", "password": "in the file"}}, "password"),
        ({"sign_in": "sign-in"}, "must begin with a slash"),
    ],
)
def test_what_the_plan_may_not_say(smoke: dict[str, Any], sentence: str) -> None:
    targets = {"t": {"kind": "staging", "smoke": smoke}}

    with pytest.raises(ValidationError, match=sentence):
        LaunchFile.model_validate({"launch": {"project": "p", "version": "1"}, "targets": targets})


def test_what_gates_make_can_be_told_by_its_name() -> None:
    assert OwnThings.name().startswith(PREFIX)
    assert OwnThings.name() != OwnThings.name()
    assert OwnThings.load("GONOGO-1", weightKg=5) | {"dueAt": ""} == {
        "reference": "GONOGO-1", "cargo": "paper rolls", "weightKg": 5, "origin": "Central Station",
        "destination": "Kamppi", "dueAt": "",
    }  # fmt: skip


def test_drivers_are_found_wherever_the_api_tells_of_them() -> None:
    document = {
        "items": [
            {"vehicle": {"driver": {"id": "D-1", "name": "Ada L", "phone": "+358 1"}}},
            {"driver": {"name": "Bob"}},
            {"driver": None},
        ]
    }

    assert names_in(document) == {"Ada L", "+358 1", "Bob"}


def test_addresses_of_somebody_else_are_named_without_their_query() -> None:
    class Context:
        def add_init_script(self, _script: str) -> None: ...
        def on(self, _event: str, _handler: Any) -> None: ...

    asking = Asking(Context())  # type: ignore[arg-type]
    asking._addresses = {
        "https://app.test:8443/a?b=c", "wss://app.test:8443/ws", "data:image/png;base64,x", "blob:https://app.test:8443/1",
        "https://tiles.test/1?key=s3cret", "ws://app.test:8443/ws", "http://localhost:3000/x?token=s3cret", "about:blank",
    }  # fmt: skip

    assert asking.elsewhere("https://app.test:8443", ["https://tiles.test"]) == [
        "http://localhost:3000/x",
        "ws://app.test:8443/ws",
    ]
