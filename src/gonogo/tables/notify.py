"""``[targets.NAME.notify]`` and ``.docs``: what people are told, and what they are pointed to."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from gonogo import messages as texts
from gonogo.tables.base import Files, FromEnv, Names, Table


class UnaskedLink(Table):
    """Addresses that are not asked, with the reason."""

    pattern: str = Field(min_length=1)
    """The address, with wildcards; ``https://*`` is all of them but the target's own."""
    reason: str = Field(min_length=1)


class Announcement(Table):
    """One message, as a text with placeholders."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    when: Literal["preparation", "go-live", "rollback"]
    """The occasion: which gate sends it."""
    to: Names = Field(min_length=1)
    """Names of channels."""
    subject: str = ""
    text: str = Field(min_length=1)


class Notify(Table):
    """Messages and their channels."""

    channels: dict[str, str | FromEnv] = Field(min_length=1)
    """Apprise addresses by name; they hold tokens, so let them stand in the environment. Never shown."""
    receipts: dict[str, str | FromEnv] = Field(default={})
    """Where a channel's receiver lists what arrived, as a list in JSON."""
    values: dict[str, str] = Field(default={})
    """Placeholders of the team's own, beside those of every launch."""
    messages: tuple[Announcement, ...] = Field(min_length=1, strict=False)
    go_live: tuple[Literal["chat", "mail"], ...] = Field(default=("chat", "mail"), min_length=1, strict=False)
    """Ways that the launch must be announced on; the playbook wants both."""
    exercise: Names = ()
    """Channels that take the messages of a rollback as an exercise."""
    exercise_mark: str = Field(default="Exercise, nothing has happened: ", min_length=4)
    send_s: float = Field(default=30.0, gt=0, le=300)
    receipt_s: float = Field(default=60.0, gt=0, le=600)
    """How long a message may take until the receiver shows it."""
    link_s: float = Field(default=5.0, gt=0, le=60)
    unasked: tuple[UnaskedLink, ...] = Field(default=(), strict=False)

    @field_validator("channels", "receipts", mode="before")
    @classmethod
    def _table(cls, value: Any) -> Any:
        if not isinstance(value, dict):  # never says what was found: it may hold a token
            raise ValueError(  # noqa: TRY004 - pydantic makes a sentence of this one alone
                'must be a table of names, e.g. { launch = { env = "LAUNCH_CHANNEL" } }'
            )
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        known = ", ".join(self.channels)
        named = [("receipts", tuple(self.receipts)), ("exercise", self.exercise)]
        named += [(f"message {message.id!r}", message.to) for message in self.messages]
        for place, names in named:
            for name in names:
                if name not in self.channels:
                    raise ValueError(f"{place} names the channel {name!r}; there are {known}")
        ids = [message.id for message in self.messages]
        if twice := next((one for one in ids if ids.count(one) > 1), None):
            raise ValueError(
                f"two messages have the id {twice!r}; by it a message is sent once, so give each its own"
            )
        return self

    @model_validator(mode="after")
    def _fillable(self) -> Self:
        if clash := next((name for name in self.values if name in texts.BUILT_IN), None):
            raise ValueError(f"values.{clash} is a placeholder of every launch; choose another name")
        first, everything = tuple(texts.BUILT_IN), (*texts.BUILT_IN, *self.values)
        checked: list[tuple[str, str, tuple[str, ...]]]
        checked = [(f"values.{name}", text, first) for name, text in self.values.items()]
        for message in self.messages:
            checked += [(f"message {message.id!r}", part, everything) for part in (message.subject, message.text)]
        for place, text, known in checked:
            try:
                strange = texts.unknown(text, known)
            except ValueError as error:
                raise ValueError(f"{place}: {error}") from None
            if strange:
                raise ValueError(f"{place}: nothing fills in {{{strange[0]}}}; known are {', '.join(known)}")
        return self


class Docs(Table):
    """Documentation that must be reachable."""

    links: Names = ()
    """Addresses, or paths of the target; with ``$NAME``."""
    files: Files = ("PLAYBOOK.md",)
    """Markdown documents whose links are followed, with wildcards, relative to the plan's folder."""
    unasked: tuple[UnaskedLink, ...] = Field(default=(), strict=False)
    timeout_s: float = Field(default=5.0, gt=0, le=60)
    """For one address."""

    @field_validator("links")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for link in value:
            if not link.startswith(("/", "$", "https://", "http://")):
                raise ValueError(
                    f"{link!r} must begin with https://, http:// or, for a page of the target, a slash"
                )
        return value

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.links and not self.files:
            raise ValueError("links and files are both empty, so there is nothing to follow; name one of them")
        return self
