"""The application's pages, the pages of text beside them, and their files."""

from __future__ import annotations

from pathlib import Path

import jinja2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from fleetboard.app.access import SIGN_IN, account_of, may_write, own_path
from fleetboard.app.state import state_of
from fleetboard.faults import FAULTS

_PACKAGE = Path(__file__).parent.parent
STATIC = _PACKAGE / "static"

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_PACKAGE / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
)


_FLEET = {
    "/fleet/dashboard": ("dashboard.html", "Tracking"),
    "/fleet/dispatch": ("dispatch.html", "Dispatch"),
    "/fleet/maintenance": ("maintenance.html", "Maintenance"),
    "/fleet/analytics": ("analytics.html", "Analytics"),
}
"""The pages of the main navigation, in its order: template and name."""
_NAVIGATION = {path: title for path, (_, title) in _FLEET.items()}
_CHANGEABLE = ("loads", "maintenance")


async def home(_request: Request) -> Response:
    """The dashboard is the home page."""
    return RedirectResponse("/fleet/dashboard", 302)


async def fleet_page(request: Request) -> Response:
    """One page of the main navigation, with the name of who is signed in, and what they may change."""
    template, title = _FLEET[request.url.path]
    account = account_of(request)
    may = [what for what in _CHANGEABLE if account and may_write(account.role, f"/api/fleet/{what}")]
    return _rendered(request, template, title=title, pages=_NAVIGATION, account=account, may=" ".join(may))


async def sign_in(request: Request) -> Response:
    """The page that asks who somebody is."""
    return _rendered(request, "sign-in.html", next=own_path(request.query_params.get("next")))


def _rendered(request: Request, template: str, **values: object) -> Response:
    """A page of the application; its scripts read the front-end faults from it."""
    active = state_of(request).settings.faults
    faults = " ".join(name for name in active if FAULTS[name].front_end)
    html = _TEMPLATES.get_template(template).render(faults=faults, **values)
    return HTMLResponse(html, headers={"Cache-Control": "no-store"})


async def guide(request: Request) -> Response:
    """The user guide, unless a fault took it away."""
    faults = state_of(request).settings.faults
    if "doc-link-404" in faults:
        raise HTTPException(404)
    name = "missing.html" if "doc-link-not-found-200" in faults else "guide.html"
    return HTMLResponse(_TEMPLATES.get_template(name).render())


async def support(request: Request) -> Response:
    """Where users find help."""
    contact = "doc-anchor-missing" not in state_of(request).settings.faults
    return HTMLResponse(_TEMPLATES.get_template("support.html").render(contact=contact))


async def favicon(_request: Request) -> Response:
    """The icon that browsers ask for by themselves; they take SVG under this name too."""
    return FileResponse(STATIC / "favicon.svg", media_type="image/svg+xml")


class _Files(StaticFiles):
    """Static files, but for those that a fault takes away."""

    def __init__(self, *, missing: frozenset[str]) -> None:
        super().__init__(directory=STATIC)
        self._missing = missing

    async def get_response(self, path: str, scope: Scope) -> Response:
        if path in self._missing:
            raise HTTPException(404)
        return await super().get_response(path, scope)


def routes(faults: tuple[str, ...]) -> list[BaseRoute]:
    """Routes of the pages; ``script-404`` takes one script away."""
    missing = frozenset({"extras.js"}) if "script-404" in faults else frozenset[str]()
    return [
        Route("/", home),
        *(Route(path, fleet_page) for path in _FLEET),
        Route(SIGN_IN, sign_in),
        Route("/guide", guide),
        Route("/support", support),
        Route("/favicon.ico", favicon),
        Mount("/static", _Files(missing=missing)),
    ]
