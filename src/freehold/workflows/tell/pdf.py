"""A page as PDF, printed by a browser of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from freehold.errors import StorageError, UsageError

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "chrome",
)
PRINT_SECONDS = 60
_FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-pdf-header-footer",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--blink-settings=scriptEnabled=false",
)
"""A page that is printed asks for nothing and runs nothing."""


def find_browser() -> str | None:
    """The first browser of this machine that prints without a screen; None where there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name)) is not None), None)


def print_pdf(page: Path, target: Path) -> Path:
    """Print a page of HTML. Raises `UsageError` without a browser, `StorageError` where it does not print."""
    browser = find_browser()
    if browser is None:
        raise UsageError(
            "no browser that prints PDF is on this machine",
            hint=f"install Chromium, or open {page} in a browser and print it from there",
        )
    with tempfile.TemporaryDirectory(prefix="freehold-print-") as folder:
        made = Path(folder) / "page.pdf"
        # As root a browser refuses its own sandbox; the page has no scripts and reaches no network.
        as_root = ("--no-sandbox",) if os.name == "posix" and os.geteuid() == 0 else ()
        command = [browser, *_FLAGS, *as_root, f"--user-data-dir={folder}/profile", f"--print-to-pdf={made}"]
        try:
            ran = subprocess.run(
                [*command, page.absolute().as_uri()], capture_output=True, timeout=PRINT_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StorageError(f"{browser} did not print {page}: {error}") from None
        if not made.exists() or not made.read_bytes().startswith(b"%PDF"):
            said = ran.stderr.decode(errors="replace").strip().splitlines()
            raise StorageError(
                f"{browser} did not print {page}",
                hint=said[-1][:200] if said else "open the page and print it",
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, target)
        target.chmod(0o600)
    return target
