"""What the tables of launch.toml are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f"{path!r} must begin with a slash")
    return path


class Table(BaseModel):
    """One table of launch.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FromEnv(Table):
    """A value that stands in an environment variable."""

    env: str = Field(min_length=1)


Path = Annotated[str, AfterValidator(_absolute)]
"""Path of a URL: it begins with a slash."""

Command = Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
"""Program and arguments, no shell; ``{python}`` stands for the interpreter that runs the gates."""

Names = Annotated[tuple[str, ...], Field(strict=False)]
"""Any number of texts."""
