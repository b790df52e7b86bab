"""What clients send: JSON objects of a sensible size, and what is said about those that will not do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

_MAX_BYTES = 65_536


class InvalidError(Exception):
    """Fields with values that can't be taken; answered with 422."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        """Say what is wrong.

        Args:
            fields: a sentence for each, by its name.
        """
        super().__init__("; ".join(f"{name}: {sentence}" for name, sentence in fields.items()))
        self.fields = dict(fields)


async def read_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        HTTPException: 400 if it is no JSON, 413 if it is too long, 422 if it is no object.
    """
    text = bytearray()
    async for part in request.stream():
        text += part
        if len(text) > _MAX_BYTES:
            raise HTTPException(413, f"the body must not be longer than {_MAX_BYTES} bytes")
    try:
        found = json.loads(text, parse_constant=_no_number)
        json.dumps(found, ensure_ascii=False).encode()  # half of a character can be written, but not sent back
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is not JSON") from None
    if not isinstance(found, dict):
        raise HTTPException(422, "the body must be a JSON object")
    return found


def _no_number(text: str) -> float:
    raise ValueError(text)  # NaN and the infinities, which JSON does not have
