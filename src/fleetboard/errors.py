"""Errors of the embedded target; each message is one sentence for people."""

from __future__ import annotations


class FleetboardError(Exception):
    """Base of the errors that the command line prints as one sentence."""


class StartError(FleetboardError):
    """A component is missing, or did not come up."""


class UnknownFaultError(FleetboardError):
    """A fault was asked for that does not exist."""


class UnknownReleaseError(FleetboardError):
    """A release was asked for that does not exist."""


class MigrationError(FleetboardError):
    """The schema could not be changed."""


class OperationError(FleetboardError):
    """A command of the team (backup, deploy, rollback) could not do its work."""
