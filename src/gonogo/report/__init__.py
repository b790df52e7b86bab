"""Reports of a launch: HTML, JSON, Markdown, JUnit and PDF, all from one `LaunchState`."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gonogo.errors import LedgerError
from gonogo.model import LaunchState
from gonogo.report.facts import why
from gonogo.report.json_report import state_digest
from gonogo.report.pdf import write_pdf


@dataclass(frozen=True)
class ReportPaths:
    """Where the reports were written."""

    html: Path
    json: Path
    markdown: Path
    junit: Path


def write_reports(state: LaunchState, folder: Path, ledger: Path) -> ReportPaths:
    """Render every report and put each in its place in one step.

    All are rendered before the first is written, and each replaces its predecessor atomically: a
    reader never sees half a report.

    Args:
        state: what the reports tell.
        folder: where they go; made if absent.
        ledger: the ledger's folder; evidence is linked relative to ``folder``.

    Raises:
        LedgerError: the folder can't be written, or the disk is full.
    """
    # Here, because Jinja costs a tenth of a second that `import gonogo` must not.
    from gonogo.report import html, json_report, junit, markdown_report  # noqa: PLC0415

    paths = ReportPaths(
        html=folder / "go-no-go.html",
        json=folder / "go-no-go.json",
        markdown=folder / "go-no-go.md",
        junit=folder / "junit.xml",
    )
    texts = {
        paths.html: html.render(state, folder, ledger),
        paths.json: json_report.render(state),
        paths.markdown: markdown_report.render(state),
        paths.junit: junit.render(state),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in texts.items():
            _replace(path, content)
    except OSError as error:
        raise LedgerError(
            f"the reports can't be written to {folder}: {error.strerror or error}; "
            "free some space there or choose another folder"
        ) from error
    return paths


def _replace(path: Path, content: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        # Lone surrogates were dealt with by the renderers; "replace" keeps a missed one from ending the run.
        with draft.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


__all__ = ["ReportPaths", "state_digest", "why", "write_pdf", "write_reports"]
