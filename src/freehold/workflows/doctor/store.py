"""Checks of the store, which is only read: it may be locked, damaged, of another version, or not be there."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from freehold.catalog import retirements
from freehold.catalog.freshness import advisories
from freehold.errors import FreeholdError, StoreError
from freehold.store.damage import way_back
from freehold.store.database import BEGIN_AGAIN, SCHEMA, of_another, parsed
from freehold.store.tables import from_micros
from freehold.types.finding import Finding, fail, ok, warn
from freehold.visible import GIB, gib, mib
from freehold.workflows.doctor.site import Site, open_file

CHECK_SECONDS = 0.7
_CHECK_STEPS = 20_000
_DAMAGE = ("malformed", "not a database", "corrupt")


def check_store(site: Site) -> Iterator[Finding]:
    """Reachable, whole, of this version, with room to grow."""
    try:
        url = parsed(site.store_url)
    except FreeholdError:  # its message names the whole address, which may hold a password
        wrong = "its address is not one of a database"
        yield fail("store", f"the store cannot be read: {wrong}", "check FREEHOLD_DATABASE_URL")
        return
    path = Path(url.database or "") if url.get_backend_name() == "sqlite" else None
    where = (
        url.set(drivername="postgresql").render_as_string(hide_password=True) if path is None else str(path)
    )
    try:
        yield _state(site, where, path)
    except StoreError as error:
        yield _unread(where, error.message, is_file=path is not None)


def _state(site: Site, where: str, path: Path | None) -> Finding:
    """What is said of a store that can be read. Raises `StoreError`, with what is damaged where something is."""
    schema = dict(site.rows("SELECT name, value FROM store_facts")).get("schema")
    if schema is None and (path is None or not path.exists()):
        return ok("store", f"{where}: none yet, the first command that needs it makes it")
    if schema is None:
        fix = "freehold store restore FILE puts a backup in its place; without one, move it away"
        return fail("store", f"{where} is not a store of freehold, or empty", fix)
    if path is None:
        size_bytes = int(site.rows("SELECT pg_database_size(current_database())")[0][0])
        pages = ""
    else:
        sizes = (path, path.with_name(f"{path.name}-wal"))
        size_bytes = sum(part.stat().st_size for part in sizes if part.exists())
        pages = ", pages sound" if _is_sound(path) else ", too large to check here (freehold store check)"
    if schema != SCHEMA:
        return fail("store", f"{where} {of_another(schema)}", BEGIN_AGAIN)
    size = gib(size_bytes, 2) if size_bytes >= GIB else mib(size_bytes, 1)
    said = f"{where}: {size}, schema {schema}{pages}"
    if path is not None and (free_bytes := shutil.disk_usage(path.parent).free) < size_bytes // 10:
        return warn("store", f"{said}; {gib(free_bytes)} left for it", "free some space on that disk")
    return ok("store", said)


def _is_sound(path: Path) -> bool:
    """Whether all pages were looked at within `CHECK_SECONDS`. Raises `StoreError` with the first that is damaged."""
    deadline = time.monotonic() + CHECK_SECONDS
    try:
        with closing(open_file(path)) as connection:
            connection.set_progress_handler(lambda: int(time.monotonic() > deadline), _CHECK_STEPS)
            lines = [row[0] for row in connection.execute("PRAGMA quick_check(5)")]
    except (sqlite3.Error, OSError) as error:
        if "interrupted" in str(error):
            return False
        raise StoreError(str(error)) from None
    if damaged := [line for line in lines if line != "ok"]:
        raise StoreError(f"malformed: {damaged[0]}")
    return True


def _unread(where: str, said: str, *, is_file: bool) -> Finding:
    if any(word in said for word in _DAMAGE):
        return fail("store", f"{where} is damaged: {said}", way_back(where))
    if "locked" in said:
        return warn(
            "store",
            f"{where} is locked by another process, so it could not be looked at",
            "run this again; if it stays locked, end the process that holds it",
        )
    fix = "check that the server runs and FREEHOLD_DATABASE_URL is right"
    if is_file:
        fix = "check who owns the file and its folder"
    if "extra" in said:
        fix = "pip install 'freehold[postgres]'"
    return fail("store", f"{where} cannot be read: {said}", fix)


CLOCK_SLACK = timedelta(minutes=2)


def check_clock(site: Site) -> Iterator[Finding]:
    """A clock that is behind what was written is wrong, or was: retention, leases and spending trust it."""
    try:
        times = [entry.stat().st_mtime for entry in site.state.iterdir()]
    except OSError:
        times = []
    days = [row.checked for row in retirements.rows()] + [row.checked for row in advisories()]
    newest = None
    with suppress(StoreError, OverflowError, ValueError, OSError):  # another check says what is wrong with it
        ((micros,),) = site.rows("SELECT max(at_max) FROM trace_blocks")
        newest = None if micros is None else from_micros(micros)
    seen = {
        "the newest trace is from": newest,
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
