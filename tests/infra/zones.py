"""What both gates of the zone need: whom to ask, and which zones and servers the planned names have."""

from __future__ import annotations

from dataclasses import dataclass

from gonogo import Measure, Target, is_true
from gonogo.probes.dns import Asker, Server, is_address, plain, port_number, server_at, system_resolvers
from gonogo.probes.dns_records import ZoneServers, zones_of


@dataclass(frozen=True)
class Zones:
    """Where the planned names live."""

    asker: Asker
    resolvers: tuple[Server, ...]
    port: int
    """On which name servers answer."""
    of: dict[str, str]
    """Zone by name."""
    servers: dict[str, ZoneServers]
    """Servers by zone."""

    def authorities(self, name: str) -> tuple[tuple[Server, str], ...]:
        """Servers that answer for a name, each with the zone."""
        zone = self.of.get(plain(name), "")
        return tuple((server, zone) for server in self.servers[zone].servers) if zone else ()


def find(target: Target, measure: Measure) -> Zones:
    """Look for zones and servers of all planned names; what can't be found is measured as a finding.

    Raises:
        ToolError: the plan names a resolver, a port or a variable that is none.
    """
    dns = target.settings("dns")
    resolvers = tuple(server_at(target.expand(text), "dns.resolvers") for text in dns.resolvers)
    if not resolvers:
        resolvers = (Server(*target.resolver),) if target.resolver else system_resolvers()
    port = port_number(target.expand(str(dns.authority_port)), "dns.authority_port")
    names = [record.name for record in dns.records] + [name.removeprefix("*.") for name in issued_for(target)]
    asker = Asker(dns.timeout_s, dns.max_answer_s)
    zones, servers, problems = zones_of(asker, resolvers, names, port)
    for name, problem in problems.items():
        measure(f"zone of {name}", problem, is_true("RFC 1034, 4.2: a name has a zone, and a zone has servers"))
    found = Zones(asker, resolvers, port, zones, servers)
    for zone in servers.values():
        measure_not_asked(zone, measure)
    return found


def issued_for(target: Target) -> tuple[str, ...]:
    """Names that the certificate is issued for; none if the target is known by an address alone."""
    names: tuple[str, ...] = target.settings("dns").ca_names
    return names or (() if is_address(target.host) else (target.host,))


def measure_not_asked(zone: ZoneServers, measure: Measure) -> None:
    """A name server without an address is a finding; one that can't be reached from here is unknown."""
    for one in zone.name_servers:
        label = f"{one.name}, name server of {zone.zone}"
        asked = is_true("RFC 1034, 4.2: every name server of a zone answers for it")
        if one.problem:
            measure(label, one.problem, asked)
        elif not one.servers:
            measure(label, f"this machine has no way to {', '.join(one.unreachable)}", asked, n=0)
