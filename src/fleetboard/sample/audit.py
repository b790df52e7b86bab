"""Holds the locked dependencies against the advisories beside them; prints JSON as pip-audit does.

The advisories lie in the repository, so that a rehearsal asks nobody on the internet.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LOCKED = re.compile(r"([A-Za-z0-9._-]+)==([0-9.]+)")


def main() -> int:
    """Print what was found; returns 1 if anything was."""
    advisories: list[dict[str, Any]] = json.loads((HERE / "advisories.json").read_text(encoding="utf-8"))
    packages: list[dict[str, Any]] = []
    for line in (HERE / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if locked := LOCKED.fullmatch(line.strip()):
            name, version = locked.groups()
            vulns = [
                {key: one[key] for key in ("id", "fix_versions", "aliases", "description")}
                for one in advisories
                if one["package"] == name and version in one["versions"]
            ]
            packages.append({"name": name, "version": version, "vulns": vulns})
    found = sum(len(one["vulns"]) for one in packages)
    print(f"Found {found} known vulnerabilities in {len(packages)} packages", file=sys.stderr)
    print(json.dumps({"dependencies": packages, "fixes": []}))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
