"""The target as gates see it: addresses, trust and bounds, resolved once a session."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gonogo.errors import TargetError, ToolError
from gonogo.plan import LAUNCH_FILE
from gonogo.processes import CommandFacts, run_command
from gonogo.resolving import look_up
from gonogo.settings import LaunchFile, Person, TargetSettings, expanded, split_host_port, unset, value_of
from gonogo.tables.base import FromEnv
from gonogo.tables.http import Http, header_problem
from gonogo.tables.release import commit_hash

if TYPE_CHECKING:
    from gonogo.probes.http import HttpProbe
    from gonogo.transport import ConnectTo


class Target:
    """One target of launch.toml, with what was found out at run time (strictly read-only for gates)."""

    def __init__(
        self,
        name: str,
        settings: TargetSettings,
        provided: Mapping[str, str],
        version: str,
        *,
        root: Path | None = None,
        reports: Path | None = None,
        armed: Sequence[str] = (),
        productions: Collection[tuple[str, ...]] = (),
        plan: LaunchFile | None = None,
        launch_file: Path | None = None,
    ) -> None:
        """Join the file's settings with what brought the target up.

        Args:
            name: its name in launch.toml.
            settings: its tables.
            provided: what is known only at run time; see ``pytest_gonogo_provide_target``.
            version: release to be launched.
            root: folder of the plan; the current one if ``None``.
            reports: folder of the reports; ``reports`` in the plan's if ``None``.
            armed: what may be done to a target that is not disposable.
            productions: commands that change the production targets of the same launch.toml.
            plan: the whole of launch.toml; with it come the date of the launch and the people.
            launch_file: where that was read; ``launch.toml`` in the plan's folder if ``None``.

        Raises:
            ToolError: nothing says where the target is.
        """
        self.root = root or Path.cwd()
        self.reports = reports or self.root / "reports"
        self._provided = provided
        self._armed = frozenset(armed)
        self._productions = frozenset(productions)
        self._plan = plan
        self.at = plan.launch.at if plan else None
        """When the launch is, in UTC; ``None`` as long as the plan says TBD."""
        self.project = plan.launch.project if plan else ""
        self.people: Mapping[str, Person] = plan.people if plan else {}
        """Who holds each role."""
        self.launch_file = launch_file or self.root / LAUNCH_FILE
        """The file that describes this target."""
        self.name = name
        self.kind = settings.kind
        self.version = version
        """Release to be launched."""
        self._settings = settings
        base_url = provided.get("base_url") or settings.base_url
        if not base_url:
            raise ToolError(
                f"launch.toml: targets.{name}.base_url is missing; add it, e.g. https://app.example.com"
            )
        self.base_url = base_url.rstrip("/")
        split = urlsplit(self.base_url)
        self.scheme = split.scheme
        self.host = split.hostname or ""
        self.port = split.port or (443 if split.scheme == "https" else 80)
        ca_file = provided.get("ca_file") or settings.ca_file
        self.ca_file = Path(ca_file) if ca_file else None
        resolver = provided.get("resolver") or settings.resolver
        self.resolver = split_host_port(resolver) if resolver else None
        self._database_url = provided.get("database_url")
        self._addresses: dict[str, list[str]] = {}

    @property
    def database_url(self) -> str:
        """Where the database is; contains the password, never store it.

        Raises:
            ToolError: launch.toml does not say, or names an environment variable that is not set.
        """
        url = self._database_url or self._settings.database_address()
        if not url:
            raise ToolError(
                f"launch.toml: targets.{self.name}.database_url is missing; add it or name a variable: "
                '{ env = "DATABASE_URL" }'
            )
        return url

    def settings(self, table: str) -> Any:
        """The bounds of one domain, a frozen model with the fields of ``[targets.NAME.<table>]``.

        Raises:
            ToolError: the table is missing in launch.toml.
        """
        found = getattr(self._settings, table, None)
        if found is None:
            raise ToolError(f"launch.toml: [targets.{self.name}.{table}] is missing; add it, or scope the box out")
        return found

    def has(self, table: str) -> bool:
        """Whether launch.toml describes this domain of the target."""
        return getattr(self._settings, table, None) is not None

    def source(self, key: str) -> str:
        """Where a bound comes from, e.g. ``launch.toml: tls.min_days``, or the default of the playbook."""
        table, _, field = key.partition(".")
        model = getattr(self._settings, table, None)
        written = model is not None and field.partition(".")[0] in model.model_fields_set
        return f"launch.toml: {key}" if written else f"default: {key}"

    @property
    def scratch_url(self) -> str | None:
        """Superuser's connection URL of the scratch server that launch.toml names; contains the password.

        Raises:
            ToolError: an environment variable is not set.
        """
        database = self._settings.database
        return value_of(database.scratch_url, "database.scratch_url") if database else None

    @property
    def commit(self) -> str:
        """Commit that must run, in lower case.

        Raises:
            ToolError: launch.toml does not say, or what it says is no commit.
        """
        deploy = self._settings.deploy
        written = value_of(deploy.commit, "deploy.commit") if deploy else None
        text = written or self._provided.get("commit")
        if not text:
            raise ToolError(
                f"launch.toml: targets.{self.name}.deploy.commit is missing; name the commit of release "
                f'{self.version}, or a variable: {{ env = "GITHUB_SHA" }}'
            )
        try:
            return commit_hash(text)
        except ValueError as error:
            raise ToolError(f"launch.toml: targets.{self.name}.deploy.commit: {error}") from None

    def armed(self, what: str) -> bool:
        """Whether ``what`` may be done to this target: it is disposable, or ``--gonogo-arm`` names it."""
        return self.kind == "disposable" or what in self._armed

    def require_own(self, key: str, command: Sequence[str]) -> None:
        """Refuse a command that is word for word a production target's, as ``like`` takes it over.

        Args:
            key: where launch.toml has it.
            command: as launch.toml has it; with ``{target}`` in an argument it knows whom to change.

        Raises:
            ToolError: nothing in it says that it is for this target.
        """
        told = any("{target}" in part for part in command)
        if self.kind != "production" and not told and tuple(command) in self._productions:
            raise ToolError(
                f"launch.toml: targets.{self.name}.{key} is the very command of a production target, so it was not "
                f"run on behalf of {self.name}; give it an argument with {{target}}, or a table of its own"
            )

    def production_here(self, allowed: Collection[str] = ()) -> str:
        """Whether this target, which is called no production, is one after all: by its host or by an address.

        Args:
            allowed: production targets with which it shares addresses on purpose.

        Returns:
            A sentence; empty if it is none, or if it is called one itself.

        Raises:
            TargetError: its own name has no address.
        """
        if self.kind == "production":
            return ""
        for name, other in (self._plan.targets if self._plan else {}).items():
            if other.kind == "production" and name not in allowed and (why := self._same_as(name, other)):
                return why
        return ""

    def _same_as(self, name: str, other: TargetSettings) -> str:
        """Why another target is the same machine as this one; empty if it is not."""
        host = urlsplit(other.base_url or "").hostname
        if host == self.host.lower():
            return f"{self.host} is the host of {name}, a production target; correct targets.{self.name}.base_url"
        theirs: list[str] = []
        if host:
            with contextlib.suppress(TargetError):  # a production that has no address yet can't be hit
                theirs = look_up(host, other, split_host_port(other.resolver) if other.resolver else None)
        if shared := sorted(set(self.addresses if theirs else ()).intersection(theirs)):
            return (
                f"{self.host} resolves to {shared[0]}, which is an address of {name}, a production target; "
                f"correct it, or name {name!r} in load.shared_with if that is meant"
            )
        return ""

    @property
    def environment(self) -> dict[str, str]:
        """Environment of the team's commands: ours, and what the target's provider adds."""
        added = {k.removeprefix("env."): v for k, v in self._provided.items() if k.startswith("env.")}
        return {**os.environ, **added}

    def run(
        self,
        command: Sequence[str],
        *,
        timeout_s: float,
        environment: Mapping[str, str] | None = None,
        answers: Sequence[tuple[str, str]] = (),
    ) -> CommandFacts:
        """Run a command of the team's in the plan's folder.

        Args:
            command: program and arguments; ``{python}`` stands for this interpreter, ``{target}`` for the
                target's name.
            timeout_s: limit in seconds, after which it is ended with everything it started.
            environment: its variables on top of :attr:`environment`, of which libpq's are then left out: a
                ``PGSERVICE`` of ours would lead the command to another database than the one it is given.
            answers: prompts and what is typed at them.

        Raises:
            ToolError: the program can't be started.
        """
        filled = [part.replace("{python}", sys.executable).replace("{target}", self.name) for part in command]
        inherited = self.environment
        if environment is not None:
            inherited = {name: value for name, value in inherited.items() if not name.startswith("PG")}
        whole = {**inherited, **(environment or {})}
        return run_command(filled, timeout_s=timeout_s, environment=whole, cwd=self.root, answers=answers)

    def expand(self, text: str) -> str:
        """A setting with each ``$NAME`` replaced by that variable of :attr:`environment`; ``$$`` is a dollar sign.

        Raises:
            ToolError: a variable is not set.
        """
        return expanded(text, self.environment)

    def secret(self, setting: str | FromEnv, key: str) -> str:
        """A secret of the plan: a text with ``$NAME``, or what a variable of :attr:`environment` holds.

        Args:
            setting: as launch.toml has it.
            key: where it stands, for the error.

        Raises:
            ToolError: a variable is not set.
        """
        if isinstance(setting, str):
            return expanded(setting, self.environment, key)
        value = self.environment.get(setting.env)
        if not value:
            raise ToolError(unset(key, setting.env))
        return value

    @property
    def credentials(self) -> dict[str, str]:
        """The headers of ``http.headers``, filled in; they say who we are: never store or show their values.

        Raises:
            ToolError: a variable is not set, or holds what no header may.
        """
        written = self._settings.http.headers if self._settings.http else {}
        return {name: self._header(value, f"http.headers.{name}") for name, value in written.items()}

    def _header(self, written: str | FromEnv, key: str) -> str:
        value = self.secret(written, key).strip()  # a file that a variable was read from ends with a line break
        if problem := header_problem(value):
            raise ToolError(f"launch.toml: what {key} stands for {problem}; set its variable anew")
        return value

    def files(self, pattern: str) -> list[Path]:
        """Files that match a pattern with wildcards and ``$NAME``, relative to the plan's folder, newest last.

        Raises:
            ToolError: the pattern names a variable that is not set, or is none.
        """
        path = Path(self.expand(pattern)).expanduser()
        anchor = Path(path.anchor) if path.is_absolute() else self.root
        found = []
        try:
            for one in anchor.glob(str(path.relative_to(path.anchor) if path.is_absolute() else path)):
                with contextlib.suppress(FileNotFoundError):  # a job tidies up, or a link leads nowhere
                    found.append((one.stat().st_mtime_ns, one.name, one))
        except (ValueError, NotImplementedError) as error:
            raise ToolError(f"launch.toml: {pattern!r} is no pattern of files: {error}") from None
        return [one for _, _, one in sorted(found)]

    def url(self, path: str) -> str:
        """Absolute address of a path of the target."""
        return self.base_url + path

    @property
    def maps_names(self) -> bool:
        """Whether the plan says itself where the target's name leads, by a resolver or an address."""
        return self.resolver is not None or self.host in self._settings.address

    def resolve(self, host: str) -> list[str]:
        """Addresses of a name, as the plan's resolver gives them, IPv4 first.

        Raises:
            TargetError: the name has no address.
        """
        if host not in self._addresses:
            self._addresses[host] = look_up(host, self._settings, self.resolver)
        return self._addresses[host]

    @property
    def addresses(self) -> list[str]:
        """Every address behind the target's name."""
        return self.resolve(self.host)

    def connect_to(self, host: str, port: int) -> tuple[str, int]:
        """Address to connect to for a host and port of a URL."""
        return self.resolve(host)[0], port

    def http(self) -> HttpProbe:
        """The session's HTTP client: verified TLS, the plan's resolver and headers, connections kept."""
        return self._http

    @cached_property
    def _http(self) -> HttpProbe:
        return self.client()

    def client(self, connect_to: ConnectTo | None = None) -> HttpProbe:
        """An HTTP client like :meth:`http` with connections of its own; whoever asks for it closes it.

        Args:
            connect_to: maps host and port to another address than the plan's resolver does.

        Raises:
            ToolError: ``ca_file`` can't be used, or :attr:`credentials` can't.
        """
        return self._probe(connect_to, identified=True)

    def visitor(self) -> HttpProbe:
        """A client as somebody unknown has it: none of the plan's headers, but cookies of its own, which it keeps.

        Whoever asks for it closes it: ``with target.visitor() as visitor: ...``.
        """
        return self._probe(identified=False)

    def session(self, user: str, password: str) -> HttpProbe:
        """A :meth:`visitor` who has signed in at ``smoke.session``; whoever asks for it closes it.

        Args:
            user: the account.
            password: sent as JSON, ``{"user": ..., "password": ...}``; see :meth:`secret`.

        Raises:
            TargetError: the answer was not 200, or it set no cookie; so nobody is signed in.
        """
        path, visitor = self.settings("smoke").session, self.visitor()
        with contextlib.ExitStack() as stack:
            stack.callback(visitor.close)
            answer = visitor.request("POST", path, json={"user": user, "password": password})
            if answer.status != 200 or not visitor.cookies:
                lack = "" if visitor.cookies else " and no cookie"
                raise TargetError(f"signing {user} in at {path} was answered with HTTP {answer.status}{lack}")
            stack.pop_all()
        return visitor

    def _probe(self, connect_to: ConnectTo | None = None, *, identified: bool) -> HttpProbe:
        from gonogo.probes.http import HttpProbe  # noqa: PLC0415 - 0.3 s that only HTTP gates need

        limits = self._settings.http or Http()
        return HttpProbe(
            self.base_url,
            ca_file=self.ca_file,
            connect_to=connect_to or self.connect_to,
            timeout_s=limits.timeout_s,
            max_bytes=limits.max_body_bytes,
            credentials=self.credentials if identified else None,
            keep_cookies=not identified,
        )

    def close(self) -> None:
        """Close the connections that were kept."""
        if "_http" in self.__dict__:
            self._http.close()
