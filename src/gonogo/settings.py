"""launch.toml as frozen, validated models; every default bound is the playbook's.

Unknown keys, wrong types and impossible combinations are refused before any network.
"""

from __future__ import annotations

import os
import re
import string
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from gonogo.addresses import is_address
from gonogo.errors import ToolError
from gonogo.model import Launch
from gonogo.tables.base import File, FromEnv, Table
from gonogo.tables.change import Change
from gonogo.tables.dns import Dns
from gonogo.tables.edge import Edge
from gonogo.tables.http import Http
from gonogo.tables.load import Load
from gonogo.tables.monitoring import Monitoring
from gonogo.tables.notify import Docs, Notify
from gonogo.tables.ramp import Availability, Ramp
from gonogo.tables.release import Backup, Database, Deploy, Rollback
from gonogo.tables.service import Logs, Process, Services
from gonogo.tables.smoke import Smoke
from gonogo.tables.tls import Tls
from gonogo.tables.websocket import Websocket

Kind = Literal["production", "staging", "disposable"]


class TargetSettings(Table):
    """One ``[targets.NAME]``."""

    kind: Kind
    like: str | None = None
    """Another target, whose tables serve where this one has none of its own."""
    base_url: str | None = None
    database_url: str | FromEnv | None = None
    ca_file: File | None = None
    resolver: str | None = None
    address: dict[str, str] = Field(default={})
    staging: str | None = None
    dns: Dns | None = None
    tls: Tls | None = None
    http: Http | None = None
    websocket: Websocket | None = None
    database: Database | None = None
    backup: Backup | None = None
    deploy: Deploy | None = None
    rollback: Rollback | None = None
    load: Load | None = None
    ramp: Ramp | None = None
    availability: Availability | None = None
    smoke: Smoke | None = None
    edge: Edge | None = None
    process: Process | None = None
    logs: Logs | None = None
    services: Services | None = None
    monitoring: Monitoring | None = None
    notify: Notify | None = None
    docs: Docs | None = None
    change: Change | None = None

    @field_validator("base_url")
    @classmethod
    def _origin(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not value.startswith(("https://", "http://")):
            raise ValueError(f"{value!r} must begin with https:// or http://")
        try:
            split = urlsplit(value)
            usable = bool(split.hostname) and split.port != 0
        except ValueError:
            usable = False
        if "@" in value:
            raise ValueError("must hold no user and no password, because reports print it")
        if not usable or split.query or split.fragment:
            raise ValueError(
                f"{value!r} must be scheme, host and, if need be, port, e.g. https://app.example.com:8443"
            )
        return value.rstrip("/")

    @field_validator("resolver")
    @classmethod
    def _host_port(cls, value: str | None) -> str | None:
        if value is not None:
            host, _ = split_host_port(value)
            if not is_address(host):
                raise ValueError(f"{value!r} must begin with an IP address, e.g. 10.0.0.2:53")
        return value

    @field_validator("address")
    @classmethod
    def _ips(cls, value: dict[str, str]) -> dict[str, str]:
        for host, ip in value.items():
            if not is_address(ip):
                raise ValueError(f'{ip!r} must be an IP address, e.g. {{ "{host}" = "10.0.0.10" }}')
        return value

    @model_validator(mode="after")
    def _production_is_encrypted(self) -> Self:
        if self.kind == "production" and (self.base_url or "").startswith("http://"):
            raise ValueError("base_url of a production target must begin with https://")
        return self

    def for_digest(self) -> dict[str, Any]:
        """All settings as plain data, without what is secret.

        Of the database's address the place is left, of a header of ours its name and its variable's.
        """
        elsewhere = {"database": {"scratch_url", "pg_bin"}}  # about our own tools, not about the target
        plain = self.model_dump(mode="json", exclude={"database_url": True, "like": True, **elsewhere})
        if isinstance(self.database_url, FromEnv):
            plain["database_url"] = f"${self.database_url.env}"
        elif self.database_url:
            place = re.sub(r"(?<=://).*@", "", self.database_url)
            plain["database_url"] = re.sub(r"(?i)password\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&]*)", "", place)
        if self.http:
            written = self.http.headers.items()
            plain["http"]["headers"] = {n: f"${v.env}" if isinstance(v, FromEnv) else "" for n, v in written}
        return plain

    def database_address(self) -> str | None:
        """The database URL itself, read from the environment where the file says so.

        Raises:
            ToolError: the environment variable is not set.
        """
        return value_of(self.database_url, "database_url")


def value_of(setting: str | FromEnv | None, key: str) -> str | None:
    """A value that launch.toml holds itself, or leaves to an environment variable.

    Raises:
        ToolError: the environment variable is not set.
    """
    if not isinstance(setting, FromEnv):
        return setting
    value = os.environ.get(setting.env)
    if not value:
        raise ToolError(unset(key, setting.env))
    return value


def unset(key: str, variable: str) -> str:
    """The sentence for a setting that is left to a variable which is not there."""
    return f"launch.toml: {key} is read from {variable}, which is not set; export that environment variable"


class LaunchTable(Table):
    """``[launch]``."""

    project: str = Field(min_length=1)
    version: str = Field(min_length=1)
    at: datetime | None = None
    ledger: str = "reports/ledger"

    @field_validator("at", mode="before")
    @classmethod
    def _moment(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value.upper() == "TBD":
                return None
            raise ValueError("write a date and time with its zone and without quotes, e.g. 2026-12-01T09:00:00Z")
        if type(value) is date:  # a datetime is one too
            raise ValueError(f"{value.isoformat()} has no time; write e.g. {value.isoformat()}T09:00:00Z")
        if isinstance(value, datetime) and value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} has no zone; append Z or an offset such as +01:00")
        return value.astimezone(UTC) if isinstance(value, datetime) else value


class Person(Table):
    """Who holds a role."""

    name: str = Field(min_length=1)
    contact: str = Field(min_length=1)


class LaunchFile(Table):
    """The whole of launch.toml."""

    launch: LaunchTable
    targets: dict[str, TargetSettings] = Field(min_length=1)
    people: dict[str, Person] = Field(default={})

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, raw: Any) -> Any:
        """Give each target the tables of the one that it is like."""
        targets = raw.get("targets") if isinstance(raw, dict) else None
        if not isinstance(targets, dict):
            return raw
        return {**raw, "targets": {name: _filled(name, target, targets) for name, target in targets.items()}}

    @model_validator(mode="after")
    def _companions(self) -> Self:
        for name, target in self.targets.items():
            if target.staging is None:
                continue
            able = [n for n, t in self.targets.items() if n != name and t.kind != "production"]
            if target.staging not in able:
                raise ValueError(
                    f"targets.{name}.staging names {target.staging!r}; allowed is another target that is no "
                    f"production: {', '.join(able) or 'the file has none'}"
                )
        return self

    def as_launch(self) -> Launch:
        """What is launched."""
        return Launch(self.launch.project, self.launch.version, self.launch.at)


_TABLES = (
    "dns", "tls", "http", "websocket", "database", "backup", "deploy", "rollback", "load", "ramp", "availability",
    "smoke", "edge", "process", "logs", "services", "monitoring", "notify", "docs", "change",
)  # fmt: skip


def _filled(name: str, target: Any, targets: dict[str, Any]) -> Any:
    like = target.get("like") if isinstance(target, dict) else None
    if not isinstance(like, str):
        return target
    model = targets.get(like)
    if not isinstance(model, dict) or like == name or "like" in model:
        others = ", ".join(n for n, t in targets.items() if n != name and isinstance(t, dict) and "like" not in t)
        raise ValueError(
            f"targets.{name}.like names {like!r}; allowed is a target that is itself like no other: "
            f"{others or 'none'}"
        )
    return {**{key: model[key] for key in _TABLES if key in model}, **target}


def split_host_port(text: str) -> tuple[str, int]:
    """Read ``127.0.0.1:53`` or ``[::1]:53``.

    Raises:
        ValueError: says what is allowed.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 65536 or not host:
        raise ValueError(f"{text!r} must be written as address:port, e.g. 127.0.0.1:53")
    return host.strip("[]"), int(port)


def expanded(pattern: str, environment: Mapping[str, str], key: str = "") -> str:
    """A setting with each ``$NAME`` replaced by that variable; ``$$`` is a dollar sign.

    Args:
        pattern: as launch.toml has it.
        environment: the variables.
        key: named in the error in place of the text, which may be secret.

    Raises:
        ToolError: a variable is not set.
    """
    try:
        return string.Template(pattern).substitute(environment)
    except (KeyError, ValueError) as error:
        what = key or repr(pattern)
        raise ToolError(f"launch.toml: {what} names a variable that is not set ({error}); export it") from None
