"""The outbox: one file a message and channel, made before the message leaves."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gonogo.errors import LedgerError, ToolError
from gonogo.ledger import read_ledger
from gonogo.outbox import Letter, Outbox


def letter(outbox: Outbox, message: str = "go-live", channel: str = "company") -> Letter:
    """A message that was not sent yet."""
    name = outbox.name(message, channel, "Desk", "2.0", "production")
    return Letter(name, message, channel, "", "We are live", state="", run=outbox.run, at="")


def test_a_letter_says_sending_until_the_server_took_it(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, "run-1")
    first = letter(outbox)
    assert outbox.find(first.name) is None
    claimed = outbox.claim(first)
    found = Outbox(tmp_path, "run-2").find(first.name)
    assert found == claimed
    assert found is not None
    assert not found.sent
    assert outbox.sent(claimed).sent
    again = Outbox(tmp_path, "run-2").find(first.name)
    assert again is not None
    assert again.sent
    assert (again.run, again.text) == ("run-1", "We are live")
    assert [path.name for path in outbox.folder.iterdir()] == [f"{first.name}.json"]


def test_every_message_channel_and_launch_has_a_letter_of_its_own() -> None:
    outbox = Outbox(Path(), "run")
    names = {
        outbox.name("a", "b", "Desk", "2"),
        outbox.name("a", "c", "Desk", "2"),
        outbox.name("ab", "", "Desk", "2"),
        outbox.name("a", "b", "Desk", "3"),
        outbox.name("a", "b", "Desk2", ""),
    }
    assert len(names) == 5


def test_of_many_who_send_at_once_one_succeeds(tmp_path: Path) -> None:
    def claim(run: int) -> bool:
        outbox = Outbox(tmp_path, f"run-{run}")
        try:
            outbox.claim(letter(outbox))
        except ToolError as error:
            assert "is being sent by another run" in str(error)
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, range(40))) == 1


def test_a_refused_letter_may_be_tried_again_and_stays_on_record(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, "run-1")
    outbox.refused(outbox.claim(letter(outbox)))
    assert outbox.find(letter(outbox).name) is None
    later = Outbox(tmp_path, "run-2")
    later.sent(later.claim(letter(later)))
    assert len(list(outbox.folder.iterdir())) == 2


def test_letters_merge_by_copying_files_and_are_no_ledger_problem(tmp_path: Path) -> None:
    there, here = Outbox(tmp_path / "there", "run-1"), Outbox(tmp_path / "here", "run-2")
    there.sent(there.claim(letter(there)))
    shutil.copytree(there.folder, here.folder)
    found = here.find(letter(here).name)
    assert found is not None
    assert found.sent
    assert read_ledger(tmp_path / "here").problems == ()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"state": "sent"}', json.dumps({"strange": 1})])
def test_a_damaged_letter_is_never_taken_for_one_that_was_not_sent(tmp_path: Path, content: str) -> None:
    outbox = Outbox(tmp_path, "run")
    outbox.folder.mkdir()
    outbox.path(letter(outbox).name).write_text(content)
    with pytest.raises(LedgerError, match="not known whether"):
        outbox.find(letter(outbox).name)


def test_what_can_not_be_written_down_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "sent").write_text("a file where the folder should be")
    outbox = Outbox(tmp_path, "run")
    with pytest.raises(LedgerError, match="is not sent"):
        outbox.claim(letter(outbox))
