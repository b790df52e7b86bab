"""What the plugin keeps on pytest's own objects, by typed keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from gonogo.model import Ask, Evidence, Measurement, Outcome

if TYPE_CHECKING:
    from gonogo.ledger import Redactor
    from gonogo.targets import Targets
    from gonogo.terminal import Progress

ASK = pytest.StashKey[Ask]()
"""On an item: the gate and phase that it answers."""
TRIES = pytest.StashKey[int]()
"""On an item: how many items answer the same ask, itself and those that are not selected included."""
MEASUREMENTS = pytest.StashKey[list[Measurement]]()
"""On an item: what it measured so far."""
EVIDENCE = pytest.StashKey[list[Evidence]]()
"""On an item: what it kept so far."""
OUTCOME = pytest.StashKey[tuple[Outcome, str]]()
"""On an item: outcome and reason, once they are known."""
TARGETS: pytest.StashKey[Targets] = pytest.StashKey()
"""On the configuration, while gates run: the session's targets."""
KEEP: pytest.StashKey[Callable[[Ask, str, bytes], Evidence]] = pytest.StashKey()
"""On the configuration, while gates run: puts a file into the ledger."""
REDACT: pytest.StashKey[Redactor] = pytest.StashKey()
"""On the configuration, while gates run: takes secrets and names of people out of whatever is stored or shown."""
PROGRESS: pytest.StashKey[Progress] = pytest.StashKey()
"""On the configuration, while gates run in a terminal: writes their lines."""
