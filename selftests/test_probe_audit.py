"""Reading what pip-audit and npm have found."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gonogo.errors import ToolError
from gonogo.probes.audit import read, without_allowed

PIP = {
    "dependencies": [
        {"name": "good", "version": "1.0", "vulns": []},
        {
            "name": "jinja2",
            "version": "3.1.2",
            "vulns": [
                {
                    "id": "PYSEC-2024-1",
                    "fix_versions": ["3.1.3"],
                    "aliases": ["CVE-2024-22195"],
                    "description": "a\nb",
                },
                {"id": "GHSA-x", "fix_versions": []},
            ],
        },
        {"name": "own", "skip_reason": "not found on the index"},
    ],
    "fixes": [],
}
NPM = {
    "auditReportVersion": 2,
    "vulnerabilities": {
        "braces": {
            "name": "braces",
            "severity": "high",
            "via": [
                {
                    "source": 1098094,
                    "name": "braces",
                    "title": "Uncontrolled resource consumption",
                    "url": "https://github.com/advisories/GHSA-grv7-fg5c-xmjg",
                    "severity": "high",
                    "range": "<3.0.3",
                }
            ],
            "range": "<3.0.3",
        },
        "micromatch": {"name": "micromatch", "severity": "high", "via": ["braces"], "range": "*"},
        "small": {
            "name": "small",
            "severity": "low",
            "via": [{"source": 7, "name": "small", "title": "t", "url": "https://x/GHSA-s", "severity": "low"}],
        },
    },
    "metadata": {
        "vulnerabilities": {"info": 0, "low": 1, "moderate": 0, "high": 2, "critical": 0, "total": 3},
        "dependencies": {"prod": 1, "dev": 40, "total": 41},
    },
}
NPM_6 = {
    "advisories": {
        "577": {
            "id": 577,
            "module_name": "lodash",
            "severity": "low",
            "title": "Prototype pollution",
            "url": "https://npmjs.com/advisories/577",
            "cves": ["CVE-2018-3721"],
            "findings": [{"version": "4.17.4", "paths": ["a>lodash"]}],
        }
    },
    "metadata": {"vulnerabilities": {"low": 1}, "totalDependencies": 12},
}


def test_pip_audit_amid_its_warnings() -> None:
    facts = read(f"WARNING: [careful]\nFound 2 known vulnerabilities\n{json.dumps(PIP)}\nName ID\n", "pip-audit")

    assert (facts.packages, facts.not_audited) == (2, ("own: not found on the index",))
    assert [str(found) for found in facts.findings] == ["jinja2 3.1.2 PYSEC-2024-1: a b", "jinja2 3.1.2 GHSA-x"]


def test_the_older_list_of_pip_audit() -> None:
    assert read(json.dumps(PIP["dependencies"]), "pip-audit").packages == 2


def test_npm_names_each_advisory_once() -> None:
    facts = read("npm warn config x\n" + json.dumps(NPM, indent=2), "npm")

    assert facts.packages == 41
    assert [str(found) for found in facts.findings] == [
        "braces <3.0.3 GHSA-grv7-fg5c-xmjg (high): Uncontrolled resource consumption",
        "small GHSA-s (low): t",
    ]
    assert [found.package for found in facts.below("moderate")] == ["small"]
    assert facts.below("info") == ()


def test_npm_6() -> None:
    facts = read(json.dumps(NPM_6), "npm")

    assert facts.packages == 12
    assert facts.findings[0].ids == ("577", "CVE-2018-3721")
    assert str(facts.findings[0]) == "lodash 4.17.4 577 (low): Prototype pollution"


def test_a_dependency_that_points_to_what_is_not_listed_counts() -> None:
    alone = {**NPM, "vulnerabilities": {"micromatch": NPM["vulnerabilities"]["micromatch"]}}  # type: ignore[index]

    assert [str(found) for found in read(json.dumps(alone), "npm").findings] == ["micromatch * braces (high)"]


def test_what_nobody_graded_is_never_mild() -> None:
    assert read(json.dumps(PIP), "pip-audit").below("critical") == ()


def test_allowed_by_any_of_its_names() -> None:
    findings = read(json.dumps(PIP), "pip-audit").findings

    assert [found.ids[0] for found in without_allowed(findings, ["cve-2024-22195"])] == ["GHSA-x"]
    assert without_allowed(findings, []) == list(findings)


@pytest.mark.parametrize(
    ("text", "kind", "sentence"),
    [
        ("", "npm", "printed no JSON of npm, so nothing is known; it said at last: nothing"),
        ("Traceback\nConnectionError: no route", "pip-audit", "ConnectionError: no route"),
        (json.dumps(PIP)[:-5], "pip-audit", "printed no JSON"),
        (json.dumps(NPM), "pip-audit", "printed no JSON of pip-audit"),
        (
            '{"error": {"code": "ENOLOCK", "summary": "needs a lockfile"}}',
            "npm",
            "npm could not audit: needs a lockfile",
        ),
        ('{"message": "no network", "error": {}}', "npm", "not as npm writes it"),
        ('{"vulnerabilities": {}, "metadata": {"vulnerabilities": {}}}', "npm", "not as npm writes it"),
        ('{"dependencies": [{"name": "x", "version": "1"}]}', "pip-audit", "not as pip-audit writes it"),
        (
            '{"vulnerabilities": {}, "metadata": {"vulnerabilities": {"high": 2}, "dependencies": {"total": 3}}}',
            "npm",
            "counts 2 vulnerabilities, and none of them is listed",
        ),
    ],
)
def test_what_is_no_audit_is_our_error(text: str, kind: str, sentence: str) -> None:
    with pytest.raises(ToolError, match=sentence):
        read(text, kind)


def test_nothing_audited_is_told_as_such() -> None:
    empty: dict[str, Any] = {"dependencies": []}

    assert read(json.dumps(empty), "pip-audit").packages == 0


@pytest.mark.parametrize("between", ["\n", "", "\nchecking the next part\n"])
def test_all_audits_that_were_printed_count(between: str) -> None:
    """A command may audit several parts; the first one clean says nothing of the others."""
    clean = {"dependencies": [{"name": "x", "version": "1", "vulns": []}]}
    facts = read(between.join(json.dumps(one) for one in (clean, PIP)), "pip-audit")

    assert facts.packages == 1 + 2
    assert [finding.package for finding in facts.findings] == ["jinja2", "jinja2"]
    with pytest.raises(ToolError, match="ENOLOCK"):
        read(json.dumps(NPM) + between + json.dumps({"error": {"code": "ENOLOCK"}}), "npm")
