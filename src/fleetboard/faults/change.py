"""Faults of the source, its tests and its dependencies, and of what the plan names."""

from __future__ import annotations

from fleetboard.faults.fault import Fault

FAULTS: tuple[Fault, ...] = (
    Fault("dirty-tree", ("release.freeze",), "a file of the source was changed, and another one never added"),
    Fault("commit-after-freeze", ("release.freeze",), "the branch has a commit that came after the tag"),
    Fault("tag-elsewhere", ("release.freeze",), "the tag stands on the commit before the one checked out"),
    Fault("tag-not-pushed", ("release.freeze",), "the remote does not have the tag"),
    Fault("pushed-after-freeze", ("release.freeze",), "somebody pushed a commit that was not fetched here"),
    Fault("tests-shrank", ("release.tests",), "all classes of tests but one are gone, and what is left passes"),
    Fault("tests-failed", ("release.tests",), "three tests fail, and the command ends with status 0 all the same"),
    Fault("tests-skipped", ("release.tests",), "a class of tests is skipped"),
    Fault("test-results-old", ("release.tests",), "the tests leave the result file of an earlier run as it is"),
    Fault("audit-finding", ("release.audit",), "a locked dependency has a known vulnerability"),
    Fault("release-notes-missing", ("plan.complete",), "the release notes that the plan names were never written"),
)
