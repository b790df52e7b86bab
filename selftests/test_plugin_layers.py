"""The layers of the code, read from its syntax trees."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import gonogo

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src"
PURE = ("addresses", "model", "errors", "statistics", "bounds", "plan", "playbook", "verdict", "selection")
PURE += ("alertmeaning", "alertrouting", "promql")
PURE += ("messages", "migrations", "schema", "schema_objects", "schema_rows", "schema_sql")
PURE += ("tls_chain", "tls_wire")
PURE += ("completeness",)
LOADING = ("arrivals", "loadchart", "loadfacts", "loadrules", "loadtally", "trend")
PURE += LOADING
GENERATOR = ("loadalarm", "loadclient", "loadoffer")
"""At home in the generator's process: these import gevent, and only the locustfile imports them."""
BELOW_PROBES = (
    "addresses",
    "errors",
    "network",
    "messages",
    "statistics",
    "migrations",
    "schema",
    "processes",
    "pgsession",
    "transport",
    "wire",
)
BELOW_PROBES += ("dnswire", "dnszones")
BELOW_PROBES += ("redaction", "timestamps")
BELOW_PROBES += ("tls_chain", "tls_hello", "tls_profile", "tls_wire")
BELOW_PROBES += ("arrivals", "loadfacts", "loadrules", "loadtally")
BELOW_PROBES += ("alertmeaning", "alertrouting", "jsonapi", "promql")
PROBES = sorted(p.stem for p in (SRC / "gonogo" / "probes").glob("*.py") if p.stem != "__init__")
HEAVY = ("pydantic", "httpx", "jinja2", "playwright", "psycopg", "dns", "markdown_it", "locust", "fleetboard")


def name_of(path: Path) -> str:
    """Dotted name of a module under src."""
    return ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in sorted(SRC.rglob("*.py"))}


def imported(node: ast.AST, package: str = "") -> Iterator[str]:
    """Names of modules, and of what is taken from them, that a tree imports anywhere."""
    for found in ast.walk(node):
        if isinstance(found, ast.Import):
            yield from (alias.name for alias in found.names)
        elif isinstance(found, ast.ImportFrom):
            base = ".".join(package.split(".")[: -found.level + 1 or None]) if found.level else ""
            module = ".".join(part for part in (base, found.module) if part)
            yield from (f"{module}.{alias.name}" for alias in found.names)


def imports(path: Path) -> set[str]:
    """Everything that a file imports, lazily and for types alone included."""
    return set(imported(ast.parse(path.read_text(encoding="utf-8"))))


def within(names: set[str], *packages: str) -> set[str]:
    """Those of the names that lie in one of the packages."""
    return {name for name in names for package in packages if name == package or name.startswith(package + ".")}


@pytest.mark.parametrize("module", PURE)
def test_the_core_knows_no_clock_file_network_or_pytest(module: str) -> None:
    tree = ast.parse(MODULES[f"gonogo.{module}"].read_text())
    names = set(imported(tree))

    banned = (
        "pytest",
        "_pytest",
        "pydantic",
        "os",
        "pathlib",
        "io",
        "socket",
        "ssl",
        "time",
        "random",
        "subprocess",
    )
    assert within(names, *banned) == set()
    assert {name.split(".")[1] for name in within(names, "gonogo")} <= set(PURE)
    clocks = {"now", "utcnow", "today"}
    calls = [n.func for n in ast.walk(tree) if isinstance(n, ast.Call)]
    assert [f.attr for f in calls if isinstance(f, ast.Attribute) and f.attr in clocks] == []
    assert [f.id for f in calls if isinstance(f, ast.Name) and f.id in {"open", "print", "input"}] == []


@pytest.mark.parametrize("probe", PROBES)
def test_probes_know_neither_pytest_nor_settings_nor_each_other(probe: str) -> None:
    names = imports(MODULES[f"gonogo.probes.{probe}"])

    assert within(names, "pytest", "_pytest") == set()
    assert within(names, "gonogo") - within(names, *(f"gonogo.{module}" for module in BELOW_PROBES)) == set()


@pytest.mark.parametrize(
    ("here", "there"), [("gonogo", "fleetboard"), ("fleetboard", "gonogo"), ("gonogo", "locust")]
)
def test_packages_that_must_not_meet(here: str, there: str) -> None:
    meeting = {name for name, path in MODULES.items() if within({name}, here) and within(imports(path), there)}

    assert meeting == set()


def test_gates_use_public_names_and_probes_only() -> None:
    public = {f"gonogo.{name}" for name in gonogo.__all__}
    for path in (ROOT / "tests").rglob("*.py"):
        private = {
            name
            for name in within(imports(path), "gonogo", "fleetboard")
            if name not in public
            and not name.startswith(("gonogo.probes.", "gonogo.schema.", "gonogo.migrations."))
            and not name.startswith(tuple(f"gonogo.{module}." for module in LOADING))
        }
        if path.name == "locustfile.py":  # a program of its own
            private -= within(private, *(f"gonogo.{module}" for module in GENERATOR))
        assert private == set(), path


def test_only_the_generator_is_at_home_in_gevent() -> None:
    generator = {f"gonogo.{module}" for module in GENERATOR}
    users = {name for name, path in MODULES.items() if within(imports(path), "gevent", "geventhttpclient")}
    importing = {name for name, path in MODULES.items() if within(imports(path), *generator)}

    assert users == generator
    assert importing <= generator


def at_import(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements that run when a module is imported: no function bodies, nothing for types alone."""
    for statement in tree.body:
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            continue
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for name, path in MODULES.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        names = {n for s in at_import(ast.parse(path.read_text())) for n in imported(s, package)}
        modules = {n if n in MODULES else n.rpartition(".")[0] for n in names}
        graph[name] = (modules & set(MODULES)) - {name}

    assert len(graph["gonogo.session"]) > 5
    TopologicalSorter(graph).prepare()  # raises on a circle, and names it


def test_only_the_root_conftest_knows_both_packages() -> None:
    names = imports(ROOT / "conftest.py")

    assert within(names, "gonogo")
    assert within(names, "fleetboard")


@pytest.mark.parametrize("module", ["gonogo", "gonogo.plugin", "gonogo.collection"])
def test_importing_the_plugin_costs_next_to_nothing(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.split() == []


def test_importing_gonogo_alone_brings_no_pytest() -> None:
    code = "import sys, gonogo, gonogo.probes.tls; print('pytest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "False"
