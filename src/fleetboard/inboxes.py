"""Where messages arrive: a mail server and a chat webhook, both of which can be asked what came in.

Both run in threads of the supervisor and keep what they get in memory.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Mapping, Sequence
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleetboard.errors import StartError
from fleetboard.pki import Authority
from fleetboard.ports import HOST

if TYPE_CHECKING:
    from aiosmtpd.controller import Controller

    from fleetboard.parts import Surroundings

SMTP = "FLEETBOARD_SMTP"
CHAT = "FLEETBOARD_CHAT"
MAIL = "FLEETBOARD_MAIL"
CHAT_RECEIVED = "FLEETBOARD_CHAT_RECEIVED"
MAIL_RECEIVED = "FLEETBOARD_MAIL_RECEIVED"
MAIL_NAME = "mail.fleet.test"
STAKEHOLDERS = "stakeholders@fleet.test"
_SENDER = "launch@fleet.test"
_MAX_BODY = 1_000_000


class Inbox:
    """Messages in the order in which they came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._messages: list[dict[str, Any]] = []

    def put(self, **message: Any) -> None:
        """Keep one."""
        with self._lock:
            self._messages.append(message)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """All that came, oldest first."""
        with self._lock:
            return list(self._messages)


class _Mail:
    """What the mail server does with a message."""

    def __init__(self, inbox: Inbox, faults: Sequence[str]) -> None:
        self._inbox = inbox
        self._refuses = "mail-refused" in faults
        self._loses = "mail-lost" in faults

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        """Take a recipient, or none."""
        if self._refuses:
            return "550 5.7.1 this sender may not write here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep a message."""
        if not self._loses:
            mail = message_from_bytes(envelope.content, policy=policy.default)
            body = mail.get_body(("plain", "html"))
            text = body.get_content() if body is not None else ""
            to, sender = list(envelope.rcpt_tos), envelope.mail_from
            self._inbox.put(sender=sender, to=to, subject=str(mail["Subject"] or ""), text=text)
        return "250 OK"


class _Web(ThreadingHTTPServer):
    """The chat takes at ``/chat/CHANNEL``; what came is at ``/chat/received/CHANNEL`` and ``/mail/received``."""

    daemon_threads = True

    def __init__(self, chat: Inbox, mail: Inbox, faults: Sequence[str]) -> None:
        super().__init__((HOST, 0), _Requests)
        self.chat, self.mail = chat, mail
        self.faults = faults


class _Requests(BaseHTTPRequestHandler):
    """Answers one request."""

    server: _Web
    timeout = 10

    def do_GET(self) -> None:
        """List what arrived: all of it, or what came into one channel."""
        match self.path.strip("/").split("/"):
            case ["mail", "received"]:
                self._answer(200, self.server.mail.messages)
            case ["chat", "received", *channel] if len(channel) < 2:
                self._answer(
                    200, [m for m in self.server.chat.messages if not channel or [m["channel"]] == channel]
                )
            case _:
                self._answer(404, {"error": "no such page"})

    def do_POST(self) -> None:
        """Take one message."""
        size = self.headers.get("Content-Length", "")
        if not size.isdigit() or int(size) > _MAX_BODY or not self.path.startswith("/chat/"):
            self._answer(400, {"error": "no message"})
            return
        body = self.rfile.read(int(size))
        if "webhook-500" in self.server.faults:
            self._answer(500, {"error": "something went wrong"})
            return
        try:
            found = json.loads(body)
        except ValueError:
            self._answer(400, {"error": "no JSON"})
            return
        copies = 0 if "message-lost" in self.server.faults else 2 if "message-doubled" in self.server.faults else 1
        for _ in range(copies):
            self.server.chat.put(channel=self.path.removeprefix("/chat/"), body=found)
        self._answer(200, {"ok": True})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Say nothing: standard error belongs to the supervisor."""

    def _answer(self, status: int, document: Any) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def start(around: Surroundings) -> Mapping[str, str]:
    """Start both; returns the variables that lead to them.

    Raises:
        StartError: one did not come up.
    """
    chat, mail = Inbox(), Inbox()
    smtp = _start_mail(_Mail(mail, around.faults), _tls(around.authority, around.work))
    around.closing.callback(smtp.stop)
    web = _Web(chat, mail, around.faults)
    threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05}, name="inboxes", daemon=True).start()
    around.closing.callback(web.server_close)
    around.closing.callback(web.shutdown)
    return addresses(smtp.port, web.server_port)


def addresses(smtp_port: int, web_port: int) -> dict[str, str]:
    """The variables that lead to a mail server and a webhook on these ports."""
    mail = f"mailto://{HOST}:{smtp_port}?from={_SENDER}&to={STAKEHOLDERS}&smtp={HOST}&mode=insecure"
    return {
        SMTP: f"{HOST}:{smtp_port}",
        CHAT: f"json://{HOST}:{web_port}/chat",
        MAIL: mail,
        CHAT_RECEIVED: f"http://{HOST}:{web_port}/chat/received",
        MAIL_RECEIVED: f"http://{HOST}:{web_port}/mail/received",
    }


def _start_mail(handler: _Mail, context: ssl.SSLContext) -> Controller:
    from aiosmtpd.controller import Controller  # noqa: PLC0415 - only targets with an inbox need it

    # Not its own port 0: it would then connect to port 0 to see whether it is up.
    class OnAnyPort(Controller):
        def _trigger_server(self) -> None:
            assert isinstance(self.server, asyncio.Server)
            self.port = self.server.sockets[0].getsockname()[1]
            super()._trigger_server()  # type: ignore[no-untyped-call]

    controller = OnAnyPort(handler, hostname=HOST, port=0, server_hostname=MAIL_NAME, tls_context=context)
    try:
        controller.start()
    except (OSError, TimeoutError) as error:
        raise StartError(f"the mail server did not come up: {error}") from error
    return controller


def _tls(authority: Authority, work: Path) -> ssl.SSLContext:
    """STARTTLS with a certificate of the target's own authority."""
    leaf = authority.issue([MAIL_NAME, HOST])
    file = work / "mail.pem"
    file.touch(mode=0o600)
    file.write_bytes(authority.chain(leaf) + leaf.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(file)
    return context
