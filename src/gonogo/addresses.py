"""What can be said of an address by its text alone."""

from __future__ import annotations

import ipaddress


def is_address(text: str) -> bool:
    """Whether a text is an IP address rather than a name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
