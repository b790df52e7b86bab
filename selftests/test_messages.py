"""Templates of messages: what fills them in, what was forgotten, what they point to; and what launch.toml refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonogo.errors import PlanError
from gonogo.launchfile import load_launch_file
from gonogo.messages import Draft, copies, fill, gaps, links, placeholders, unknown


def test_placeholders_are_filled_in_and_doubled_braces_are_braces() -> None:
    assert (
        fill("{project} {version}: {{ok}} {project}\n\n", {"project": "Desk", "version": "2"})
        == "Desk 2: {ok} Desk"
    )
    assert placeholders("{b} {a} {b}") == ("b", "a")
    assert unknown("{a} {b}", ["a"]) == ("b",)


@pytest.mark.parametrize("text", ["{project", "project}", "{}", "{0}", "{a.b}", "{a[0]}", "{a!r}", "{a:>9}", "{A}"])
def test_braces_that_are_no_placeholder_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        placeholders(text)


def test_what_nothing_fills_in_is_named() -> None:
    with pytest.raises(ValueError, match=r"nothing fills in \{reason\}; known are project"):
        fill("{reason}", {"project": "Desk"})


@given(st.text(), st.text())
def test_values_are_taken_as_they_are(value: str, other: str) -> None:
    assert fill("<{a}|{b}>", {"a": value, "b": other}) == f"<{value}|{other}>"


@pytest.mark.parametrize(
    "text",
    [
        "Launch at TBD", "TODO: thank them", "User guide: [link]", "Call [Phone]", "write to [insert name here]",
        "https://app.yourdomain.com/x", "support@your-company.com", "see https://docs.example.com", "Lorem ipsum",
        "dear <name>", "by {reason}", "at $LAUNCH_URL", "reason: ____", "who? ???", "[...]", "[ your team ]",
    ],
)  # fmt: skip
def test_gaps_are_found(text: str) -> None:
    assert len(gaps(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "The desk is live at https://desk.test/a_b?c=[1]", "[guide](https://desk.test/guide)", "It costs $5, not $10.",
        "[Desk] live", "Everybody: your app is live", "a_b and __init__", "What? Really?", "<https://desk.test>",
        "your domain knowledge", "todos and the examples", "1 < 2 > 0", "Ask in #link",
    ],
)  # fmt: skip
def test_ordinary_text_has_no_gaps(text: str) -> None:
    assert gaps(text) == []


def test_links_lose_the_punctuation_around_them_and_are_named_once() -> None:
    text = "See https://a.test/x. (Or https://a.test/y_(z), <http://b.test>!) *https://a.test/x* mailto:c@d.test"
    assert links(text) == ["https://a.test/x", "https://a.test/y_(z)", "http://b.test"]


def test_copies_are_counted_whatever_form_the_receiver_lists_them_in() -> None:
    text = "We are live!\nOpen: https://a.test/"
    listed = [
        {"body": {"message": "We are live!\r\nOpen:  https://a.test/\r\n"}},
        "first We are live! Open: https://a.test/ last",
        {"body": ["We are live!", 3, None]},
    ]
    assert copies(listed, text) == 2
    assert copies({"ok": True, "messages": listed}, text) == 2
    assert copies([], text) == 0


@pytest.mark.parametrize("strange", ["We are live!", None, 3, {"a": [1], "b": []}, {"error": "no"}])
def test_what_is_no_list_of_messages_is_no_empty_list(strange: object) -> None:
    with pytest.raises(ValueError, match="no list"):
        copies(strange, "We are live!")


def test_a_mark_stands_at_the_beginning_of_all_that_is_read_first() -> None:
    assert Draft("a", ("x",), "S", "T").marked("Exercise: ").whole == "Exercise: S\n\nExercise: T"
    assert Draft("a", ("x",), "", "T").marked("Exercise: ").whole == "Exercise: T"


# ------------------------------------------------------------------ launch.toml

GOOD = """
[launch]
project = "Desk"
version = "2"
[targets.here]
kind = "disposable"
base_url = "https://desk.test"
[targets.here.notify]
channels = { launch = { env = "LAUNCH_CHANNEL" } }
messages = [{ id = "start", when = "preparation", to = ["launch"], text = "{project} begins" }]
"""


def refused(folder: Path, before: str, after: str) -> str:
    """The sentence about launch.toml with one thing changed."""
    assert before in GOOD
    (folder / "launch.toml").write_text(GOOD.replace(before, after))
    with pytest.raises(PlanError) as caught:
        load_launch_file(folder / "launch.toml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("{project}", "{reason}", "message 'start': nothing fills in {reason}; known are project"),
        ("{project}", "{project", "message 'start': a brace has no partner"),
        ('to = ["launch"]', 'to = ["lunch"]', "message 'start' names the channel 'lunch'; there are launch"),
        ("messages", 'receipts = { mail = "x" }\nmessages', "receipts names the channel 'mail'"),
        ("messages", 'exercise = ["all"]\nmessages', "exercise names the channel 'all'"),
        ("messages", 'values = { project = "x" }\nmessages', "values.project is a placeholder of every launch"),
        ("messages", 'values = { a = "{b}" }\nmessages', "values.a: nothing fills in {b}"),
        ("begins\" }", 'begins" }, { id = "start", when = "rollback", to = ["launch"], text = "x" }', "two messages"),
        ('when = "preparation"', 'when = "later"', "when"),
    ],
)  # fmt: skip
def test_launch_toml_says_what_is_wrong_with_a_message(tmp_path: Path, before: str, after: str, words: str) -> None:
    assert words in refused(tmp_path, before, after)


@pytest.mark.parametrize(
    "after",
    ['channels = "slack://tokenA"', "channels = { launch = 3, b = 'slack://tokenA' }", 'channels = ["tokenA"]'],
)
def test_a_wrong_table_of_channels_is_refused_without_showing_it(tmp_path: Path, after: str) -> None:
    sentence = refused(tmp_path, 'channels = { launch = { env = "LAUNCH_CHANNEL" } }', after)
    assert "notify.channels" in sentence
    assert "tokenA" not in sentence
