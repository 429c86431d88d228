"""Checks of the project's files: who may read them, and what ended processes left."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from freehold.errors import FreeholdError
from freehold.processes import RunningProcess, Standing, standing
from freehold.store.database import parsed
from freehold.training import artefacts
from freehold.training.job import MANIFEST
from freehold.types.finding import Finding, fail, ok, warn
from freehold.types.record import Record
from freehold.visible import gib
from freehold.workflows.doctor.site import Site
from freehold.workflows.doctor.store import rows_of

MOST_FILES = 20_000
RUN_FOLDERS = "freehold-gateway-*"
OLD_SECONDS = 86_400.0


class FileFacts(Record, frozen=True, kw_only=True):
    """Files that other users may read or change; the first few by name. Without `whole` there are more of them."""

    state: str
    readable: tuple[str, ...] = ()
    readable_count: int = 0
    foreign: tuple[str, ...] = ()
    secret_readable: tuple[str, ...] = ()
    changeable: tuple[str, ...] = ()
    seen: int = 0
    """How many files other users can get at: those in folders that they can enter."""
    whole: bool = True


def look_at_files(site: Site) -> FileFacts:
    if not hasattr(os, "getuid"):  # Windows keeps rights elsewhere
        return FileFacts(state=str(site.state))
    me, readable, foreign, seen = os.getuid(), [], [], 0
    for entry, found in _walk(site.state):
        seen += 1
        if found.st_uid != me:
            foreign.append(entry)
        # A file in a folder that others cannot enter is out of their reach, whatever its own mode is.
        elif found.st_mode & (stat.S_IRGRP | stat.S_IROTH):
            readable.append(entry)
        if seen >= MOST_FILES:
            break
    config = site.config
    key = config.serve.tls_key if config is not None else None
    secret = [site.root / Path(key).expanduser()] if key else []
    own = [site.config_path] if site.config_path is not None else []
    return FileFacts(
        state=str(site.state),
        readable=tuple(readable[:3]),
        readable_count=len(readable),
        foreign=tuple(foreign[:3]),
        secret_readable=tuple(str(path) for path in secret if _mode(path) & 0o077),
        changeable=tuple(str(path) for path in own if _mode(path) & 0o022),
        seen=seen,
        whole=seen < MOST_FILES,
    )


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0


def _walk(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Files that users other than the owner can get at, as far as the folders go."""
    try:
        found = folder.stat()
    except OSError:
        return
    if not found.st_mode & (stat.S_IXGRP | stat.S_IXOTH):
        return
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    try:
                        found = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    if stat.S_ISDIR(found.st_mode):
                        if found.st_mode & (stat.S_IXGRP | stat.S_IXOTH):
                            waiting.append(Path(entry.path))
                    elif stat.S_ISREG(found.st_mode) and entry.name != ".gitignore":
                        yield entry.path, found
        except OSError:
            continue


def judge_files(facts: FileFacts) -> Iterator[Finding]:
    """What customers said is for this user's eyes, and no one else changes what is run."""
    if facts.secret_readable:
        names = ", ".join(facts.secret_readable)
        yield fail("permissions", f"other users may read the private key {names}", f"chmod 600 {names}")
    if facts.changeable:
        names = ", ".join(facts.changeable)
        yield fail(
            "permissions",
            f"other users may change {names}, which names programs that run",
            f"chmod go-w {names}",
        )
    if facts.foreign:
        yield warn(
            "permissions",
            f"{facts.foreign[0]} belongs to another user",
            f"chown -R $(id -u) {facts.state}",
        )
    if facts.readable_count:
        more = "" if facts.whole else "at least "
        yield warn(
            "permissions",
            f"other users may read {more}{facts.readable_count:,} files of {facts.state}: {facts.readable[0]} …",
            f"chmod -R go-rwx {facts.state}",
        )
    if not (facts.secret_readable or facts.changeable or facts.foreign or facts.readable_count):
        yield ok(
            "permissions",
            f"no other user can read {facts.state}" if facts.seen else "no file is in others' reach",
        )


class LeftProcess(Record, frozen=True, kw_only=True):
    """A process that a state file, or the migration's lock, names."""

    file: str
    pid: int
    standing: Standing
    host: str | None = None
    url: str | None = None
    what: str = ""


class LeftFacts(Record, frozen=True, kw_only=True):
    """Processes that files name, unfinished trainings, half-written files (name to bytes) and old run folders."""

    processes: tuple[LeftProcess, ...] = ()
    unfinished: tuple[str, ...] = ()
    partial: dict[str, int] = {}
    run_folders: tuple[str, ...] = ()


class _Named(RunningProcess, frozen=True, kw_only=True):
    url: str | None = None
    command: str | None = None


def look_at_leftovers(site: Site) -> LeftFacts:
    state, old = site.state, time.time() - OLD_SECONDS
    processes = []
    logs = state / "engines"
    for file in (state / "up.json", *sorted(logs.glob("serving-*.json"))):
        folder = state if file.parent == state else logs
        try:
            named = msgspec.json.decode(file.read_bytes(), type=_Named)
        except (OSError, msgspec.MsgspecError):
            continue
        processes.append(_left(str(file), named, folder, "endpoint"))
    if (lock := _migration(site)) is not None:
        processes.append(lock)
    partial = {}
    for folder in (state, site.settings.home):
        for file in (*folder.glob("*.partial*"), *folder.glob("*/*.partial*")):
            found = _stat(file)
            if found is not None and found.st_mtime < old:
                partial[str(file)] = found.st_size
    unfinished = [
        str(run.parent)
        for run in sorted(state.glob("adapters/*/run"))
        if (run / artefacts.FILE).exists() and not (run.parent / MANIFEST).exists()
    ]
    folders = [
        str(folder)
        for folder in Path(tempfile.gettempdir()).glob(RUN_FOLDERS)
        if (found := _stat(folder)) is not None
        and found.st_mtime < old
        and (not hasattr(os, "getuid") or found.st_uid == os.getuid())
    ]
    return LeftFacts(
        processes=tuple(processes), unfinished=tuple(unfinished), partial=partial, run_folders=tuple(folders)
    )


def _left(file: str, named: _Named, folder: Path | None, what: str) -> LeftProcess:
    where = standing(named, folder)
    return LeftProcess(file=file, pid=named.pid, standing=where, host=named.host, url=named.url, what=what)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _migration(site: Site) -> LeftProcess | None:
    """Who holds the migration's lock, read without opening the store to write."""
    try:
        rows = rows_of(site, "SELECT owner FROM leases WHERE name = 'migration'")
        named = msgspec.json.decode(rows[0][0], type=_Named) if rows else None
        url = parsed(site.store_url)
    except (FreeholdError, msgspec.MsgspecError):
        return None  # what is wrong with the store is told by its own check
    folder = Path(url.database or "").parent if url.get_backend_name() == "sqlite" else None
    return None if named is None else _left(str(site.state), named, folder, "migration")


def judge_leftovers(facts: LeftFacts) -> Iterator[Finding]:
    """What runs, and what ended processes left behind."""
    found = [finding for one in facts.processes if (finding := _of_process(one)) is not None]
    yield from found
    for folder in facts.unfinished:
        yield warn(
            "left over",
            f"{folder}: a training that was stopped",
            "freehold migrate, or train, goes on from it",
        )
    if facts.partial:
        size = gib(sum(facts.partial.values()), 2)
        yield warn(
            "left over",
            f"{len(facts.partial)} half-written files of more than a day ago, {size}: {next(iter(facts.partial))} …",
            "remove them when nothing is being fetched or trained",
        )
    if facts.run_folders:
        yield warn(
            "left over",
            f"{len(facts.run_folders)} run folders of gateways of more than a day ago: {facts.run_folders[0]} …",
            "a gateway that starts removes those of more than a week ago; if none runs, remove them",
        )
    if not (found or facts.unfinished or facts.partial or facts.run_folders):
        yield ok("left over", "nothing")


def _of_process(one: LeftProcess) -> Finding | None:
    where = f"process {one.pid}"
    if one.what == "migration":
        if one.standing == "alive":
            return ok("migration", f"one runs, {where}")
        if one.standing == "ended":
            return warn(
                "migration", f"one ended before it was done, {where}", "freehold migrate goes on from there"
            )
        return None
    if one.standing == "alive":
        return ok("endpoint", f"{one.url} runs, {where}")
    if one.standing == "ended":
        return warn(
            "left over",
            f"{one.file} names {one.url}, whose {where} has ended without taking it away",
            f"rm {one.file}; freehold up starts it again",
        )
    if one.standing == "copied":
        return warn(
            "left over",
            f"{one.file} came with a copy of the project: {one.url} belongs to the original",
            f"rm {one.file}",
        )
    return warn("left over", f"{one.file} names {one.url} on {one.host}", f"freehold down on {one.host}")
