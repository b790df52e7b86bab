"""The dashboard's page, the pages of text beside it, and their files."""

from __future__ import annotations

from pathlib import Path

import jinja2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from fleetboard.app.state import state_of
from fleetboard.faults import FAULTS

_PACKAGE = Path(__file__).parent.parent
STATIC = _PACKAGE / "static"

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_PACKAGE / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
)


async def home(_request: Request) -> Response:
    """The dashboard is the home page."""
    return RedirectResponse("/fleet/dashboard", 302)


async def dashboard(request: Request) -> Response:
    """The page; its scripts read the front-end faults from it."""
    state = state_of(request)
    faults = " ".join(name for name in state.settings.faults if FAULTS[name].front_end)
    html = _TEMPLATES.get_template("dashboard.html").render(faults=faults)
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
    """Routes of the page; ``script-404`` takes one script away."""
    missing = frozenset({"extras.js"}) if "script-404" in faults else frozenset[str]()
    return [
        Route("/", home),
        Route("/fleet/dashboard", dashboard),
        Route("/guide", guide),
        Route("/support", support),
        Route("/favicon.ico", favicon),
        Mount("/static", _Files(missing=missing)),
    ]
