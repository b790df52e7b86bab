"""``go-no-go.pdf``: the HTML report printed by a headless Chromium."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from gonogo.errors import LedgerError

TIME_LIMIT_S = 30.0
"""Longest that one print may take."""


def write_pdf(html: Path, pdf: Path, chromium: str) -> bool:
    """Print the report to A4; whether that worked.

    An older file at ``pdf`` is removed first, so that a failed print never leaves the pages of
    another state beside a new report.

    Args:
        html: the rendered report.
        pdf: where the print goes.
        chromium: the browser's executable, a path or a name on PATH.

    Raises:
        LedgerError: the folder of ``pdf`` can't be written.
    """
    try:
        pdf.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(prefix="gonogo-pdf-", ignore_cleanup_errors=True) as scratch:
            # Printed beside the target, because a rename is atomic only within one file system.
            draft = pdf.with_name(f".{pdf.name}.{os.getpid()}.tmp")
            try:
                done = _print(html, draft, chromium, Path(scratch)) and _is_pdf(draft)
                if done:
                    draft.replace(pdf)
                return done
            finally:
                draft.unlink(missing_ok=True)
    except OSError as error:
        raise LedgerError(
            f"the printed report can't be written to {pdf}: {error.strerror or error}; "
            "free some space there or choose another folder"
        ) from error


def _print(html: Path, draft: Path, chromium: str, scratch: Path) -> bool:
    command = [
        chromium,
        "--headless",
        "--disable-gpu",
        "--disable-quic",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        # The page needs no network; this way the browser can't use one either.
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={scratch}",
        "--no-pdf-header-footer",
        f"--print-to-pdf={draft.absolute()}",
    ]
    if os.geteuid() == 0:
        command.append("--no-sandbox")  # Chromium refuses to start its sandbox as root
    command.append(html.absolute().as_uri())
    try:
        browser = subprocess.Popen(  # noqa: S603 - the caller's own browser, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(scratch)},
            start_new_session=True,
        )
    except OSError:
        return False
    try:
        return browser.wait(TIME_LIMIT_S) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        # The whole group: renderer processes outlive a browser that was killed alone.
        with suppress(ProcessLookupError):
            os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()


def _is_pdf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(5) == b"%PDF-"
    except FileNotFoundError:
        return False
