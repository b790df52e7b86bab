"""Traces without what nobody else should read."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from gonogo.traces import COVER, cleaned

HEAD = {
    "type": "context-options",
    "version": 10,
    "browserName": "chromium",
    "options": {"extraHTTPHeaders": [{"value": "s3cret"}]},
}


def _zip(**members: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), data)
    return written.getvalue()


def _lines(*entries: Any) -> bytes:
    return "".join(json.dumps(entry) + "\n" for entry in entries).encode()


def _clean(*entries: Any, name: str = "trace_trace", **members: bytes) -> dict[str, bytes]:
    data = cleaned(
        {"trace": _zip(**{name: _lines(HEAD, *entries)}, **members)}, lambda text: text.replace("Ada", COVER)
    )
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {member: archive.read(member) for member in archive.namelist()}


def _entries(members: dict[str, bytes], name: str = "trace.trace") -> list[dict[str, Any]]:
    return [json.loads(line) for line in members[name].decode().splitlines()]


def test_what_was_typed_handed_over_and_answered_is_left_out() -> None:
    filled = {"type": "before", "callId": "1", "method": "fill", "params": {"selector": "#p", "value": "s3cret"}}
    asked = {
        "type": "before",
        "callId": "2",
        "method": "evaluateExpression",
        "params": {"expression": "x => x", "arg": {"s": "s3cret"}},
    }
    after = {"type": "after", "callId": "2", "endTime": 3.0, "result": {"value": {"s": "s3cret"}}}
    log = {"type": "log", "callId": "1", "message": '  fill("s3cret \\" more")'}
    members = _clean(filled, asked, after, log)

    assert b"s3cret" not in b"".join(members.values())
    head, step, second, ended, told = _entries(members)
    assert head["browserName"] == "chromium"
    assert step["params"] == {"selector": "#p"}
    assert second["params"] == {"expression": "x => x"}
    assert ended["endTime"] == 3.0
    assert told["message"] == f'  fill("{COVER}")'


def test_elements_that_the_log_quotes_lose_their_texts() -> None:
    quoted = 'locator resolved to <button class="row" aria-label="Ada L" data-row="V-001">Ada L, van</button>'
    (told,) = _entries(_clean({"type": "log", "callId": "1", "message": quoted}))[1:]

    assert "Ada" not in told["message"]
    assert 'data-row="V-001"' in told["message"]


def test_exchanges_keep_method_address_status_and_times_alone() -> None:
    exchange = {
        "type": "resource-snapshot",
        "snapshot": {
            "time": 12.5,
            "request": {
                "method": "POST",
                "url": "https://a/api",
                "headers": [{"name": "Cookie", "value": "s3cret"}],
                "postData": {"text": "s3cret"},
            },
            "response": {
                "status": 200,
                "headers": [{"name": "Set-Cookie", "value": "s3cret"}],
                "content": {"mimeType": "application/json", "_sha1": "1.json"},
            },
        },
    }
    members = _clean(
        exchange, name="trace_network", resources__1_json=b'{"name": "s3cret"}', resources__2_css=b"p{}"
    )

    assert b"s3cret" not in b"".join(members.values())
    assert "resources/1.json" not in members
    assert members["resources/2.css"] == b"p{}"
    found = _entries(members, "trace.network")[1]["snapshot"]
    assert (found["request"]["method"], found["request"]["url"], found["response"]["status"]) == (
        "POST",
        "https://a/api",
        200,
    )
    assert "_sha1" not in found["response"]["content"]


def test_states_of_the_page_are_covered_where_it_is_personal_and_by_value_elsewhere() -> None:
    html = [
        "HTML",
        {},
        [
            "BODY",
            {},
            ["P", {"data-personal": "", "title": "Bob"}, "Bob", ["B", {}, "B."]],
            ["P", {}, "Ada drives"],
            ["INPUT", {"type": "password", "value": "s3cret"}],
            ["SCRIPT", {}, "s3cret"],
        ],
    ]
    members = _clean({"type": "frame-snapshot", "snapshot": {"html": html, "resourceOverrides": [{"s": "s3cret"}]}})
    text = b"".join(members.values()).decode()

    assert "Bob" not in text
    assert "Ada" not in text
    assert "s3cret" not in text
    body = _entries(members)[1]["snapshot"]["html"][2]
    assert body[2] == ["P", {"data-personal": "", "title": COVER}, COVER, ["B", {}, COVER]]
    assert body[3] == ["P", {}, f"{COVER} drives"]


@pytest.mark.parametrize("kind", ["screencast-frame", "stdout", "a kind that comes with another version"])
def test_what_is_not_known_is_left_out(kind: str) -> None:
    assert _entries(_clean({"type": kind, "text": "s3cret"})) == _entries(_clean())


def test_stacks_with_paths_of_this_machine_and_lines_that_are_no_json_are_left_out() -> None:
    members = _clean(trace_stacks=b'{"files": ["/home/somebody/x.py"]}', resources__3_txt=b"s3cret")

    assert set(members) == {"trace.trace"}
    odd = cleaned({"trace": _zip(trace_trace=b"not json\n")}, str)
    with zipfile.ZipFile(io.BytesIO(odd)) as archive:
        assert archive.read("trace.trace") == b""


def test_several_traces_lie_beside_each_other() -> None:
    data = cleaned({"trace": _zip(trace_trace=_lines(HEAD)), "end": _zip(trace_trace=_lines(HEAD))}, str)

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert set(archive.namelist()) == {"trace.trace", "end.trace"}
