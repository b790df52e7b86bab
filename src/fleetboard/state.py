"""What a running target tells the team's commands: one private file that ``FLEETBOARD_STATE`` leads to."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from fleetboard.errors import OperationError

STATE = "FLEETBOARD_STATE"
"""Environment variable with the path of the file."""

BACKUPS = "FLEETBOARD_BACKUPS"
"""Environment variable with the folder of the dumps."""

LOGS = "FLEETBOARD_LOGS"
"""Environment variable with the folder of the logs."""


@dataclass(frozen=True)
class State:
    """One running target, as its operators know it. The file holds passwords: mode 0600."""

    database_url: str
    """The owner's."""
    admin_url: str
    """The superuser's, to the database ``postgres``."""
    bin: str
    """Folder of the server's programs."""
    backups: str
    control: str
    """Socket on which the supervisor takes requests."""
    faults: tuple[str, ...]
    release: str
    """Version that was deployed last."""
    instances: dict[str, str]
    """Loopback address, ``host:port``, of each application process."""

    def write(self, path: Path) -> None:
        """Replace the file in one step: a reader sees the old state or the new one."""
        new = path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(json.dumps(asdict(self)), encoding="utf-8")
        new.replace(path)


def read() -> State:
    """The target that ``FLEETBOARD_STATE`` leads to.

    Raises:
        OperationError: the variable is not set, or its file is not there or not ours.
    """
    path = os.environ.get(STATE)
    if not path:
        raise OperationError(
            f"{STATE} is not set; it must be the path that 'python -m fleetboard up --json' prints below 'env'"
        )
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        return State(**{**data, "faults": tuple(data["faults"])})
    except OSError as error:
        raise OperationError(f"{STATE}: {path} can't be read ({error.strerror}); is the target up?") from error
    except (ValueError, TypeError, KeyError) as error:
        raise OperationError(f"{STATE}: {path} is not the state of a target") from error


@contextlib.contextmanager
def alone(state: State) -> Iterator[None]:
    """Nobody else deploys or rolls this target back inside.

    Raises:
        OperationError: somebody does already.
    """
    with Path(state.control).with_name("operation.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OperationError(
                "another deployment or rollback of this target is under way; wait until it has ended"
            ) from None
        yield


def faults_of_target() -> tuple[str, ...]:
    """Faults of the running target; none if there is no target to ask."""
    return read().faults if os.environ.get(STATE) else ()
