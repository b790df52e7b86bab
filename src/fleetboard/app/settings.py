"""What the supervisor tells an application process."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from fleetboard.accounts import Directory

VARIABLE = "FLEETBOARD_APP"
"""Environment variable that carries the settings: other users can't read it, as they could an argument."""


@dataclass(frozen=True)
class Settings:
    """Settings of one process."""

    instance: str
    """Its name: ``a`` or ``b``."""
    listen_fd: int
    """A listening socket, inherited."""
    ready_fd: int
    """Closed after one byte when it serves; end of file without a byte means that it died."""
    database_url: str
    faults: tuple[str, ...]
    version: str
    commit: str
    features: tuple[str, ...] = ()
    """What this release shows beyond the one before."""
    directory: Directory = field(default_factory=Directory)
    """Who may sign in."""

    def to_json(self) -> str:
        """The form that travels in the environment."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Read it back."""
        data = json.loads(text)
        faults, features = tuple(data["faults"]), tuple(data["features"])
        directory = Directory.from_dict(data["directory"])
        return cls(**{**data, "faults": faults, "features": features, "directory": directory})
