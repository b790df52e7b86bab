"""Reads the GETs out of an OpenAPI document (3.x, or Swagger 2.0), in JSON, or in YAML where PyYAML is there.

Pure but for that import: text in, endpoints out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from gonogo.errors import TargetError

_DEPTH = 20
"""References that lead to references; more of them is a circle."""


@dataclass(frozen=True)
class Documented:
    """A GET that a document promises."""

    path: str
    """With the path of the document's first server before it."""
    status: int
    """The first successful status that it lists, else 200."""
    content_type: str
    """JSON if that is among the documented types, else the first; empty if it names none."""


@dataclass(frozen=True)
class OpenApiFacts:
    """What a document promises."""

    endpoints: tuple[Documented, ...]
    """Every GET that can be made without knowing more."""
    left_out: tuple[str, ...]
    """Paths with a GET that takes a parameter we have no value for."""


def read(text: str, where: str) -> OpenApiFacts:
    """Every GET of a document.

    Args:
        text: the document.
        where: where it came from, for messages.

    Raises:
        TargetError: it is no OpenAPI document, or documents no path.
    """
    document = _parsed(text, where)
    paths = document.get("paths") if isinstance(document, Mapping) else None
    if not isinstance(paths, Mapping) or not ("openapi" in document or "swagger" in document):
        raise TargetError(f"{where} is no OpenAPI document: it has no 'openapi' version or no 'paths'")
    base = _base(document)
    endpoints, left_out = [], []
    for path, described in paths.items():
        item = _resolved(document, described)
        operation = item.get("get")
        if not isinstance(operation, Mapping):
            continue
        if "{" in str(path) or _wants_more(document, item, operation):
            left_out.append(base + str(path))
        else:
            endpoints.append(_documented(document, base + str(path), operation))
    return OpenApiFacts(tuple(endpoints), tuple(left_out))


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        yaml = import_module("yaml")
    except ImportError:
        raise TargetError(f"{where} is not JSON; to read it as YAML, install the package PyYAML") from None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        raise TargetError(f"{where} is neither JSON nor YAML; it starts with {text[:60]!r}") from None


def _base(document: Mapping[str, Any]) -> str:
    servers = document.get("servers")
    if isinstance(servers, list) and servers and isinstance(servers[0], Mapping):
        return urlsplit(str(servers[0].get("url", ""))).path.rstrip("/")
    return str(document.get("basePath", "")).rstrip("/")


def _resolved(document: Mapping[str, Any], value: Any) -> Mapping[str, Any]:
    for _ in range(_DEPTH):
        if not isinstance(value, Mapping):
            return {}
        reference = value.get("$ref")
        if not isinstance(reference, str):
            return value
        value = document
        for escaped in reference.removeprefix("#/").split("/"):
            key = escaped.replace("~1", "/").replace("~0", "~")
            value = value.get(key) if isinstance(value, Mapping) else None
    return {}


def _wants_more(document: Mapping[str, Any], item: Mapping[str, Any], operation: Mapping[str, Any]) -> bool:
    own, shared = operation.get("parameters"), item.get("parameters")
    given = [*(own if isinstance(own, list) else ()), *(shared if isinstance(shared, list) else ())]
    return any(_resolved(document, one).get("required") is True for one in given)


def _documented(document: Mapping[str, Any], path: str, operation: Mapping[str, Any]) -> Documented:
    responses = _resolved(document, operation.get("responses"))
    good = sorted(str(code) for code in responses if str(code).isdigit() and 200 <= int(code) < 300)
    status = int(good[0]) if good else 200
    chosen_code = good[0] if good else "default"
    response: Any = next((told for code, told in responses.items() if str(code) == chosen_code), {})
    content = _resolved(document, response).get("content")
    produces = operation.get("produces", document.get("produces"))
    types = [str(one) for one in (content or produces or ()) if isinstance(content or produces, Mapping | list)]
    chosen = next((one for one in types if "json" in one), types[0] if types else "")
    return Documented(path, status, chosen.partition(";")[0].strip().lower())
