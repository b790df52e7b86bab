"""Fixtures that gates use: ``target``, ``measure``, ``evidence``, ``seen`` and others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from gonogo.bounds import Bound, measurement
from gonogo.keys import ASK, EVIDENCE, KEEP, MEASUREMENTS, PROGRESS, REDACT, TARGETS
from gonogo.model import Ask, Measurement

if TYPE_CHECKING:
    from gonogo.outbox import Outbox
    from gonogo.scratch import Scratch
    from gonogo.target import Target


class Measure(Protocol):
    """States one fact of a gate, held against one bound."""

    def __call__(self, name: str, actual: Any, bound: Bound, *, unit: str = "", n: int = 1) -> Measurement:
        """Take a measurement; never raises for a bad value, which is judged after the test's body.

        Args:
            name: what was measured, in words.
            actual: the value; JSON-able.
            bound: what it must be, with the place that the bound comes from.
            unit: unit of ``actual`` and the bound, e.g. ``ms``.
            n: how many samples stand behind ``actual``; 0 proves nothing.
        """


class Seen(Protocol):
    """Tells whoever watches the session what a gate saw."""

    def __call__(self, text: str) -> None:
        """Print a short line under the gate that runs.

        Args:
            text: what was seen, with its numbers, e.g. ``240 markers, 240 vehicles in the API``.
        """


class Hide(Protocol):
    """Keeps a text that nobody else should read out of everything that is stored or shown."""

    def __call__(self, text: str | None) -> None:
        """Take a text out of evidence, measurements and lines, by value, from now on.

        Args:
            text: a password, a cookie, a person's name; shorter than four characters it stays.
        """


class EvidenceKeeper:
    """Keeps files in the ledger so that another person can judge."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item

    def bytes(self, name: str, data: bytes) -> None:
        """Keep a file; secrets of the target are taken out by value."""
        kept = self._item.config.stash[KEEP](self._item.stash[ASK], name, data)
        self._item.stash.setdefault(EVIDENCE, []).append(kept)

    def text(self, name: str, text: str) -> None:
        """Keep a text as UTF-8."""
        # What a tool printed may hold bytes that are no UTF-8; they are kept as escapes.
        self.bytes(name, text.encode(errors="backslashreplace"))

    def json(self, name: str, value: Any) -> None:
        """Keep plain data as indented JSON."""
        self.text(name, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


@pytest.fixture
def gonogo_ask(request: pytest.FixtureRequest) -> Ask:
    """The gate and phase that this run of the test answers."""
    ask: Ask | None = getattr(request, "param", None)
    if ask is None:
        pytest.fail(
            f"{request.node.nodeid}: this fixture is for gates; add @pytest.mark.gate('area.name')", pytrace=False
        )
    return ask


@pytest.fixture
def measure(request: pytest.FixtureRequest, gonogo_ask: Ask) -> Measure:  # noqa: ARG001 - only gates are judged
    """States facts: ``measure("days left", 90, at_least(21, source), unit="d")``."""
    taken: list[Measurement] = request.node.stash.setdefault(MEASUREMENTS, [])

    def take(name: str, actual: Any, bound: Bound, *, unit: str = "", n: int = 1) -> Measurement:
        taken.append(measurement(name, actual, bound, unit=unit, n=n))
        return taken[-1]

    return take


@pytest.fixture
def evidence(request: pytest.FixtureRequest, gonogo_ask: Ask) -> EvidenceKeeper:  # noqa: ARG001 - only gates
    """Keeps files: ``evidence.text("chain.pem", pem)``."""
    return EvidenceKeeper(request.node)


@pytest.fixture
def seen(request: pytest.FixtureRequest, gonogo_ask: Ask) -> Seen:
    """Prints what a gate sees as it goes: ``seen("240 markers, 240 vehicles in the API")``; nothing with ``-q``."""
    progress = request.config.stash.get(PROGRESS, None)

    def tell(text: str) -> None:
        if progress is not None:
            progress.seen(gonogo_ask, text)

    return tell


@pytest.fixture
def hide(request: pytest.FixtureRequest, gonogo_ask: Ask) -> Hide:  # noqa: ARG001 - only gates are judged
    """Keeps a text out of everything that is stored: ``hide(driver_name)``."""

    def take_out(text: str | None) -> None:
        request.config.stash[REDACT].add(text)

    return take_out


@pytest.fixture
def outbox(request: pytest.FixtureRequest, gonogo_ask: Ask) -> Outbox:
    """Which messages were sent in this launch, so that none is sent twice."""
    return request.config.stash[TARGETS].outbox(gonogo_ask.phase)


@pytest.fixture
def scratch(request: pytest.FixtureRequest, gonogo_ask: Ask) -> Scratch:
    """A PostgreSQL server for scratch databases, of the same major version as the target's."""
    return request.config.stash[TARGETS].scratch(gonogo_ask.on)


@pytest.fixture
def target(request: pytest.FixtureRequest, gonogo_ask: Ask) -> Target:
    """The target that this gate is asked of; brought up when the first gate needs it."""
    return request.config.stash[TARGETS].get(gonogo_ask.on)
