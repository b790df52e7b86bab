"""Which messages were sent, so that none is sent twice: ``sent/`` in the ledger's folder.

A message to a channel has one file, which is made before the message leaves and says how it ended
afterwards. If it still says ``sending``, nobody knows whether the message left, and a person has to look.
A message that was certainly refused gives its name free again, and its file is kept under another one.
Ledgers merge by copying files, and so do these: a message that somebody else sent counts as sent.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from gonogo.errors import LedgerError, ToolError

FOLDER = "sent"
_SENDING, _SENT = "sending", "sent"


@dataclass(frozen=True)
class Letter:
    """One message to one channel."""

    name: str
    """Of its file, without the suffix; the same for the same message of the same launch."""
    message: str
    channel: str
    subject: str
    text: str
    """As it was sent: later templates may say something else."""
    state: str
    run: str
    at: str
    """When it was tried, in UTC."""
    before: int = 0
    """How many copies the receiver had before."""

    @property
    def sent(self) -> bool:
        """Whether the server of the channel took it."""
        return self.state == _SENT


class Outbox:
    """The letters of all launches of one ledger."""

    def __init__(self, ledger: Path, run: str, failed: Sequence[str] = ()) -> None:
        self.folder = ledger / FOLDER
        self.run = run
        """The run that sends now."""
        self.failed = tuple(failed)
        """Gates of the phases before this one that are FAIL in the ledger, this run included, and not waived."""

    def name(self, message: str, channel: str, *launch: str) -> str:
        """Name of a letter: the same message of the same ``launch`` (project, version, target...) has one only."""
        digest = hashlib.sha256(json.dumps([message, channel, *launch]).encode()).hexdigest()
        return f"{message}-{digest[:16]}"

    def path(self, name: str) -> Path:
        """Where a letter is kept."""
        return self.folder / f"{name}.json"

    def find(self, name: str) -> Letter | None:
        """A letter that was sent, or may have been; ``None`` if it was not.

        Raises:
            LedgerError: the file can't be read, so it is not known.
        """
        path = self.path(name)
        try:
            return Letter(**{"name": name, **json.loads(path.read_text(encoding="utf-8"))})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise LedgerError(
                f"{path} can't be understood ({error}), so it is not known whether this message was sent: look in "
                "the channel, and put the original back"
            ) from None

    def claim(self, letter: Letter) -> Letter:
        """Write down that a message is about to leave; of several who try, one alone succeeds.

        Raises:
            ToolError: somebody else sends it right now.
            LedgerError: it can't be written down, so it must not be sent.
        """
        claimed = replace(letter, state=_SENDING, run=self.run, at=datetime.now(UTC).isoformat(timespec="seconds"))
        path = self.path(letter.name)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._refuse(error)
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(_content(claimed))
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            raise ToolError(
                f"message {letter.message!r} to {letter.channel} is being sent by another run ({path.name} has "
                "just appeared); wait for that run, and start this one again"
            ) from None
        except OSError as error:
            self._refuse(error)
        return claimed

    def sent(self, letter: Letter) -> Letter:
        """Write down that the channel took it.

        Raises:
            LedgerError: it can't be written.
        """
        done = replace(letter, state=_SENT)
        try:
            beside = self.folder / f".{letter.name}.{self.run}"
            beside.write_text(_content(done), encoding="utf-8")
            beside.replace(self.path(letter.name))
        except OSError as error:
            self._refuse(error)
        return done

    def refused(self, letter: Letter) -> None:
        """Write down that it certainly did not leave: it may be tried again, in another run.

        Raises:
            LedgerError: it can't be written.
        """
        try:
            self.path(letter.name).rename(self.folder / f"{letter.name}.refused-{self.run}.json")
        except OSError as error:
            self._refuse(error)

    def _refuse(self, error: OSError) -> NoReturn:
        raise LedgerError(
            f"{self.folder} can't be written ({error.strerror}), and what can't be written down is not sent; free "
            "space or mend its permissions"
        ) from None


def _content(letter: Letter) -> str:
    fields = asdict(letter)
    del fields["name"]
    return json.dumps(fields, indent=2, ensure_ascii=False) + "\n"
