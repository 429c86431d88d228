"""What `freehold doctor` looks at: gathered once, and there even where the configuration or the store is broken."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from freehold.errors import FreeholdError
from freehold.settings import Settings
from freehold.settings import load as load_settings
from freehold.store.urls import parsed
from freehold.types.record import Record
from freehold.workflows.project import Project, open_project

QUICK_CHECK_SECONDS = 0.8

Level = Literal["ok", "warn", "fail"]


class Finding(Record, frozen=True, kw_only=True):
    """One thing that was looked at. `fix` says what to do where it is not ok."""

    check: str
    level: Level
    what: str
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class StoreState:
    """A store's file as it is: read without changing anything."""

    path: Path
    exists: bool
    error: str | None = None
    schema: str | None = None
    intact: bool | None = None
    """None where the check took too long to end."""
    traces: int = 0
    newest_ms: int | None = None
    keys: int = 0


@dataclass(frozen=True, slots=True)
class Patient:
    """Everything the checks are given. `project` is None where its configuration cannot be used."""

    settings: Settings | None
    project: Project | None
    problem: FreeholdError | None
    state: Path | None
    store: StoreState | None
    now_s: float


def look(config: Path | None) -> Patient:
    """Gather what there is. Raises nothing: what is broken is a finding."""
    settings = project = problem = None
    try:
        settings = load_settings()
        project = open_project(config)
    except FreeholdError as error:
        problem = error
    root = (
        project.root
        if project is not None
        else (config.parent if config and config.suffix else config or Path.cwd())
    )
    state = (settings.state if settings is not None else None) or root / ".freehold"
    return Patient(settings, project, problem, state, _store(settings, project, state), time.time())


def _store(settings: Settings | None, project: Project | None, state: Path) -> StoreState | None:
    """The store as a file; None where it is a server's."""
    url = (settings.database_url if settings else None) or (project.config.store.url if project else None)
    path = state / "freehold.sqlite"
    if url is not None:
        try:
            where = parsed(url)
        except FreeholdError as error:
            return StoreState(path, exists=False, error=error.message)
        if where.get_backend_name() != "sqlite" or not where.database:
            return None
        path = Path(where.database)
    if not path.exists():
        return StoreState(path, exists=False)
    try:
        return read_store(path)
    except (sqlite3.Error, OSError) as error:
        return StoreState(path, exists=True, error=str(error))


def read_store(path: Path) -> StoreState:
    """Look into a file without writing, and for a bounded time. Raises `sqlite3.Error`."""
    with path.open("rb") as file:
        if file.read(16) != b"SQLite format 3\0":
            raise sqlite3.DatabaseError("it is empty or not a database")
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=0.3)
    try:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        schema = None
        if "alembic_version" in tables:
            schema = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
        traces, newest, keys = 0, None, 0
        if "traces" in tables:
            traces, newest = connection.execute(
                "SELECT coalesce(max(seq), 0), max(at) FROM traces"
            ).fetchone()
        if "records" in tables:
            keys = connection.execute("SELECT count(*) FROM records WHERE kind = 'api_key'").fetchone()[0]
        deadline = time.monotonic() + QUICK_CHECK_SECONDS
        connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
        intact: bool | None = None
        try:
            intact = connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
        except sqlite3.OperationalError as error:
            if "interrupted" not in str(error):
                raise
        return StoreState(path, True, None, schema, intact, traces, newest, keys)
    finally:
        connection.close()
