"""Runs all tests and writes ``build/junit.xml``; exit status 0 if every one of them passed."""

from __future__ import annotations

import sys
import time
import unittest
from datetime import UTC, datetime
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

HERE = Path(__file__).parent


class Recorder(unittest.TextTestResult):
    """Keeps a line of XML for each case."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.cases: list[str] = []
        self._began = 0.0

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest calls it so
        """Take the time."""
        super().startTest(test)
        self._began = time.monotonic()

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        """Write the case down with what became of it."""
        super().stopTest(test)
        place, _, name = test.id().rpartition(".")
        spent = time.monotonic() - self._began
        kinds = {"failure": self.failures, "error": self.errors, "skipped": self.skipped}
        own = [(kind, why) for kind, found in kinds.items() for one, why in found if one is test]
        inside = "".join(f"<{kind}>{escape(why)}</{kind}>" for kind, why in own)
        head = f"<testcase classname={quoteattr(place)} name={quoteattr(name)} time='{spent:.6f}'>"
        self.cases.append(f"{head}{inside}</testcase>")


def main() -> int:
    """Find, run and write; returns the exit status."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(HERE))
    suite = unittest.defaultTestLoader.discover(str(HERE), top_level_dir=str(HERE))
    result = unittest.TextTestRunner(resultclass=Recorder, verbosity=2).run(suite)
    assert isinstance(result, Recorder)
    numbers = {
        "tests": result.testsRun,
        "failures": len(result.failures),
        "errors": len(result.errors),
        "skipped": len(result.skipped),
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    head = " ".join(f"{key}={quoteattr(str(value))}" for key, value in numbers.items())
    text = f"<testsuites><testsuite name='fleet' {head}>{''.join(result.cases)}</testsuite></testsuites>\n"
    build = HERE / "build"
    build.mkdir(exist_ok=True)
    (build / "junit.xml").write_text(text, encoding="utf-8")
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
