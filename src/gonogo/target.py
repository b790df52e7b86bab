"""The target as gates see it: addresses, trust and bounds, resolved once a session."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gonogo.errors import TargetError, ToolError
from gonogo.settings import Http, TargetSettings, split_host_port

if TYPE_CHECKING:
    from gonogo.probes.http import HttpProbe


class Target:
    """One target of launch.toml, with what was found out at run time (strictly read-only for gates)."""

    def __init__(self, name: str, settings: TargetSettings, provided: Mapping[str, str], version: str) -> None:
        """Join the file's settings with what brought the target up.

        Raises:
            ToolError: nothing says where the target is.
        """
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

    def source(self, key: str) -> str:
        """Where a bound comes from, e.g. ``launch.toml: tls.min_days``, or the default of the playbook."""
        table, _, field = key.partition(".")
        model = getattr(self._settings, table, None)
        written = model is not None and field.partition(".")[0] in model.model_fields_set
        return f"launch.toml: {key}" if written else f"default: {key}"

    def url(self, path: str) -> str:
        """Absolute address of a path of the target."""
        return self.base_url + path

    def resolve(self, host: str) -> list[str]:
        """Addresses of a name, as the plan's resolver gives them, IPv4 first.

        Raises:
            TargetError: the name has no address.
        """
        if host not in self._addresses:
            self._addresses[host] = self._look_up(host)
        return self._addresses[host]

    @property
    def addresses(self) -> list[str]:
        """Every address behind the target's name."""
        return self.resolve(self.host)

    def connect_to(self, host: str, port: int) -> tuple[str, int]:
        """Address to connect to for a host and port of a URL."""
        return self.resolve(host)[0], port

    def http(self) -> HttpProbe:
        """The session's HTTP client: verified TLS, the plan's resolver, connections kept."""
        return self._http

    @cached_property
    def _http(self) -> HttpProbe:
        from gonogo.probes.http import HttpProbe  # noqa: PLC0415 - 0.3 s that only HTTP gates need

        limits = self._settings.http or Http()
        return HttpProbe(
            self.base_url,
            ca_file=self.ca_file,
            connect_to=self.connect_to,
            timeout_s=limits.timeout_s,
            max_bytes=limits.max_body_bytes,
        )

    def close(self) -> None:
        """Close the connections that were kept."""
        if "_http" in self.__dict__:
            self._http.close()

    def _look_up(self, host: str) -> list[str]:
        if host in self._settings.address:
            return [self._settings.address[host]]
        if _is_address(host):
            return [host]
        if self.resolver:
            from gonogo.probes.dns import resolve  # noqa: PLC0415 - 0.2 s that only a plan with a resolver needs

            limits = self._settings.dns
            timeout_s = limits.timeout_s if limits else 5.0
            found = [v for kind in ("A", "AAAA") for v in resolve(host, kind, self.resolver, timeout_s).values]
        else:
            found = _system_addresses(host)
        if not found:
            raise TargetError(f"{host} has no address (neither A nor AAAA record)")
        return found


def _system_addresses(host: str) -> list[str]:
    try:
        infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise TargetError(f"{host} does not resolve: {error.strerror or error}") from None
    ordered = sorted(infos, key=lambda info: info[0] != socket.AF_INET)
    return list(dict.fromkeys(str(info[4][0]) for info in ordered))


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return True
    return False
