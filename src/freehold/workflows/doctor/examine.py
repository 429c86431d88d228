"""`freehold doctor`: every check of the table, each for itself, in a few seconds whatever is broken.

A check looks at a `Site`, changes nothing there, and says what it found. One that fails, or that waits for a disk or a
server for too long, is a finding itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from freehold import __version__
from freehold.errors import ConfigError, FreeholdError
from freehold.settings import load as load_settings
from freehold.types.config_file import parse
from freehold.types.finding import SEVERITY, Finding, Outcome, warn
from freehold.types.record import Record
from freehold.workflows.doctor import leftovers, machine, project, store
from freehold.workflows.doctor.site import Site
from freehold.workflows.project import CONFIG_NAME, check_trusted, current_folder, open_project

log = logging.getLogger(__name__)

WAIT_SECONDS = 8.0
"""How long the slowest check is waited for. All take well under two seconds where nothing hangs."""


class SiteCheck(NamedTuple):
    """One row of the table."""

    name: str
    look: Callable[[Site], Iterable[Finding]]


PARTS: dict[str, tuple[SiteCheck, ...]] = {
    "This machine": (
        SiteCheck("machine", machine.check_machine),
        SiteCheck("disk", machine.check_disk),
        SiteCheck("clock", store.check_clock),
        SiteCheck("versions", machine.check_python),
        SiteCheck("engines", machine.check_engines),
        SiteCheck("sandbox", machine.check_sandbox),
    ),
    "The running gateway": (SiteCheck("incidents", project.check_incidents),),
    "This project": (
        SiteCheck("configuration", project.check_config),
        SiteCheck("keys", project.check_keys),
        SiteCheck("port", project.check_port),
        SiteCheck("facts", project.check_facts),
    ),
    "What it keeps": (
        SiteCheck("store", store.check_store),
        SiteCheck("permissions", leftovers.check_files),
        SiteCheck("left over", leftovers.check_leftovers),
    ),
}


class Diagnosis(Record, frozen=True, kw_only=True):
    """All findings by part, and the worst outcome among them."""

    version: str
    at: datetime
    outcome: Outcome
    seconds: float
    parts: dict[str, tuple[Finding, ...]]

    @property
    def exit_code(self) -> int:
        """0 ok, 1 warn, 2 fail, as monitors read it."""
        return SEVERITY[self.outcome]


def site_of(config: Path | None, *, now: datetime) -> Site:
    """Where to look; a broken `freehold.toml` or environment is part of what is told."""
    problems: list[ConfigError] = []
    try:
        settings = load_settings()
    except ConfigError as error:
        problems.append(error)
        settings = load_settings({})
    path = _config_file(config)
    root = path.resolve().parent if path is not None else current_folder()
    read = None
    try:
        if problems and path is not None:  # opening the project would say the same of the environment again
            parsed = parse(path.read_text(encoding="utf-8"), path=str(path))
            check_trusted(parsed, path, settings)
            read = parsed
        elif not problems:
            opened = open_project(config)
            root, path, read = opened.root, opened.config_path, opened.config
    except ConfigError as error:
        problems.append(error)
    except (OSError, UnicodeDecodeError) as error:
        problems.append(ConfigError(f"{path}: cannot be read: {error}"))
    return Site(root, path, read, settings, now, tuple(problems))


def _config_file(config: Path | None) -> Path | None:
    if config is not None:
        return config / CONFIG_NAME if config.is_dir() else config
    here = current_folder()
    found = (folder / CONFIG_NAME for folder in (here, *here.parents))
    return next((path for path in found if path.is_file()), None)


def diagnose(site: Site, *, wait_seconds: float = WAIT_SECONDS) -> Diagnosis:
    """Run all checks at once; `wait_seconds` bounds the whole."""
    began = time.monotonic()
    results: dict[str, tuple[Finding, ...]] = {}
    threads = []
    for check in (check for part in PARTS.values() for check in part):
        # Daemons: one that hangs in a call to the system may not hold the command up.
        thread = threading.Thread(target=_run, args=(check, site, results), daemon=True)
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join(max(began + wait_seconds - time.monotonic(), 0.0))
    parts = {
        title: tuple(
            finding for check in checks for finding in results.get(check.name, (_late(check, wait_seconds),))
        )
        for title, checks in PARTS.items()
    }
    worst = max((one.outcome for part in parts.values() for one in part), key=SEVERITY.__getitem__)
    seconds = round(time.monotonic() - began, 3)
    return Diagnosis(version=__version__, at=site.now, outcome=worst, seconds=seconds, parts=parts)


def _run(check: SiteCheck, site: Site, results: dict[str, tuple[Finding, ...]]) -> None:
    try:
        results[check.name] = tuple(check.look(site))
    except Exception as error:  # what is broken here is what the command is for
        log.debug("the check %s failed", check.name, exc_info=True)
        said = error.message if isinstance(error, FreeholdError) else f"{type(error).__name__}: {error}"
        results[check.name] = (
            warn(check.name, f"it could not be checked: {said}", "freehold -vv doctor says more"),
        )


def _late(check: SiteCheck, seconds: float) -> Finding:
    return warn(
        check.name,
        f"it could not be checked within {seconds:g} s: a disk or a server does not answer",
        "look at the disks and servers that freehold.toml and the environment name",
    )
