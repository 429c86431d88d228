"""The catalog of releases: which release is under which licence. Family never decides; the release does."""

from __future__ import annotations

import fnmatch
import functools
from importlib import resources
from typing import NamedTuple

import msgspec

from freehold.catalog.licenses import words
from freehold.errors import StorageError
from freehold.types.license import Release


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    releases: tuple[Release, ...]


class Index(NamedTuple):
    """Releases by exact id (lower case), by pattern, and by the words of the id without its owner."""

    exact: dict[str, tuple[Release, ...]]
    patterns: tuple[tuple[str, Release], ...]
    base_names: dict[str, str]
    by_length: tuple[tuple[str, str], ...]


@functools.cache
def releases() -> tuple[Release, ...]:
    """All entries, in file order. Raises `StorageError` naming a file that does not fit."""
    found: list[Release] = []
    folder = resources.files("freehold.catalog") / "releases"
    for path in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not path.name.endswith(".toml"):
            continue
        try:
            found.extend(msgspec.toml.decode(path.read_bytes(), type=_File).releases)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise StorageError(f"catalog/releases/{path.name}: {error}") from None
    return tuple(found)


def release_mentioned(text: str) -> str | None:
    """The hub id whose name (without its owner) a free text contains; the longest wins.

    Names too short to say more than a family are left out: family never decides.
    """
    padded = f" {words(text)} "
    for name, model in index().by_length:
        if f" {name} " in padded:
            return model
    return None


@functools.cache
def index() -> Index:
    """The lookup tables, made once."""
    exact: dict[str, tuple[Release, ...]] = {}
    patterns: list[tuple[str, Release]] = []
    base_names: dict[str, str] = {}
    stems: set[str] = set()
    for release in releases():
        for model in release.models:
            key = model.lower()
            if "*" in key:
                patterns.append((key, release))
                stem = key.rstrip("*")
                base_names.setdefault(words(stem.rpartition("/")[2]), stem)
                stems.add(words(stem.rpartition("/")[2]))
                continue
            exact[key] = (*exact.get(key, ()), release)
            base_names.setdefault(words(key.rpartition("/")[2]), model)
    patterns.sort(key=lambda item: -len(item[0]))
    # A stem stands for a family, so it takes a longer name to be sure of it.
    long = [item for item in base_names.items() if item[0].count(" ") >= (2 if item[0] in stems else 1)]
    by_length = tuple(sorted(long, key=lambda item: -len(item[0])))
    return Index(exact, tuple(patterns), base_names, by_length)


def releases_of(model: str) -> tuple[Release, ...]:
    """Entries for a hub id: the exact ones, else those of the longest pattern that fits. Empty: unknown.

    Several entries mean that the licence changed with time; `since` and `until` tell them apart.
    """
    key = model.lower().split("@")[0]
    found = index().exact.get(key)
    if found:
        return found
    best: list[Release] = []
    length = 0
    for pattern, release in index().patterns:
        if best and len(pattern) < length:
            break
        if fnmatch.fnmatchcase(key, pattern) and key not in {m.lower() for m in release.except_models}:
            best.append(release)
            length = len(pattern)
    return tuple(best)


def release_on(entries: tuple[Release, ...], date: str | None, released: str | None = None) -> Release | None:
    """The entry in force for a copy obtained on an ISO date (None: the latest), or None when none fits.

    `released` is the date of the release that is meant, where one id stands for several.
    """
    later = [e for e in entries if e.released_since and released and released >= e.released_since]
    if later:
        return later[-1]
    entries = tuple(entry for entry in entries if entry.released_since is None)
    if date is None:
        open_ended = [entry for entry in entries if entry.until is None]
        return open_ended[-1] if open_ended else (entries[-1] if entries else None)
    for entry in entries:
        after = entry.since is None or date >= entry.since
        if after and (entry.until is None or date < entry.until):
            return entry
    return None
