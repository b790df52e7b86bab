"""What a plan names: texts, programs, files, documents, variables, people; and what of it is not there.

The plan is read once more from its files. Tables are walked by what their settings are (``Runs``, ``Exists``,
``FromEnv`` in ``tables.base``), not by their names, so that a new table is covered by itself.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from gonogo import completeness
from gonogo.completeness import Gap
from gonogo.errors import ToolError
from gonogo.launchfile import load_launch_file
from gonogo.model import PHASES, Phase
from gonogo.plan import PLAYBOOK
from gonogo.playbook import parse_playbook
from gonogo.settings import LaunchFile
from gonogo.tables.base import Exists, FromEnv, Runs

_LAUNCH_PHASE = "phase5"
"""The phase in which people are told: what comes before it must have a place in the plan."""


@dataclass(frozen=True)
class PlanFacts:
    """What one target's plan names, and what of it is missing; no values, as some are secret."""

    texts: int
    """Texts of launch.toml and lines of the playbook that were read."""
    placeholders: tuple[Gap, ...]
    programs: tuple[str, ...]
    """Keys of the commands."""
    missing_programs: tuple[Gap, ...]
    files: tuple[str, ...]
    """Files that are named, the playbook's own links included."""
    missing_files: tuple[Gap, ...]
    variables: tuple[str, ...]
    missing_variables: tuple[Gap, ...]
    roles: tuple[str, ...]
    """Who owns a phase or attests a box."""
    missing_people: tuple[Gap, ...]
    phases: tuple[str, ...]
    before: tuple[str, ...]
    """Phases before the one in which the launch is announced."""


def read_plan(launch_file: Path, root: Path, *, target: str, environment: Mapping[str, str]) -> PlanFacts:
    """Look through the plan of one target and of its staging companion.

    Args:
        launch_file: launch.toml.
        root: folder of the playbook; commands run there.
        target: name of the target.
        environment: variables that the target's commands get.

    Raises:
        PlanError: launch.toml or the playbook is no plan.
        ToolError: the file does not describe this target, or can't be read.
    """
    launch = load_launch_file(launch_file)
    if target not in launch.targets:
        raise ToolError(f"{launch_file.name}: there is no target {target!r}; it has {', '.join(launch.targets)}")
    playbook = root / PLAYBOOK
    try:
        text = playbook.read_text(encoding="utf-8") if playbook.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ToolError(f"{PLAYBOOK} can't be read: {error}; save it as UTF-8 text") from None
    phases = parse_playbook(text) if text else ()
    return _Look(launch, target, root, environment).facts(text, phases)


@dataclass(frozen=True)
class _Entry:
    """One value of launch.toml with the marks that its setting has."""

    key: str
    value: Any
    marks: frozenset[type]


def _walk(key: str, value: Any, marks: frozenset[type] = frozenset()) -> Iterator[_Entry]:
    if value is None:
        return
    is_command = Runs in marks and isinstance(value, tuple) and all(isinstance(part, str) for part in value)
    if is_command or isinstance(value, FromEnv) or not isinstance(value, BaseModel | Mapping | tuple | list):
        yield _Entry(key, value, marks)
    elif isinstance(value, BaseModel):
        fields = type(value).model_fields
        for name, field in fields.items():
            own = _marks(field.metadata, field.annotation)
            yield from _walk(f"{key}.{field.alias or name}", getattr(value, name), own)
    elif isinstance(value, Mapping):
        for name, inside in value.items():
            yield _Entry(f"{key}.{name}", str(name), frozenset())
            yield from _walk(f"{key}.{name}", inside, marks)
    else:
        for number, inside in enumerate(value, 1):
            yield from _walk(f"{key}[{number}]", inside, marks)


def _marks(metadata: list[Any], annotation: Any) -> frozenset[type]:
    """Which of our marks a setting's type has, also inside ``| None``."""
    found = {type(one) for one in (*metadata, *getattr(annotation, "__metadata__", ()))}
    inside = [mark for part in get_args(annotation) for mark in _marks([], part)]
    return frozenset({mark for mark in (*found, *inside) if mark in (Runs, Exists)})


class _Look:
    """One look at one plan."""

    def __init__(self, launch: LaunchFile, target: str, root: Path, environment: Mapping[str, str]) -> None:
        self._launch = launch
        self._root = root
        self._environment = environment
        self._target = target
        settings = launch.targets[target]
        self._repository = settings.change.repository if settings.change else "."
        self._allowed = settings.change.allow_texts if settings.change else ()
        own = list(_walk(f"targets.{target}", settings))
        if settings.staging:  # what it takes over from the target is not named twice
            seen = {(_behind(entry.key, target), repr(entry.value)) for entry in own}
            companion = _walk(f"targets.{settings.staging}", launch.targets[settings.staging])
            own += [e for e in companion if (_behind(e.key, settings.staging), repr(e.value)) not in seen]
        self._own = own

    def facts(self, text: str, phases: tuple[Phase, ...]) -> PlanFacts:
        """Everything at once."""
        commands = [entry for entry in self._own if _is_command(entry)]
        named = [(entry.key, entry.value) for entry in self._own if _is_file(entry)]
        links = completeness.local_links(_links_of(text))
        wanted = self._wanted_variables()
        roles = _roles(phases)
        missing = [
            Gap(f"{PLAYBOOK}: {link}", "not there", "write it or mend the link")
            for link in links
            if not _is_there(self._root / link)
        ]
        return PlanFacts(
            texts=len(self._texts(text)),
            placeholders=tuple(self._placeholders(text)),
            programs=tuple(entry.key for entry in commands),
            missing_programs=tuple(gap for entry in commands for gap in self._missing_of(entry)),
            files=(*(key for key, _ in named), *links),
            missing_files=(*(gap for key, file in named for gap in self._file(key, file)), *missing),
            variables=tuple(dict.fromkeys(name for _, name in wanted)),
            missing_variables=tuple(self._unset(wanted)),
            roles=tuple(roles),
            missing_people=tuple(self._nobody(roles)),
            phases=tuple(phase.id for phase in phases),
            before=tuple(p.id for p in phases if PHASES.index(p.id) < PHASES.index(_LAUNCH_PHASE)),
        )

    def _texts(self, playbook: str) -> list[tuple[str, str]]:
        """Every text with its place."""
        launch = [*_walk("launch", self._launch.launch), *_walk("people", self._launch.people), *self._own]
        texts = []
        for entry in launch:
            parts = entry.value if isinstance(entry.value, tuple) else (entry.value,)
            texts += [(entry.key, part) for part in parts if isinstance(part, str)]
        lines = enumerate(playbook.splitlines(), 1)
        return texts + [(f"{PLAYBOOK}:{number}", line) for number, line in lines if line.strip()]

    def _placeholders(self, playbook: str) -> Iterator[Gap]:
        if self._launch.launch.at is None:
            yield Gap("launch.at", "TBD", "write the date and time of the launch, with its zone")
        for key, text in self._texts(playbook):
            if not key.endswith("allow_texts") and ".allow_texts[" not in key:
                for found in completeness.placeholders(text, allowed=self._allowed):
                    yield Gap(key, found, "write what it stands for")

    def _missing_of(self, entry: _Entry) -> Iterator[Gap]:
        for kind, name in completeness.needed(entry.value):
            if kind == "module" and not self._has_module(name):
                yield Gap(entry.key, f"there is no module {name}", "install it or mend the command")
            elif kind == "program" and not self._has_program(self._filled(name)):
                yield Gap(entry.key, f"there is no program {name}", "install it, or write its path")
            elif kind == "file" and not self._path(name).is_file():
                yield Gap(entry.key, f"there is no file {name}", "put it there or mend the command")

    def _filled(self, text: str) -> str:
        """A setting with everything that it leaves open; a variable that is not set stays as it is."""
        whole = text.replace("{repository}", self._repository).replace("{target}", self._target)
        for name in completeness.variables(whole):
            value = self._environment.get(name)
            whole = whole.replace(f"${{{name}}}", value).replace(f"${name}", value) if value else whole
        return whole

    def _path(self, text: str) -> Path:
        return self._root / Path(self._filled(text)).expanduser()

    def _has_program(self, name: str) -> bool:
        if "/" in name:
            path = self._root / name
            return path.is_file() and os.access(path, os.X_OK)
        return shutil.which(name, path=self._environment.get("PATH")) is not None

    def _has_module(self, name: str) -> bool:
        top, *parts = name.split(".")
        if (self._root / top).is_dir() or (self._root / f"{top}.py").is_file():
            return _can_run(self._root / top, parts)
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError):
            return False
        folders = spec.submodule_search_locations if spec else None
        return spec is not None and (not folders or any(_can_run(Path(folder), parts) for folder in folders))

    def _file(self, key: str, file: str) -> Iterator[Gap]:
        path = self._path(file)
        if not _is_there(path) and not glob.glob(str(path), recursive=True):  # noqa: PTH207 - it may be absolute
            yield Gap(key, f"there is no file {file}", "write it, or mend the plan")
        elif path.is_file() and path.stat().st_size == 0:
            yield Gap(key, f"the file {file} is empty", "write it")

    def _wanted_variables(self) -> list[tuple[str, str]]:
        wanted = []
        for entry in self._own:
            if isinstance(entry.value, FromEnv):
                wanted.append((entry.key, entry.value.env))
            elif isinstance(entry.value, str) or _is_command(entry):
                parts = (entry.value,) if isinstance(entry.value, str) else entry.value
                wanted += [(entry.key, name) for part in parts for name in completeness.variables(part)]
        return wanted

    def _unset(self, wanted: list[tuple[str, str]]) -> Iterator[Gap]:
        for name in dict.fromkeys(name for _, name in wanted):
            if not self._environment.get(name):
                keys = [key for key, one in wanted if one == name]
                more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
                yield Gap(f"{keys[0]}{more}", f"the variable {name} is not set", "export it")

    def _nobody(self, roles: list[str]) -> Iterator[Gap]:
        known = {role.casefold() for role in self._launch.people}
        for role in roles:
            if role.casefold() not in known:
                yield Gap(f'people."{role}"', "nobody is named", "write name and contact")


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # its name is too long, or it lies where we may not look
        return False


def _can_run(top: Path, parts: list[str]) -> bool:
    """Whether Python can run a module of a package with ``-m``; ``parts`` are those of its name below ``top``."""
    found = top.joinpath(*parts)
    return any(one.is_file() for one in (found.with_name(f"{found.name}.py"), found / "__main__.py")) or any(
        found.parent.glob(f"{glob.escape(found.name)}.*.so")
    )


def _behind(key: str, target: str) -> str:
    return key.removeprefix(f"targets.{target}.")


def _is_command(entry: _Entry) -> bool:
    return Runs in entry.marks and isinstance(entry.value, tuple)


def _is_file(entry: _Entry) -> bool:
    if not isinstance(entry.value, str):
        return False
    if entry.key.endswith(".http.openapi"):  # else it is a path of the target
        return not entry.value.startswith("/")
    return Exists in entry.marks


def _roles(phases: tuple[Phase, ...]) -> list[str]:
    owners = [phase.owner for phase in phases if phase.owner]
    attesting = [box.role for phase in phases for box in phase.boxes if box.role]
    return list(dict.fromkeys([*owners, *attesting]))


def _links_of(text: str) -> list[str]:
    from markdown_it import MarkdownIt  # noqa: PLC0415 - 60 ms that only this needs

    found = []
    for token in MarkdownIt("commonmark").parse(text):
        for child in token.children or []:
            link = child.attrs.get("href") or child.attrs.get("src")
            if isinstance(link, str):
                found.append(link)
    return found
