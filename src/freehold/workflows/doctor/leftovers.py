"""Checks of the project's files: who may read them, and what ended processes left."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from freehold.errors import FreeholdError
from freehold.processes import RunningProcess, standing
from freehold.store.database import parsed
from freehold.training import artefacts
from freehold.training.job import MANIFEST
from freehold.types.finding import Finding, fail, ok, warn
from freehold.visible import gib
from freehold.workflows.doctor.site import Site
from freehold.workflows.serve.background import server_file, servers_told

MOST_FILES = 20_000
RUN_FOLDERS = "freehold-gateway-*"
OLD_SECONDS = 86_400.0


def check_files(site: Site) -> Iterator[Finding]:
    """What customers said is for this user's eyes, and no one else changes what is run."""
    if not hasattr(os, "getuid"):  # Windows keeps rights elsewhere
        yield ok("permissions", "no file is in others' reach")
        return
    me, reached = os.getuid(), list(islice(_walk(site.state), MOST_FILES))
    foreign = [entry for entry, found in reached if found.st_uid != me]
    # A file in a folder that others cannot enter is out of their reach, whatever its own mode is.
    readable = [
        entry
        for entry, found in reached
        if found.st_uid == me and found.st_mode & (stat.S_IRGRP | stat.S_IROTH)
    ]
    key = None if site.config is None else site.config.serve.tls_key
    secret = None if not key else site.root / Path(key).expanduser()
    is_shown = secret is not None and bool(_mode(secret) & 0o077)
    is_changeable = site.config_path is not None and bool(_mode(site.config_path) & 0o022)
    if is_shown:
        yield fail("permissions", f"other users may read the private key {secret}", f"chmod 600 {secret}")
    if is_changeable:
        said = f"other users may change {site.config_path}, which names programs that run"
        yield fail("permissions", said, f"chmod go-w {site.config_path}")
    if foreign:
        yield warn("permissions", f"{foreign[0]} belongs to another user", f"chown -R $(id -u) {site.state}")
    if readable:
        more = "" if len(reached) < MOST_FILES else "at least "
        yield warn(
            "permissions",
            f"other users may read {more}{len(readable):,} files of {site.state}: {readable[0]} …",
            f"chmod -R go-rwx {site.state}",
        )
    if not (is_shown or is_changeable or foreign or readable):
        said = f"no other user can read {site.state}" if reached else "no file is in others' reach"
        yield ok("permissions", said)


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


def _left_servers(site: Site) -> Iterator[Finding]:
    """Gateways that the project's files name."""
    logs = site.state / "engines"
    for server in servers_told(logs):
        url, file = server.url, server_file(logs, urlsplit(server.url).port or 0)
        match standing(server, logs):
            case "alive":
                yield ok("endpoint", f"{url} runs, process {server.pid}")
            case "ended":
                text = f"{file} names {url}, whose process {server.pid} has ended without taking it away"
                yield warn("left over", text, f"rm {file}; freehold up starts it again")
            case "copied":
                text = f"{file} came with a copy of the project: {url} belongs to the original"
                yield warn("left over", text, f"rm {file}")
            case "elsewhere":
                text = f"{file} names {url} on {server.host}"
                yield warn("left over", text, f"freehold down on {server.host}")


def _left_migration(site: Site) -> Iterator[Finding]:
    """Who holds the migration's lock, read without opening the store to write."""
    try:
        rows = site.rows("SELECT owner FROM leases WHERE name = 'migration'")
        url = parsed(site.store_url)
        owner = msgspec.json.decode(rows[0][0], type=RunningProcess) if rows else None
    except (FreeholdError, msgspec.MsgspecError):
        return  # what is wrong with the store is told by its own check
    is_file = url.get_backend_name() == "sqlite"
    state = None if owner is None else standing(owner, Path(url.database or "").parent if is_file else None)
    if owner is not None and state == "alive":
        yield ok("migration", f"one runs, process {owner.pid}")
    if owner is not None and state == "ended":
        text = f"one ended before it was done, process {owner.pid}"
        yield warn("migration", text, "freehold migrate goes on from there")


def check_leftovers(site: Site) -> Iterator[Finding]:
    """What runs, and what ended processes left behind."""
    found = [*_left_servers(site), *_left_migration(site), *_left_files(site)]
    yield from found or [ok("left over", "nothing")]


def _left_files(site: Site) -> Iterator[Finding]:
    """Unfinished trainings, half-written files and old run folders."""
    state, old = site.state, time.time() - OLD_SECONDS
    for run in sorted(state.glob("adapters/*/run")):
        if (run / artefacts.FILE).exists() and not (run.parent / MANIFEST).exists():
            said = f"{run.parent}: a training that was stopped"
            yield warn("left over", said, "freehold migrate, or train, goes on from it")
    partial = {}
    for folder in (state, site.settings.home):
        for file in (*folder.glob("*.partial*"), *folder.glob("*/*.partial*")):
            found = _stat(file)
            if found is not None and found.st_mtime < old:
                partial[str(file)] = found.st_size
    if partial:
        size = gib(sum(partial.values()), 2)
        yield warn(
            "left over",
            f"{len(partial)} half-written files of more than a day ago, {size}: {next(iter(partial))} …",
            "remove them when nothing is being fetched or trained",
        )
    folders = [
        str(folder)
        for folder in Path(tempfile.gettempdir()).glob(RUN_FOLDERS)
        if (found := _stat(folder)) is not None
        and found.st_mtime < old
        and (not hasattr(os, "getuid") or found.st_uid == os.getuid())
    ]
    if folders:
        yield warn(
            "left over",
            f"{len(folders)} run folders of gateways of more than a day ago: {folders[0]} …",
            "a gateway that starts removes those of more than a week ago; if none runs, remove them",
        )


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
