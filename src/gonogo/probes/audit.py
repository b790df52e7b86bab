"""What an audit of dependencies has found, read from the JSON of pip-audit or npm.

Warnings stand around the JSON, because both streams of a program are heard as one; they are skipped. A command may
audit several parts, one after the other: all that it printed counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gonogo.errors import ToolError

SEVERITIES = ("info", "low", "moderate", "high", "critical")
_START = re.compile(r"^[ \t]*[{\[]", re.MULTILINE)


@dataclass(frozen=True)
class Finding:
    """One advisory about one package."""

    package: str
    version: str
    ids: tuple[str, ...]
    """What the advisory is called, the audit's own name first."""
    severity: str
    """One of ``SEVERITIES``; empty where the audit grades nothing."""
    title: str

    def __str__(self) -> str:
        grade = f" ({self.severity})" if self.severity else ""
        title = f": {self.title[:100]}" if self.title else ""
        return f"{self.package} {self.version}".strip() + f" {self.ids[0]}{grade}{title}"


@dataclass(frozen=True)
class AuditFacts:
    """One audit."""

    packages: int
    """How many packages were looked at."""
    findings: tuple[Finding, ...]
    not_audited: tuple[str, ...]
    """Packages that were left out, with the reason."""

    def below(self, level: str) -> tuple[Finding, ...]:
        """Findings that are milder than a level; what is graded by no one is never mild."""
        limit = SEVERITIES.index(level)
        return tuple(f for f in self.findings if f.severity in SEVERITIES[:limit])


def read(text: str, kind: str) -> AuditFacts:
    """Read what an audit printed.

    Args:
        text: its output, or the file that it wrote.
        kind: ``pip-audit`` or ``npm``.

    Raises:
        ToolError: there is no such JSON in it, or the audit says that it could not be done.
    """
    wanted, reader = {"pip-audit": (_is_pip, _pip), "npm": (_is_npm, _npm)}[kind]
    found = [one for one in _documents(text) if wanted(one)]
    if not found:
        said = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "nothing")
        raise ToolError(f"the audit printed no JSON of {kind}, so nothing is known; it said at last: {said[:200]}")
    try:
        parts = [reader(one) for one in found]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ToolError(f"the audit's JSON is not as {kind} writes it: {type(error).__name__} {error}") from None
    return AuditFacts(
        sum(part.packages for part in parts),
        tuple(dict.fromkeys(finding for part in parts for finding in part.findings)),
        tuple(dict.fromkeys(left_out for part in parts for left_out in part.not_audited)),
    )


def _documents(text: str) -> Iterator[Any]:
    """Every JSON document that begins a line or follows another one, the outermost ones only."""
    decoder = json.JSONDecoder()
    end = 0
    for start in _START.finditer(text):
        if start.end() - 1 < end:
            continue
        at = start.end() - 1
        while text[at : at + 1] in {"{", "["}:
            try:
                found, end = decoder.raw_decode(text, at)
            except (ValueError, RecursionError):
                break
            yield found
            at = end


def _is_pip(found: Any) -> bool:
    listed = found.get("dependencies") if isinstance(found, Mapping) else found
    return isinstance(listed, list) and all(isinstance(one, Mapping) and "name" in one for one in listed)


def _pip(found: Any) -> AuditFacts:
    listed = found["dependencies"] if isinstance(found, Mapping) else found
    audited = [one for one in listed if "skip_reason" not in one]
    findings = [
        Finding(
            one["name"],
            str(one["version"]),
            tuple(dict.fromkeys([str(vuln["id"]), *map(str, vuln.get("aliases") or ())])),
            "",
            " ".join(str(vuln.get("description") or "").split()),
        )
        for one in audited
        for vuln in one["vulns"]
    ]
    left_out = tuple(f"{one['name']}: {one['skip_reason']}" for one in listed if "skip_reason" in one)
    return AuditFacts(len(audited), tuple(findings), left_out)


def _is_npm(found: Any) -> bool:
    return isinstance(found, Mapping) and bool({"vulnerabilities", "advisories", "error"} & found.keys())


def _npm(found: Mapping[str, Any]) -> AuditFacts:
    if error := found.get("error"):
        said = error.get("summary") or error.get("code") if isinstance(error, Mapping) else error
        raise ToolError(f"npm could not audit: {str(said or found.get('message'))[:200]}")
    findings = list(_npm_6(found["advisories"]) if "advisories" in found else _npm_7(found["vulnerabilities"]))
    metadata = found["metadata"]
    counted = metadata.get("totalDependencies")
    packages = counted if counted is not None else metadata["dependencies"]["total"]
    claimed = sum(int(metadata["vulnerabilities"].get(one, 0)) for one in SEVERITIES)
    if claimed and not findings:
        raise ToolError(f"npm's summary counts {claimed} vulnerabilities, and none of them is listed")
    return AuditFacts(int(packages), tuple(findings), ())


def _npm_6(advisories: Mapping[str, Any]) -> Iterator[Finding]:
    for number, one in advisories.items():
        versions = ", ".join(sorted({str(found["version"]) for found in one.get("findings", ())}))
        names = tuple(dict.fromkeys([_advisory(one.get("url")) or str(number), str(number), *one.get("cves", ())]))
        yield Finding(one["module_name"], versions, names, str(one["severity"]), str(one.get("title", "")))


def _npm_7(vulnerable: Mapping[str, Any]) -> Iterator[Finding]:
    """Advisories stand where they were found; packages that only depend on such a one point to its name."""
    seen = set()
    for package, one in vulnerable.items():
        for via in one["via"]:
            if isinstance(via, str):
                if via not in vulnerable:  # it points to what the list does not hold
                    yield Finding(package, str(one.get("range", "")), (via,), str(one["severity"]), "")
                continue
            names = tuple(dict.fromkeys([_advisory(via.get("url")) or str(via["source"]), str(via["source"])]))
            if (via.get("name", package), names) not in seen:
                seen.add((via.get("name", package), names))
                title, affected = str(via.get("title", "")), str(via.get("range", ""))
                yield Finding(via.get("name", package), affected, names, str(via["severity"]), title)


def _advisory(url: Any) -> str:
    """The name at the end of an advisory's address, e.g. GHSA-xxxx-xxxx-xxxx."""
    return str(url or "").rstrip("/").rpartition("/")[2]


def without_allowed(findings: Collection[Finding], allowed: Collection[str]) -> list[Finding]:
    """Those findings that no allowed name stands for; case does not matter."""
    names = {name.casefold() for name in allowed}
    return [found for found in findings if not names.intersection(name.casefold() for name in found.ids)]
