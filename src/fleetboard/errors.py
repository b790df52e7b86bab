"""Errors of the embedded target; each message is one sentence for people."""

from __future__ import annotations


class FleetboardError(Exception):
    """Base of the errors that the command line prints as one sentence."""


class StartError(FleetboardError):
    """A component is missing, or did not come up."""


class UnknownFaultError(FleetboardError):
    """A fault was asked for that does not exist."""
