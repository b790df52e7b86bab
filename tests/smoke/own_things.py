"""What gates make at the target: told apart by their names, and taken away again by the API."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.smoke.fleet_api import Item, read_all
from tests.smoke.users import MANAGER, Users

from gonogo import InconclusiveError, Measure, TargetError, empty

if TYPE_CHECKING:
    from gonogo.probes.http import HttpFacts, HttpProbe

PREFIX = "GONOGO-"
"""References of loads and notes of records begin so, by which leftovers of a run that was killed are known."""
REMOVED = "what gates create they remove"


class OwnThings:
    """Loads and records that gates made."""

    def __init__(self, users: Users) -> None:
        """Prepares; nothing is made yet. The manager tidies up, as nobody else may remove everything."""
        smoke = users.target.settings("smoke")
        self.client: HttpProbe = users.api(MANAGER)
        self._loads, self._records = smoke.loads, smoke.records
        self._made: set[str] = set()

    @staticmethod
    def name() -> str:
        """A reference or note that is only ours."""
        return f"{PREFIX}{secrets.token_hex(4)}"

    @staticmethod
    def load(reference: str, **other: Any) -> dict[str, Any]:
        """Fields of a load that nearly any vehicle can take, due in three days."""
        due = (datetime.now(UTC) + timedelta(days=3)).replace(hour=12, minute=0, second=0, microsecond=0)
        usual = {"cargo": "paper rolls", "weightKg": 900, "origin": "Central Station", "destination": "Kamppi"}
        return {"reference": reference, **usual, "dueAt": due.isoformat().replace("+00:00", "Z"), **other}

    def remember(self, answer: HttpFacts, path: str) -> Item:
        """Notes what an answer says that was made; empty if it says nothing of the kind."""
        with contextlib.suppress(TargetError):
            document = answer.json()
            if isinstance(document, dict) and answer.status in (200, 201) and document.get("id"):
                self._made.add(f"{path}/{document['id']}")
                return document
        return {}

    def make_load(self, client: HttpProbe) -> Item:
        """A load of ours, waiting for a vehicle.

        Raises:
            TargetError: the API refuses it.
        """
        answer = client.request("POST", self._loads, json=self.load(self.name()))
        found = self.remember(answer, self._loads)
        if not found:
            raise TargetError(f"POST {self._loads} answered HTTP {answer.status}, so there is no load to assign")
        return found

    def sweep(self) -> list[str]:
        """Removes all that is ours, of this run and of earlier ones; returns what is there afterwards."""
        for path in sorted(self._paths() | self._made):
            if path.startswith(f"{self._loads}/"):
                self.client.request("DELETE", f"{path}/assignment")
            self.client.request("DELETE", path)
        left = self._paths() | {path for path in self._made if self.client.get(path).status == 200}
        self._made.clear()
        return sorted(left)

    def _paths(self) -> set[str]:
        loads = read_all(self.client, self._loads, status="planned")
        records = read_all(self.client, self._records, status="planned")
        ours = {f"{self._loads}/{one['id']}" for one in loads if _ours(one.get("reference"))}
        return ours | {f"{self._records}/{one['id']}" for one in records if _ours(one.get("note"))}


@contextlib.contextmanager
def own_things(users: Users, measure: Measure) -> Iterator[OwnThings]:
    """Things of a gate's own: leftovers go before, and what it made goes afterwards, however it ends.

    Raises:
        TargetError: leftovers can't be told, or not be removed.
    """
    things = OwnThings(users)
    if left := things.sweep():
        raise TargetError(f"what an earlier run made can't be removed: {', '.join(left)}")
    try:
        yield things
    finally:
        try:
            left = things.sweep()
        except TargetError as error:
            left = [f"unknown, as {error}"]
        measure("left behind", left, empty(REMOVED))


def why_not_write(users: Users) -> str:
    """Why the gates must not change anything at this target; empty if they may.

    Raises:
        TargetError: the session does not say whose data it is.
    """
    target = users.target
    smoke = target.settings("smoke")
    if target.kind == "production" and smoke.tenant is None:
        return (
            f"{target.name} is production and launch.toml names no smoke.tenant, so nothing was changed there; "
            f"name the tenant whose data the gates may change"
        )
    if smoke.tenant is None:
        return ""
    found = users.api(MANAGER).get(smoke.session).json()
    says = found.get("tenant") if isinstance(found, dict) else None
    if says == smoke.tenant:
        return ""
    return (
        f"launch.toml names the tenant {smoke.tenant} in smoke.tenant, and {smoke.session} says {says}, so nothing "
        f"was changed there; name an account of that tenant"
    )


def not_tried(what: str, why: str) -> InconclusiveError:
    """The end of a gate whose flows that write must not run."""
    return InconclusiveError(f"{what} was not tried: {why}")


def _ours(text: Any) -> bool:
    return isinstance(text, str) and text.startswith(PREFIX)
