"""Playwright's traces without what nobody else should read: no bodies, no headers, no values, no personal texts.

A trace is a zip of JSON lines. What this module does not know is left out, so that a newer Playwright can lose us
something, and never tell more than it should.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

Hide = Callable[[str], str]

COVER = "\u2588\u2588\u2588"
_KEPT_RESOURCES = (".css", ".svg", ".png", ".jpg", ".jpeg", ".webp", ".woff", ".woff2")
"""What a state of the page needs to look like itself; texts and answers of the server are none of it."""
_TYPED = re.compile(r"((?:fill|type|pressSequentially|insertText|press)\()\"(?:[^\"\\]|\\.)*\"")
_PREVIEW_TEXT = re.compile(r">(?!…<)[^<>]+<")
_PREVIEW_VALUE = re.compile(r"\b(value|title|aria-label|alt|placeholder|href|src)=\"[^\"]*\"")
_EXPRESSION = 300
_PARAMS = (
    "selector", "url", "waitUntil", "timeout", "state", "strict", "button", "key", "pageId", "isNot", "name",
    "expression",
)  # fmt: skip
_STEP = (
    "type", "callId", "startTime", "endTime", "time", "class", "method", "parentId", "pageId", "stepId", "title",
    "point", "box",
)  # fmt: skip
_EXCHANGE = ("pageref", "startedDateTime", "time", "timings", "_frameref", "_monotonicTime", "_resourceType")
_HEAD = (
    "type", "version", "origin", "browserName", "channel", "platform", "wallTime", "monotonicTime", "title",
    "sdkLanguage", "testIdAttributeName", "contextId", "playwrightVersion",
)  # fmt: skip
_OPTIONS = ("viewport", "isMobile", "deviceScaleFactor", "hasTouch", "locale")


def cleaned(parts: Mapping[str, bytes], hide: Hide) -> bytes:
    """One trace of several, as a zip that Playwright's viewer reads.

    Args:
        parts: traces as Playwright wrote them, by a name for each.
        hide: takes secrets and names of people out of a text, by value.
    """
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as into:
        for name, data in parts.items():
            with zipfile.ZipFile(io.BytesIO(data)) as whole:
                for member in whole.namelist():
                    _copy(whole, member, name, into, hide)
    return written.getvalue()


def _copy(whole: zipfile.ZipFile, member: str, name: str, into: zipfile.ZipFile, hide: Hide) -> None:
    if member.endswith((".trace", ".network")):
        lines = (_line(line, hide) for line in whole.read(member).decode("utf-8", "replace").splitlines())
        stem, _, kind = member.rpartition(".")
        into.writestr(f"{name if stem == 'trace' else stem}.{kind}", "".join(f"{one}\n" for one in lines if one))
    elif member.startswith("resources/") and member.endswith(_KEPT_RESOURCES) and member not in into.namelist():
        data = whole.read(member)
        if member.endswith((".css", ".svg")):
            data = hide(data.decode("utf-8", "replace")).encode()
        into.writestr(member, data)


def _line(line: str, hide: Hide) -> str:
    """One line of a trace, or nothing if it is of no kind that we know."""
    try:
        entry = json.loads(line)
    except ValueError:
        return ""
    kind = entry.get("type")
    clean = _CLEANERS.get(kind)
    if clean is None:
        return ""
    return json.dumps(_hidden(clean(entry), hide), ensure_ascii=False)


def _hidden(value: Any, hide: Hide) -> Any:
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, list):
        return [_hidden(one, hide) for one in value]
    if isinstance(value, dict):
        return {key: _hidden(one, hide) for key, one in value.items()}
    return value


def _head(entry: dict[str, Any]) -> dict[str, Any]:
    """What browser it was; options may hold headers and cookies."""
    options = {key: value for key, value in (entry.get("options") or {}).items() if key in _OPTIONS}
    return {**{key: entry[key] for key in _HEAD if key in entry}, "options": options}


def _call(entry: dict[str, Any]) -> dict[str, Any]:
    """A step: what was done to which element, without what was typed or handed over."""
    kept = {key: entry[key] for key in _STEP if key in entry}
    given = entry.get("params")
    if isinstance(given, dict):
        kept["params"] = {key: given[key] for key in _PARAMS if key in given}
        if isinstance(kept["params"].get("expression"), str):
            kept["params"]["expression"] = kept["params"]["expression"][:_EXPRESSION]
    if isinstance(entry.get("error"), dict):
        kept["error"] = {
            "name": entry["error"].get("name", ""),
            "message": _told(entry["error"].get("message", "")),
        }
    return kept


def _log(entry: dict[str, Any]) -> dict[str, Any]:
    return {**{key: entry[key] for key in _STEP if key in entry}, "message": _told(entry.get("message", ""))}


def _told(message: Any) -> str:
    """A line of Playwright's log; it quotes elements with their texts, and what was typed into them."""
    text = _TYPED.sub(rf'\1"{COVER}"', str(message))
    return _PREVIEW_VALUE.sub(rf'\1="{COVER}"', _PREVIEW_TEXT.sub(f">{COVER}<", text))


def _console(entry: dict[str, Any]) -> dict[str, Any]:
    kept = ("type", "time", "pageId", "messageType", "text", "location")
    return {**{key: entry[key] for key in kept if key in entry}, "args": []}


def _exchange(entry: dict[str, Any]) -> dict[str, Any]:
    """An exchange with the server: method, address, status and times."""
    given = entry.get("snapshot", {})
    asked, answered = given.get("request", {}), given.get("response", {})
    content = {key: value for key, value in answered.get("content", {}).items() if key in ("mimeType", "size")}
    if str(answered.get("content", {}).get("_sha1", "")).endswith(_KEPT_RESOURCES):
        content["_sha1"] = answered["content"]["_sha1"]
    none: dict[str, Any] = {"cookies": [], "headers": [], "headersSize": -1, "bodySize": -1}
    kept = {
        key: given[key] for key in ("pageref", "startedDateTime", "time", "timings", "_frameref") if key in given
    }
    kept |= {key: given[key] for key in ("_monotonicTime", "_resourceType") if key in given}
    request = {"method": asked.get("method"), "url": asked.get("url"), "httpVersion": "", "queryString": [], **none}
    response = {"status": answered.get("status"), "statusText": "", "httpVersion": "", "redirectURL": "", **none}
    return {
        "type": "resource-snapshot",
        "snapshot": {**kept, "cache": {}, "request": request, "response": {**response, "content": content}},
    }


def _state(entry: dict[str, Any]) -> dict[str, Any]:
    """A state of the page, with the texts of what is personal covered."""
    snapshot = {**entry.get("snapshot", {})}
    snapshot["html"] = _covered(snapshot.get("html"), personal=False)
    snapshot["resourceOverrides"] = []
    return {**entry, "snapshot": snapshot}


def _covered(node: Any, *, personal: bool) -> Any:
    """A node of a snapshot: a text, ``[name, attributes, children...]``, or a reference to an earlier state."""
    if isinstance(node, str):
        return COVER if personal and node.strip() else node
    if not isinstance(node, list) or not node or not isinstance(node[0], str):
        return node
    name, attributes, children = node[0], dict(node[1]) if len(node) > 1 else {}, node[2:]
    secret = name == "INPUT" and str(attributes.get("type", "")).lower() == "password"
    personal = personal or secret or "data-personal" in attributes
    if name in ("SCRIPT", "NOSCRIPT"):
        children = []
    if personal:
        telling = ("value", "__playwright_value_", "title", "alt", "aria-label", "placeholder", "href", "src")
        attributes = {key: COVER if key in telling else value for key, value in attributes.items()}
    return [name, attributes, *(_covered(child, personal=personal) for child in children)]


_CLEANERS: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "context-options": _head,
    "before": _call,
    "input": _call,
    "after": _call,
    "event": _call,
    "log": _log,
    "console": _console,
    "resource-snapshot": _exchange,
    "frame-snapshot": _state,
}
