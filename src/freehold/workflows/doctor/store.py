"""Checks of the store, which is only read: it may be locked, damaged, of another version, or not be there."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from freehold.catalog import retirements
from freehold.catalog.freshness import advisories
from freehold.errors import FreeholdError
from freehold.store.damage import way_back
from freehold.store.database import BEGIN_AGAIN, SCHEMA, of_another, parsed, version
from freehold.store.tables import from_micros
from freehold.types.finding import Finding, fail, ok, warn
from freehold.types.record import Record
from freehold.visible import GIB, gib, mib
from freehold.workflows.doctor.site import Site, open_file

CHECK_SECONDS = 0.7
_CHECK_STEPS = 20_000
_DAMAGE = ("malformed", "not a database", "corrupt")


class StoreFacts(Record, frozen=True, kw_only=True):
    """What can be seen of a store without changing it. `checked` is False where the look at all pages took too long."""

    where: str
    is_file: bool
    exists: bool = True
    bytes: int = 0
    free_bytes: int | None = None
    schema: str | None = None
    error: str | None = None
    locked: bool = False
    damage: tuple[str, ...] = ()
    checked: bool = False
    newest_trace: datetime | None = None
    traces: int | None = None


def look_at_store(site: Site) -> StoreFacts:
    try:
        url = parsed(site.store_url)
    except FreeholdError:  # its message names the whole address, which may hold a password
        return StoreFacts(where="the store", is_file=False, error="its address is not one of a database")
    if url.get_backend_name() == "sqlite":
        return _look_at_file(Path(url.database or ""))
    where = url.set(drivername="postgresql").render_as_string(hide_password=True)
    try:
        engine = create_engine(url, connect_args={"connect_timeout": 2})
        with engine.connect() as connection:
            found = version(connection)
            if found is None:
                return StoreFacts(where=where, is_file=False, exists=False)
            size = connection.execute(text("SELECT pg_database_size(current_database())")).scalar() or 0
            newest = connection.execute(text("SELECT max(at_max) FROM trace_blocks")).scalar()
        engine.dispose()
    except ImportError:
        return StoreFacts(where=where, is_file=False, error="the extra 'postgres' is not installed")
    except SQLAlchemyError as error:
        first = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        return StoreFacts(where=where, is_file=False, error=first[:200])
    return StoreFacts(where=where, is_file=False, bytes=int(size), schema=found, newest_trace=_time(newest))


def _look_at_file(path: Path) -> StoreFacts:
    where = str(path)
    if not path.exists():
        return StoreFacts(where=where, is_file=True, exists=False)
    size = sum(part.stat().st_size for part in (path, path.with_name(f"{path.name}-wal")) if part.exists())
    facts: dict[str, object] = {"bytes": size, "free_bytes": shutil.disk_usage(path.parent).free}
    try:
        with closing(open_file(path)) as connection:
            facts["schema"] = _one(connection, "SELECT value FROM store_facts WHERE name = 'schema'")
            facts["newest_trace"] = _time(_one(connection, "SELECT max(at_max) FROM trace_blocks"))
            deadline = time.monotonic() + CHECK_SECONDS
            connection.set_progress_handler(lambda: int(time.monotonic() > deadline), _CHECK_STEPS)
            try:
                lines = [row[0] for row in connection.execute("PRAGMA quick_check(5)")]
                facts["checked"], facts["damage"] = True, tuple(line for line in lines if line != "ok")
            except sqlite3.OperationalError as error:
                if "interrupted" not in str(error):
                    raise
    except (sqlite3.Error, OSError) as error:
        said = str(error)
        facts["locked"] = "locked" in said
        if any(word in said for word in _DAMAGE):
            facts["damage"] = (said,)
        else:
            facts["error"] = said
    return StoreFacts(where=where, is_file=True, **facts)  # type: ignore[arg-type]


def _one(connection: sqlite3.Connection, query: str) -> object:
    try:
        row = connection.execute(query).fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None
        raise
    return None if row is None else row[0]


def _time(micros: object) -> datetime | None:
    try:
        return from_micros(micros) if isinstance(micros, int) else None
    except (OverflowError, ValueError, OSError):
        return None


def judge_store(facts: StoreFacts) -> Iterator[Finding]:
    """Reachable, whole, of this version, with room to grow."""
    if not facts.exists:
        yield ok("store", f"{facts.where}: none yet, the first command that needs it makes it")
        return
    if facts.damage:
        yield fail(
            "store",
            f"{facts.where} is damaged: {facts.damage[0]}",
            way_back(facts.where),
        )
        return
    if facts.locked:
        yield warn(
            "store",
            f"{facts.where} is locked by another process, so it could not be looked at",
            "run this again; if it stays locked, end the process that holds it",
        )
        return
    if facts.error is not None:
        fix = "check that the server runs and FREEHOLD_DATABASE_URL is right"
        if facts.is_file:
            fix = "check who owns the file and its folder"
        if "extra" in facts.error:
            fix = "pip install 'freehold[postgres]'"
        yield fail("store", f"{facts.where} cannot be read: {facts.error}", fix)
        return
    if facts.schema is None:
        yield fail(
            "store",
            f"{facts.where} is not a store of freehold, or empty",
            "freehold store restore FILE puts a backup in its place; without one, move it away",
        )
        return
    if facts.schema != SCHEMA:
        yield fail("store", f"{facts.where} {of_another(facts.schema)}", BEGIN_AGAIN)
        return
    bytes_shown = gib(facts.bytes, 2) if facts.bytes >= GIB else mib(facts.bytes, 1)
    size = f"{facts.where}: {bytes_shown}, schema {facts.schema}"
    if facts.is_file:
        size += ", pages sound" if facts.checked else ", too large to check here (freehold store check)"
    if facts.free_bytes is not None and facts.free_bytes < facts.bytes // 10:
        yield warn("store", f"{size}; {gib(facts.free_bytes)} left for it", "free some space on that disk")
    else:
        yield ok("store", size)


def check_store(site: Site) -> Iterator[Finding]:
    return judge_store(look_at_store(site))


CLOCK_SLACK = timedelta(minutes=2)


def check_clock(site: Site) -> Iterator[Finding]:
    """A clock that is behind what was written is wrong, or was: retention, leases and spending trust it."""
    try:
        times = [entry.stat().st_mtime for entry in site.state.iterdir()]
    except OSError:
        times = []
    days = [row.checked for row in retirements.rows()] + [row.checked for row in advisories()]
    seen = {
        "the newest trace is from": look_at_store(site).newest_trace,
        "a file of the project is from": datetime.fromtimestamp(max(times), UTC) if times else None,
        "this freehold was made after": datetime.combine(max(days), datetime.min.time(), UTC),
    }
    return judge_clock(site.now, seen)


def judge_clock(now: datetime, seen: Mapping[str, datetime | None]) -> Iterator[Finding]:
    """Against things that were written before now."""
    fix = "set the clock (timedatectl set-ntp true), then look at the traces' times: freehold traces list"
    for what, moment in seen.items():
        if moment is not None and moment > now + CLOCK_SLACK:
            yield fail(
                "clock", f"it is {now:%Y-%m-%d %H:%M} UTC here, and {what} {moment:%Y-%m-%d %H:%M}", fix
            )
            return
    yield ok("clock", f"{now:%Y-%m-%d %H:%M:%S} UTC, not behind anything written here")
