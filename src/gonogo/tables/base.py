"""What the tables of launch.toml are made of."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Runs:
    """Marks a setting as a program with its arguments: ``plan.complete`` looks for the program."""


@dataclass(frozen=True)
class Exists:
    """Marks a setting as a file that must be there before the launch: ``plan.complete`` looks for it."""


Command = Annotated[tuple[str, ...], Runs(), Field(min_length=1, strict=False)]
"""Program and arguments, no shell; ``{python}`` stands for the interpreter that runs the gates."""

Names = Annotated[tuple[str, ...], Field(strict=False)]
"""Any number of texts."""

File = Annotated[str, Exists()]
"""A file that is read, relative to the plan's folder; not one that is written."""

Files = Annotated[tuple[str, ...], Exists(), Field(strict=False)]
"""Any number of such files."""
