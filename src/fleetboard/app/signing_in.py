"""The endpoints that begin and end sessions, and say whose session it is."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fleetboard.app.bodies import InvalidError, read_object
from fleetboard.app.sessions import PATH, described
from fleetboard.app.state import state_of


async def sign_in(request: Request) -> Response:
    """Begin a session."""
    body = await read_object(request)
    wrong = {
        name: f"{what} is missing"
        for name, what in (("user", "the user name"), ("password", "the password"))
        if not isinstance(body.get(name), str) or not body[name]
    }
    if wrong:
        raise InvalidError(wrong)
    sessions = state_of(request).sessions
    account = await sessions.check(body["user"], body["password"])
    if account is None:
        raise HTTPException(401, "user name or password is wrong")
    response = JSONResponse(described(account))
    sessions.begin(response, account)
    return response


async def session(request: Request) -> Response:
    """Who is signed in."""
    account = state_of(request).sessions.account(request)
    if account is None:
        raise HTTPException(401, "sign in first", {"WWW-Authenticate": "Bearer"})
    return JSONResponse(described(account))


async def sign_out(request: Request) -> Response:
    """End the session; nothing is wrong if there is none."""
    response = Response(status_code=204)
    state_of(request).sessions.end(response)
    return response


ROUTES = [
    Route(PATH, session, methods=["GET"]),
    Route(PATH, sign_in, methods=["POST"]),
    Route(PATH, sign_out, methods=["DELETE"]),
]
