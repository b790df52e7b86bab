"""Where a name leads, as a target's settings say it."""

from __future__ import annotations

from gonogo.addresses import is_address
from gonogo.errors import TargetError
from gonogo.network import addresses_of
from gonogo.settings import TargetSettings


def look_up(host: str, settings: TargetSettings, resolver: tuple[str, int] | None) -> list[str]:
    """Addresses of a name, IPv4 first: those of the settings, then of a resolver, else of this machine's own.

    Args:
        host: a name, or an address, which stays as it is.
        settings: of the target; its ``address`` goes before every resolver.
        resolver: address and port of the one to ask; ``None`` for this machine's.

    Raises:
        TargetError: the name has no address.
    """
    if host in settings.address:
        return [settings.address[host]]
    if is_address(host):
        return [host]
    if resolver:
        from gonogo.probes.dns import resolve  # noqa: PLC0415 - 0.2 s that only a plan with a resolver needs

        limits = settings.dns
        timeout_s = limits.timeout_s if limits else 5.0
        found = [v for kind in ("A", "AAAA") for v in resolve(host, kind, resolver, timeout_s).values]
    else:
        found = addresses_of(host)
    if not found:
        raise TargetError(f"{host} has no address (neither A nor AAAA record)")
    return found
