"""Reads launch.toml, and says each mistake in it as one sentence in TOML's own words."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from gonogo.errors import PlanError
from gonogo.settings import LaunchFile
from gonogo.tables.base import FromEnv

_UNION = ("str", "FromEnv")
"""How pydantic names the two shapes of ``database_url`` in the place of a mistake."""
_IN_TOML = {
    "string_type": 'input should be a text in quotes, e.g. "2.4.0"',
    "dict_type": "input should be a table, e.g. { key = value }",
    "model_type": "input should be a table, e.g. { key = value }",
    "tuple_type": 'input should be a list, e.g. ["a", "b"]',
    "int_type": "input should be a whole number without quotes",
    "float_type": "input should be a number without quotes",
    "too_short": "input should have at least one entry",
}
"""What TOML calls the types that pydantic names in Python's words."""


def load_launch_file(path: Path) -> LaunchFile:
    """Read and validate launch.toml.

    Raises:
        PlanError: one sentence for each mistake: file, line or key, what was found, what is allowed.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlanError(f"{path.name} can't be read: {error.strerror}; expected at {path}") from None
    except UnicodeDecodeError as error:
        raise PlanError(f"{path.name} is no UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"{path.name} is no valid TOML: {error}") from None
    try:
        return LaunchFile.model_validate(raw)
    except ValidationError as error:
        errors = [dict(e) for e in error.errors(include_url=False)]
        sentences = [_sentence(path.name, e) for e in errors if not _is_echo(e, errors)]
        raise PlanError("\n".join(dict.fromkeys(sentences))) from None


def _is_echo(error: dict[str, Any], errors: list[dict[str, Any]]) -> bool:
    """Whether a mistake only repeats another: a list that lost a bad entry, the other shape of a union."""
    place = error["loc"]
    if error["type"] == "too_short":
        return bool(error["input"]) and any(e["loc"][: len(place)] == place != e["loc"] for e in errors)
    inside = place[:-1] if place[-1:] == ("str",) else None
    return inside is not None and any(e["loc"][:-1] == (*inside, "FromEnv") for e in errors)


def _sentence(name: str, error: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"] if part not in _UNION)
    found = error.get("input")
    match error["type"]:
        case "extra_forbidden":
            return f"{name}: {where} is no known key; allowed are {_allowed(error['loc'])}"
        case "missing":
            return f"{name}: {where} is missing; add it"
        case "value_error":
            return f"{name}: {where}: {error['ctx']['error']}" if where else f"{name}: {error['ctx']['error']}"
    if error["loc"][-1] in _UNION:  # never says what was found: it may hold a password
        return f'{name}: {where}: write a text or {{ env = "NAME" }}'
    message = _IN_TOML.get(error["type"], error["msg"][0].lower() + error["msg"][1:])
    if error["loc"][-1] == "headers":
        return f"{name}: {where}: {message}"
    return f"{name}: {where}: found {found!r}; {message}"


def _allowed(location: tuple[int | str, ...]) -> str:
    """Names of the keys that the table at this place may have."""
    table: Any = LaunchFile
    for part in location[:-1]:
        if part == FromEnv.__name__:
            table = FromEnv
        elif isinstance(table, type) and issubclass(table, BaseModel):
            field = table.model_fields.get(str(part))
            annotation = field.annotation if field else None
            candidates = [annotation, *getattr(annotation, "__args__", ())]
            table = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), table)
    keys = [f.alias or key for key, f in table.model_fields.items()]
    return ", ".join(keys)
