"""The embedded target's pages: what the server writes into them, and whether all their files fit together."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware

from fleetboard import accounts
from fleetboard.accounts import Account
from fleetboard.app import pages
from fleetboard.app.access import Access
from fleetboard.faults import FAULTS

TEMPLATES = pages.STATIC.parent / "templates"
MODULES = sorted(pages.STATIC.glob("*.js"))
PATHS = ("/fleet/dashboard", "/fleet/dispatch", "/fleet/maintenance", "/fleet/analytics")
ROLES = {account.role: account for account in accounts.create()[0].accounts}


class _Known:
    """In the place of the sessions: everybody is this account."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def account(self, _connection: Any) -> Account:
        return self._account


def page(path: str, role: str = "manager", *faults: str) -> httpx.Response:
    """What somebody of a role gets."""
    app = Starlette(
        routes=pages.routes(faults), middleware=[Middleware(Access, sessions=_Known(ROLES[role]), faults=faults)]
    )
    app.state.parts = SimpleNamespace(settings=SimpleNamespace(faults=faults))

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="https://app.fleet.test") as client:
            return await client.get(path)

    return asyncio.run(asked())


@pytest.mark.parametrize("path", PATHS)
def test_each_page_says_where_and_who_one_is(path: str) -> None:
    text = page(path).text
    assert re.findall(r'href="(/fleet/\w+)"(?: aria-current="page")?>', text)[: len(PATHS)] == list(PATHS)
    assert re.findall(r'href="([^"]+)" aria-current="page"', text) == [path]
    assert re.search(r'data-testid="account" data-personal>Mira Manager<', text)
    assert len(re.findall(r"<h1>", text)) == 1


@pytest.mark.parametrize(
    ("role", "may"),
    [("manager", "loads maintenance"), ("dispatcher", "loads"), ("workshop", "maintenance"), ("viewer", "")],
)
def test_a_page_offers_what_the_role_may_change(role: str, may: str) -> None:
    text = page("/fleet/maintenance", role).text
    assert f'data-may="{may}"' in text
    assert ("data-open-schedule" in text) == ("maintenance" in may)
    assert ("<dialog" in text) == ("maintenance" in may)


def test_a_name_is_text_whatever_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ROLES, "viewer", Account("eve", "<b>Eve</b>", "viewer"))
    text = page("/fleet/dashboard", "viewer").text
    assert "&lt;b&gt;Eve&lt;/b&gt;" in text
    assert "<b>Eve" not in text


@pytest.mark.parametrize(
    ("asked", "leads_to"),
    [
        ("?next=/fleet/analytics", "/fleet/analytics"),
        ("?next=https://elsewhere.test/", "/fleet/dashboard"),
        ("?next=//elsewhere.test/fleet/", "/fleet/dashboard"),
        ("?next=/fleet/x%22%20onclick=%22x", "/fleet/x&#34; onclick=&#34;x"),
        ("", "/fleet/dashboard"),
    ],
)
def test_the_sign_in_leads_to_pages_of_ours_only(asked: str, leads_to: str) -> None:
    assert f'data-next="{leads_to}"' in page(f"/sign-in{asked}").text


def test_pages_are_told_the_faults_of_the_front_end_and_no_others() -> None:
    text = page("/fleet/dispatch", "manager", "chart-empty", "health-500", "error-hidden").text
    assert 'data-faults="chart-empty error-hidden"' in text


def test_every_fault_of_the_front_end_is_carried_out_in_one_module() -> None:
    """None is only listed, none is only there."""
    carried_out = set(re.findall(r'active\.has\("([a-z0-9-]+)"\)', (pages.STATIC / "faults.js").read_text()))
    assert carried_out == {name for name, fault in FAULTS.items() if fault.front_end}


@pytest.mark.parametrize("path", [*PATHS, "/sign-in", "/guide", "/support"])
def test_pages_keep_to_the_policy_and_name_files_that_are_there(path: str) -> None:
    """Scripts are files: the policy forbids inline ones, and handlers in attributes."""
    text = page(path).text
    assert not re.search(r"<script(?![^>]* src=)|\son\w+=", text)
    wanted = re.findall(r'"/static/([^"]+)"', text)
    assert [name for name in wanted if not (pages.STATIC / name).is_file()] == []
    assert any(name.endswith(".css") for name in wanted)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_modules_import_what_others_export(module: Path) -> None:
    """A name that is missing stops the whole page, and only in the browser."""
    for names, file in re.findall(r'import \{([^}]+)\} from "\./([^"]+)"', module.read_text()):
        exported = set(
            re.findall(r"export (?:async )?(?:function|class|const) (\w+)", (pages.STATIC / file).read_text())
        )
        assert {name.strip() for name in names.split(",") if name.strip()} <= exported


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_modules_use_what_they_import(module: Path) -> None:
    text = module.read_text()
    for names in re.findall(r"import \{([^}]+)\}", text):
        for name in names.split(","):
            assert len(re.findall(rf"\b{name.strip()}\b", text)) > 1, name


def test_every_file_of_a_page_is_used_by_one() -> None:
    """Nothing is served that no page asks for."""
    used = "".join(file.read_text() for file in (*TEMPLATES.glob("*.html"), *MODULES))
    files = [file.name for file in pages.STATIC.iterdir() if file.suffix in (".js", ".css")]
    assert [name for name in files if name not in used] == []


def test_files_that_others_wrote_have_their_licence_beside_them() -> None:
    folders = [folder for folder in (pages.STATIC / "vendor").iterdir() if folder.is_dir()]
    assert {folder.name for folder in folders} == {"leaflet", "uplot"}
    assert all("copyright" in (folder / "LICENSE").read_text().lower() for folder in folders)
