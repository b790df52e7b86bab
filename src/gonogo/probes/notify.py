"""Sends one message over one channel, through Apprise, and says how that ended.

A channel's address holds its token or password: no sentence of this module contains any part of it but the scheme.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from gonogo.messages import Draft, copies, fill, gaps, links

if TYPE_CHECKING:
    import apprise

__all__ = ["Delivery", "Draft", "copies", "fill", "gaps", "kind_of", "links", "send", "usable"]

_LOGGER = "apprise"
_REASON_CHARS = 300
_LOOPBACK = "127.0.0.0/8,localhost,::1"
_NOTHING_LEFT = re.compile(
    r"Connection refused|Name or service not known|NameResolutionError|Temporary failure in name resolution"
    r"|No route to host|Network is unreachable|CERTIFICATE_VERIFY_FAILED|error=4\d\d|: \([45]\d\d, "
    r"|SMTPRecipientsRefused|SMTPAuthenticationError|\([45]\d\d, b['\"]"
)
"""What the log says if the message can't have been taken: no connection, or a refusal in so many words."""
_LEFT = re.compile(r"^Sent Email to", re.MULTILINE)
_TELLING = ("Socket Exception", "Response Details")
_CORE = re.compile(
    r"""\[Errno\ -?\d+\]\ (?P<system>[^"')]+) | \((?P<code>\d{3}),\ b['"](?P<said>[^'"]*)
    | (?P<known>Read\ timed\ out|Remote\ end\ closed\ connection\ without\ response|certificate\ verify\ failed)
    """,
    re.VERBOSE,
)
"""What matters in the text of a nest of exceptions."""


@dataclass(frozen=True)
class Delivery:
    """What became of one message on one channel."""

    accepted: bool
    """Whether the server took it; that it arrived is another matter."""
    in_doubt: bool
    """Not accepted, yet it may have left: an answer that was lost, or one of several recipients."""
    reason: str
    """Why it was not accepted, without anything of the address."""
    elapsed_s: float


def kind_of(url: str) -> str:
    """``mail`` or ``chat``, by the scheme of a channel's address."""
    return "mail" if scheme_of(url).startswith("mailto") else "chat"


def scheme_of(url: str) -> str:
    """The scheme of a channel's address, such as ``slack``: all of it that may be shown."""
    return url.partition("://")[0].strip().lower() if "://" in url else "none"


def usable(url: str) -> str:
    """Why Apprise can't use an address, or an empty text; sends nothing and asks nobody."""
    with _listening() as heard:
        return "" if _service(url) else _telling(heard, url) or "no service of Apprise has such an address"


def send(url: str, subject: str, text: str, timeout_s: float = 30.0) -> Delivery:
    """Send one message, once: nothing is repeated.

    Args:
        url: the channel's address.
        subject: of a mail, or first line where the service has titles; may be empty.
        text: the message, as plain text.
        timeout_s: limit in seconds; what has not ended by then is in doubt.
    """
    started = time.perf_counter()
    with _listening() as heard, _no_proxy_to_ourselves():
        service = _service(url)
        if service is None:
            why = _telling(heard, url) or "no service of Apprise has such an address"
            return Delivery(accepted=False, in_doubt=False, reason=why, elapsed_s=0.0)
        done: list[Any] = []
        worker = threading.Thread(target=_notify, args=(service, subject, text, done), daemon=True)
        worker.start()
        worker.join(timeout_s)
        elapsed = time.perf_counter() - started
        if not done:
            late = f"it was not taken within {timeout_s:g} s"
            return Delivery(accepted=False, in_doubt=True, reason=late, elapsed_s=elapsed)
        if done[0] is True:
            return Delivery(accepted=True, in_doubt=False, reason="", elapsed_s=elapsed)
        log = "\n".join(heard)
        doubt = bool(_LEFT.search(log)) or not _NOTHING_LEFT.search(log)
        why = _telling(heard, url) or _masked(str(done[0] or "the service did not take it"), url)
        return Delivery(accepted=False, in_doubt=doubt, reason=why, elapsed_s=elapsed)


def _notify(service: apprise.Apprise, subject: str, text: str, done: list[Any]) -> None:
    try:
        done.append(bool(service.notify(body=text, title=subject, body_format="text")))
    except Exception as error:  # noqa: BLE001 - any plugin of Apprise; the sentence goes to the caller
        done.append(f"{type(error).__name__}: {error}")


def _service(url: str) -> apprise.Apprise | None:
    import apprise  # noqa: PLC0415 - with its plugins 0.6 s, which only this needs

    service = apprise.Apprise()
    try:
        return service if service.add(url) else None
    except Exception:  # noqa: BLE001 - an address that a plugin stumbles over is one that can't be used
        return None


class _Ear(logging.Handler):
    """Keeps what Apprise logs."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.WARNING or text.startswith((*_TELLING, "Sent Email to")):
            self.heard.append(text)


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Take Apprise's log for ourselves: it prints addresses, and everybody else's handlers would store them."""
    logger = logging.getLogger(_LOGGER)
    ear, level, passes_on = _Ear(), logger.level, logger.propagate
    logger.addHandler(ear)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        # Its plugins import what Python has deprecated; under strict filters that would look like a bad address.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield ear.heard
    finally:
        logger.removeHandler(ear)
        logger.setLevel(level)
        logger.propagate = passes_on


@contextmanager
def _no_proxy_to_ourselves() -> Iterator[None]:
    """A proxy for the outside world can't reach a receiver on this machine."""
    before = {name: os.environ.get(name) for name in ("no_proxy", "NO_PROXY")}
    joined = ",".join(filter(None, (before["no_proxy"] or before["NO_PROXY"], _LOOPBACK)))
    os.environ.update(no_proxy=joined, NO_PROXY=joined)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _telling(heard: list[str], url: str) -> str:
    """What the log says of the reason, on one line."""
    lines = [_core(" ".join(text.split())) for text in heard if not text.startswith("Sent Email to")]
    return _masked("; ".join(dict.fromkeys(line for line in lines if line)), url)[:_REASON_CHARS]


def _core(line: str) -> str:
    if not line.startswith(_TELLING):
        return line.rstrip(".")
    if found := _CORE.search(line):
        return found["system"] or found["known"] or f"{found['code']} {found['said']}"
    plain = re.sub(r"^b['\"](.*)['\"]$", r"\1", line.partition(": ")[2])
    return plain if plain != "{}" else ""


def _masked(text: str, url: str) -> str:
    """The text without any part of the address, however it is written."""
    try:
        split = urlsplit(url)
        parts = [url, split.netloc, split.hostname, split.username, split.password, split.path, split.query]
        parts += [value for _, value in parse_qsl(split.query)]
        parts += [unquote(part) for part in re.split(r"[/&=?:@,]", url.partition("://")[2])]
    except ValueError:
        parts = [url, *re.split(r"[/&=?:@,]", url)]
    # Short parts would take words of the sentence away, and are no secrets.
    for part in sorted({part for part in parts if part and len(part) >= 4}, key=len, reverse=True):
        text = re.sub(rf"(?i){re.escape(part)}", "[...]", text)
    return text
