"""The rehearsal with nothing of it running but its source: what the gates of release and plan look at."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fleetboard import generators, source
from gate_calls import target_at
from gate_runs import ROOT
from gonogo.completeness import variables
from gonogo.target import Target


def named_variables() -> dict[str, str]:
    """A value for each variable of launch.toml, as the other parts of the target would give it."""
    text = (ROOT / "launch.toml").read_text(encoding="utf-8")
    return dict.fromkeys([*variables(text), *re.findall(r'\benv = "(\w+)"', text)], "127.0.0.1:9")


def target_with(folder: Path, *faults: str, **change: Any) -> Target:
    """The rehearsal with a source that has these faults; ``change`` are keys that differ from the file's."""
    commit = source.make(folder / "source", faults)
    env = named_variables() | {source.SOURCE: str(folder / "source"), source.COMMIT: commit}
    env[generators.HOOKS] = str(generators.SAMPLE)
    target = target_at({"base_url": "https://app.fleet.test", "env": env}, change=change)
    target.reports = folder / "reports"
    return target
