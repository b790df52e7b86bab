"""Who may do what in the embedded target: sessions, roles, tokens, and requests that come from elsewhere."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from fleetboard import accounts
from fleetboard.app.access import Access, account_of, may_write, own_path
from fleetboard.app.sessions import COOKIE, LASTS_S, Sessions
from fleetboard_target import USERS, Running, running

DIRECTORY, ENV = accounts.create()
HOST = "https://app.fleet.test"


class Visitor:
    """Somebody in front of the middleware; behind it an application that says 200 and who it was."""

    def __init__(self, *faults: str, user: str | None = None, **headers: str) -> None:
        sessions = Sessions(DIRECTORY, faults)
        self._app = Access(self._behind, sessions, faults)
        self._headers = headers if user is None else {**headers, "cookie": cookie_of(sessions, user)}

    @staticmethod
    async def _behind(scope: Scope, receive: Receive, send: Send) -> None:
        account = account_of(HTTPConnection(scope))
        await JSONResponse({"user": account.user if account else None})(scope, receive, send)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One request and its answer."""

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url=HOST, headers=self._headers) as client:
                return await client.request(method, path, **more)

        return asyncio.run(asked())

    def get(self, path: str) -> httpx.Response:
        return self.ask("GET", path)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("POST", path, **({"json": {}} | more if "content" not in more else more))


def cookie_of(sessions: Sessions, user: str) -> str:
    """What a browser sends back after this user signed in."""
    account = DIRECTORY.find(user)
    assert account is not None
    response = Response()
    sessions.begin(response, account)
    return response.headers["set-cookie"].partition(";")[0]


def connection(**headers: str) -> HTTPConnection:
    """A request with these headers, as far as sessions look at one."""
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return HTTPConnection({"type": "http", "headers": raw})


def test_passwords_are_kept_as_salted_hashes() -> None:
    kept = accounts.hashed("open sesame")
    assert accounts.matches("open sesame", kept)
    assert not accounts.matches("open sesam", kept)
    assert not accounts.matches("", kept)
    assert kept != accounts.hashed("open sesame")
    assert "sesame" not in kept


def test_a_directory_holds_hashes_and_tells_the_secrets_apart() -> None:
    """What goes to the application signs nobody in by itself; every secret is its own."""
    secrets = [value.removeprefix("Bearer ") for value in ENV.values()]
    assert len(set(secrets)) == len(ENV) - 1  # the token is told twice
    assert not any(secret in str(DIRECTORY) for secret in secrets)
    assert DIRECTORY.knows_token(ENV["FLEETBOARD_TOKEN"])
    assert not DIRECTORY.knows_token("")
    assert not accounts.Directory().knows_token("")
    assert len(accounts.sign_in_lines(ENV)) == len(DIRECTORY.accounts) == len(USERS)


@pytest.mark.parametrize(
    ("user", "password", "faults", "known"),
    [
        ("mira", "MANAGER", (), True),
        ("mira", "VIEWER", (), False),
        ("mira", "", (), False),
        ("mira", "\ud800", (), False),
        ("nobody", "", (), False),
        ("monitor", "", (), False),
        ("mira", "wrong", ("any-password",), True),
        ("nobody", "wrong", ("any-password",), False),
    ],
)
def test_who_a_password_belongs_to(user: str, password: str, faults: tuple[str, ...], known: bool) -> None:
    """In capitals: the password of that role."""
    given = ENV.get(f"FLEETBOARD_{password}_PASSWORD", password)
    found = asyncio.run(Sessions(DIRECTORY, faults).check(user, given))
    assert (found is not None) is known
    assert found is None or found.user == user


def test_a_session_is_told_from_a_forged_an_old_and_another_targets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(DIRECTORY)
    cookie = cookie_of(sessions, "dan")
    assert sessions.account(connection(cookie=cookie)) == DIRECTORY.find("dan")
    name, _, value = cookie.partition("=")
    assert name == COOKIE
    swapped = "A" if value[0] != "A" else "B"
    for forged in (
        f"{name}={swapped}{value[1:]}",
        f"{name}={value[:-1]}",
        f"{name}=",
        f"fleet_session={value}",
        "",
    ):
        assert sessions.account(connection(cookie=forged)) is None
    assert Sessions(accounts.create()[0]).account(connection(cookie=cookie)) is None
    later = time.time() + LASTS_S
    monkeypatch.setattr(time, "time", lambda: later - 5)
    assert sessions.account(connection(cookie=cookie)) is not None
    monkeypatch.setattr(time, "time", lambda: later + 5)
    assert sessions.account(connection(cookie=cookie)) is None


@given(st.text(st.characters(codec="latin-1"), max_size=80))
def test_no_cookie_or_token_that_is_made_up_is_somebody(text: str) -> None:
    sessions = Sessions(DIRECTORY)
    for headers in ({"cookie": f"{COOKIE}={text}"}, {"authorization": text}, {"authorization": f"Bearer {text}"}):
        assert sessions.account(connection(**headers)) is None


@pytest.mark.parametrize(
    ("faults", "secure", "http_only"),
    [
        ((), True, True),
        (("cookie-without-secure",), False, True),
        (("cookie-without-httponly",), True, False),
    ],
)
def test_attributes_of_the_cookie(faults: tuple[str, ...], secure: bool, http_only: bool) -> None:
    """A cookie without Secure has a name without the prefix, or no browser would take it."""
    response = Response()
    Sessions(DIRECTORY, faults).begin(response, DIRECTORY.accounts[0])
    first, *rest = response.headers["set-cookie"].split("; ")
    assert first.startswith("__Host-") is secure
    assert ("Secure" in rest) is secure
    assert ("HttpOnly" in rest) is http_only
    assert {"SameSite=lax", "Path=/", f"Max-Age={LASTS_S}"} <= set(rest)
    assert not any(attribute.startswith("Domain") for attribute in rest)


@pytest.mark.parametrize(
    ("wanted", "leads_to"),
    [
        ("/fleet/dispatch?load=L-0001", "/fleet/dispatch?load=L-0001"),
        (None, "/fleet/dashboard"),
        ("", "/fleet/dashboard"),
        ("https://evil.test/fleet/", "/fleet/dashboard"),
        ("//evil.test/fleet/", "/fleet/dashboard"),
        ("/\\evil.test", "/fleet/dashboard"),
        ("/fleet/\\..\\evil", "/fleet/dashboard"),
        ("/fleet/\nSet-Cookie: a=b", "/fleet/dashboard"),
        ("javascript:alert(1)", "/fleet/dashboard"),
    ],
)
def test_after_signing_in_only_own_pages_follow(wanted: str | None, leads_to: str) -> None:
    assert own_path(wanted) == leads_to


@pytest.mark.parametrize(
    "path",
    ["/", "/sign-in", "/static/main.js", "/guide", "/openapi.json", "/metrics", "/api/health", "/api/session"]
    + [f"/api/fleet/{name}-stats" for name in ("db", "ws", "performance")],
)
def test_what_everybody_may_read(path: str) -> None:
    assert Visitor().get(path).json() == {"user": None}


@pytest.mark.parametrize("path", ["/api/fleet/vehicles", "/api/fleet/loads/L-0001", "/api/fleet/health", "/api/"])
def test_the_api_is_closed_to_strangers(path: str) -> None:
    """Reading takes a session or the token; a token that is wrong does not fall back on the cookie."""
    refused = Visitor().get(path)
    assert (refused.status_code, refused.json()) == (401, {"error": "sign in first"})
    assert refused.headers["www-authenticate"] == "Bearer"
    assert Visitor(user="vera").get(path).json() == {"user": "vera"}
    assert Visitor(authorization=ENV["FLEETBOARD_AUTHORIZATION"]).get(path).json() == {"user": "monitor"}
    assert Visitor(user="vera", authorization="Bearer nonsense").get(path).status_code == 401
    assert Visitor("reads-without-session").get(path).json() == {"user": None}


def test_pages_lead_to_the_sign_in_and_back() -> None:
    answer = Visitor().get("/fleet/maintenance?status=open&page=2")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=/fleet/maintenance%3Fstatus%3Dopen%26page%3D2"
    assert Visitor(user="vera").get("/fleet/maintenance").status_code == 200


@pytest.mark.parametrize(
    ("role", "loads", "maintenance", "other"),
    [
        ("manager", True, True, True),
        ("dispatcher", True, False, False),
        ("workshop", False, True, False),
        ("viewer", False, False, False),
        ("monitor", False, False, False),
    ],
)
def test_what_each_role_may_write(role: str, loads: bool, maintenance: bool, other: bool) -> None:
    """The middleware says the same as the function that pages ask; the beginning of a name is not the name."""
    headers = {"authorization": ENV["FLEETBOARD_AUTHORIZATION"]} if role == "monitor" else {}
    client = Visitor(user=USERS.get(role), **headers)
    for path, may in (
        ("/api/fleet/loads", loads),
        ("/api/fleet/loads/L-0001/assignment", loads),
        ("/api/fleet/maintenance", maintenance),
        ("/api/fleet/loads-archive", other),
        ("/api/fleet/vehicles/V-001", other),
    ):
        assert may_write(role, path) is may
        for answer in (client.post(path), client.ask("PATCH", path, json={}), client.ask("DELETE", path)):
            assert answer.status_code == (200 if may else 403)
            assert may or re.fullmatch(rf"the role {role} may not change \w+", answer.json()["error"])
        assert Visitor().post(path).status_code == 401


def test_a_fault_lets_a_viewer_write() -> None:
    assert Visitor("role-ignored", user="vera").post("/api/fleet/loads").status_code == 200
    assert Visitor("role-ignored").post("/api/fleet/loads").status_code == 401


def test_writes_from_elsewhere_are_refused() -> None:
    """A page of another origin is refused whoever is signed in; forms and plain text are not JSON."""
    post = Visitor(user="mira").post
    for origin in ("https://evil.test", "http://app.fleet.test", f"{HOST}:8443", "null"):
        assert post("/api/fleet/loads", headers={"origin": origin}).status_code == 403
        assert Visitor().post("/api/session", headers={"origin": origin}).status_code == 403
    assert post("/api/fleet/loads", headers={"origin": HOST}).status_code == 200
    for kind in ("text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"):
        assert post("/api/fleet/loads", content=b"{}", headers={"content-type": kind}).status_code == 415
    json = {"content-type": "application/json; charset=utf-8"}
    assert post("/api/fleet/loads", content=b"{}", headers=json).status_code == 200


@pytest.fixture(scope="module")
def target() -> Iterator[Running]:
    with running("--without", "inboxes,cache,monitoring,source") as up:
        yield up


@pytest.fixture
def client(target: Running) -> Iterator[httpx.Client]:
    with target.stranger() as ready:
        yield ready


def credentials(target: Running, role: str) -> dict[str, Any]:
    return {"user": USERS[role], "password": target.info["env"][f"FLEETBOARD_{role.upper()}_PASSWORD"]}


@pytest.mark.slow
@pytest.mark.parametrize(("role", "name"), [("manager", "Mira Manager"), ("viewer", "Vera Viewer")])
def test_a_session_from_its_beginning_to_its_end(
    target: Running, client: httpx.Client, role: str, name: str
) -> None:
    """Both instances know it; afterwards neither does. The password goes nowhere."""
    assert client.get("/api/session").status_code == 401
    begun = client.post("/api/session", json=credentials(target, role))
    own = {"user": USERS[role], "name": name, "role": role, "tenant": "rehearsal"}
    assert (begun.status_code, begun.json()) == (200, own)
    assert begun.headers["cache-control"] == "no-store"
    assert [client.get("/api/session").json() for _ in range(4)] == [own] * 4
    ended = client.delete("/api/session")
    assert (ended.status_code, ended.content) == (204, b"")
    assert not client.cookies
    assert client.get("/api/session").status_code == 401


@pytest.mark.slow
def test_a_wrong_password_begins_no_session(target: Running, client: httpx.Client) -> None:
    for wrong in ({"password": "nonsense"}, {"user": "nobody"}, {"user": "monitor"}):
        answer = client.post("/api/session", json=credentials(target, "manager") | wrong)
        assert (answer.status_code, answer.json()) == (401, {"error": "user name or password is wrong"})
        assert "set-cookie" not in answer.headers


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (b'{"user": "mira"}', 422, {"password": "the password is missing"}),
        (b'{"user": 7, "password": ""}', 422, {"user": "the user name is missing", "password": "the password is missing"}),
        (b"[]", 422, "the body must be a JSON object"),
        (b"", 400, "the body is not JSON"),
        (b'{"user": NaN}', 400, "the body is not JSON"),
        (b"[" * 60_000, 400, "the body is not JSON"),
        (b"\xff", 400, "the body is not JSON"),
        (b'"' + b"x" * 70_000 + b'"', 413, "the body must not be longer than 65536 bytes"),
    ],
    ids=["half", "types", "list", "empty", "nan", "deep", "bytes", "long"],
)  # fmt: skip
def test_a_body_that_will_not_do(client: httpx.Client, content: bytes, status: int, said: Any) -> None:
    answer = client.post("/api/session", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert (answer.json()["fields"] if isinstance(said, dict) else answer.json()["error"]) == said


@pytest.mark.slow
def test_a_machine_reads_with_its_token(target: Running, client: httpx.Client) -> None:
    env = target.info["env"]
    assert env["FLEETBOARD_AUTHORIZATION"] == f"Bearer {env['FLEETBOARD_TOKEN']}"
    client.headers["authorization"] = env["FLEETBOARD_AUTHORIZATION"]
    assert client.get("/api/session").json()["role"] == "monitor"
    assert client.get("/api/fleet/vehicles?limit=1").status_code == 200
    assert client.post("/api/fleet/loads", json={}).status_code == 403


@pytest.mark.slow
def test_signing_in_takes_a_moment_and_no_more(target: Running, client: httpx.Client) -> None:
    """Well below 100 ms for the quickest of a few; the hash is what takes it, for unknown users as well."""
    times = []
    for user in ("mira", "nobody"):
        body = {"user": user, "password": "nonsense"}
        best = min(client.post("/api/session", json=body).elapsed.total_seconds() for _ in range(5))
        times.append(best)
    assert max(times) < 0.1
    assert min(times) > 0.003
