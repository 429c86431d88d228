"""The catalog of licences (`licenses/*.toml`, clauses paraphrased with their sections) and of releases: which release
is under which licence. Family never decides; the release does.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from importlib import resources
from typing import NamedTuple

import msgspec

from freehold.catalog import data_files, read
from freehold.errors import StorageError
from freehold.licensing.identify import Fingerprint
from freehold.types.license import License, Release, ReleaseFamily

_WORD = re.compile(r"[a-z0-9]+")


class Names(NamedTuple):
    """Ways to write a licence, as words, longest first, with the id of the licence."""

    exact: dict[str, str]
    phrases: tuple[tuple[str, str], ...]


def words(text: str) -> str:
    """Lower-case words and numbers of a text, joined by single spaces."""
    return " ".join(_WORD.findall(text.lower()))


@functools.cache
def licenses() -> dict[str, License]:
    """Every licence by its id.

    Raises `StorageError` naming the file when one does not fit `types.license.License`.
    """
    found: dict[str, License] = {}
    for file in data_files("licenses"):
        license = read(file, License)
        if license.id in found:
            raise StorageError(f"catalog/{file}: second file for {license.id}")
        found[license.id] = license
    return found


@functools.cache
def names() -> Names:
    """The names index over the catalog. A name of two licences is a `StorageError`."""
    exact: dict[str, str] = {}
    for license in licenses().values():
        for name in {words(text) for text in (license.id, license.name, *license.names)}:
            if exact.setdefault(name, license.id) != license.id:
                raise StorageError(f"catalog/licenses: '{name}' names {license.id} and {exact[name]}")
    return Names(exact, tuple(sorted(exact.items(), key=lambda item: -len(item[0]))))


def license_named(text: str) -> License | None:
    """The licence a whole text names (an id, a tag of a model card, a title), or None."""
    found = names().exact.get(words(text))
    return None if found is None else licenses()[found]


def licenses_mentioned(text: str, *, scope: str | None = None) -> tuple[License, ...]:
    """Licences mentioned inside a text, longest mention first; a mention inside a longer one is dropped."""
    rest = f" {words(text)} "
    found: list[License] = []
    for phrase, license_id in names().phrases:
        if f" {phrase} " not in rest:
            continue
        license = licenses()[license_id]
        if scope is not None and license.scope != scope:
            continue
        rest = rest.replace(f" {phrase} ", " | ")
        if license not in found:
            found.append(license)
    return tuple(found)


@functools.cache
def fingerprints() -> tuple[Fingerprint, ...]:
    """All known texts as hashes of their sentences (`scripts/make_license_fingerprints.py`); no text is shipped."""
    raw = (resources.files("freehold.catalog") / "fingerprints.json").read_bytes()
    return msgspec.json.decode(raw, type=tuple[Fingerprint, ...])


class _ReleaseFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    releases: tuple[Release, ...] = ()
    families: tuple[ReleaseFamily, ...] = ()


class Index(NamedTuple):
    """Releases by exact id (lower case), and ids by their name without its owner, as `spelled`."""

    exact: dict[str, tuple[Release, ...]]
    base_names: dict[str, str]
    by_length: tuple[tuple[str, str], ...]


@functools.cache
def _release_files() -> tuple[_ReleaseFile, ...]:
    found: list[_ReleaseFile] = []
    for name in data_files("releases"):
        file: _ReleaseFile = read(name, _ReleaseFile)
        for release in file.releases:
            for model in release.models:
                if "*" in model or "?" in model or "[" in model:
                    raise StorageError(f"catalog/{name}: {model} is a pattern, not a release")
        found.append(file)
    return tuple(found)


@functools.cache
def releases() -> tuple[Release, ...]:
    """All entries, in file order. Raises `StorageError` naming a file that does not fit."""
    return tuple(release for file in _release_files() for release in file.releases)


@functools.cache
def families() -> tuple[ReleaseFamily, ...]:
    """What families usually carry, in file order. Raises `StorageError` naming a file that does not fit."""
    return tuple(family for file in _release_files() for family in file.families)


@functools.cache
def owners() -> frozenset[str]:
    """Who publishes releases of the catalog: names on the hub, in lower case."""
    return frozenset(model.partition("/")[0].lower() for release in releases() for model in release.models)


def family_of(model: str) -> ReleaseFamily | None:
    """The family whose pattern fits a hub id that the catalog does not have, the longest pattern first.

    It says what such releases usually carry. A ruling is never made from it.
    """
    key = model.lower().split("@")[0]
    if key in release_index().exact:
        return None
    best: ReleaseFamily | None = None
    length = -1
    for family in families():
        for pattern in family.patterns:
            if len(pattern) > length and fnmatch.fnmatchcase(key, pattern.lower()):
                best, length = family, len(pattern)
    return best


def release_mentioned(text: str) -> str | None:
    """The hub id whose name (without its owner) a free text contains; the longest wins.

    A name that goes on in the same word is another name (``DeepSeek-V3-Extra`` is not ``DeepSeek-V3``), and so is
    one before a word that no sentence about a model would have there. Names too short to say more than a family
    are left out: family never decides.
    """
    padded = f" {words(text)} "
    for name, model in release_index().by_length:
        if f" {words(name)} " in padded:
            return model if _ends_there(text, name) else None
    return None


def spelled(text: str) -> str:
    """A name in lower case with single spaces for hyphens and underscores; a dot stays: 3.1 is not 3-1."""
    return " ".join(re.split(r"[\s_\-/]+", text.lower())).strip()


_AFTER = re.compile(
    r"\s*$|\s*[(\[,;:]|[.](?:\s|$)|\s+(?:via|through|on|at|by|from|in|of|hosted|served|api|models?|weights|outputs?"
    r"|answers?|traces?|checkpoints?|data|under|and|with|for|is|as)\b",
    re.IGNORECASE,
)


def _ends_there(text: str, name: str) -> bool:
    """Whether a name, found in a text by its words, ends where a word ends and is followed by nothing of a name."""
    pattern = r"[\s_\-]+".join(re.escape(part) for part in name.split())
    return any(
        _AFTER.match(text[found.end() :])
        for found in re.finditer(rf"(?<![A-Za-z0-9]){pattern}(?![A-Za-z0-9])", text, re.IGNORECASE)
    )


@functools.cache
def release_index() -> Index:
    """The lookup tables, made once."""
    exact: dict[str, tuple[Release, ...]] = {}
    base_names: dict[str, str] = {}
    for release in releases():
        for model in release.models:
            key = model.lower()
            exact[key] = (*exact.get(key, ()), release)
            base_names.setdefault(spelled(key.rpartition("/")[2]), model)
    long = [item for item in base_names.items() if " " in item[0]]
    by_length = tuple(sorted(long, key=lambda item: -len(item[0])))
    return Index(exact, base_names, by_length)


def releases_of(model: str) -> tuple[Release, ...]:
    """Entries for exactly this hub id (case and a revision after ``@`` aside). Empty: its licence is not known.

    Several entries mean that the licence changed with time; `since` and `until` tell them apart.
    """
    return release_index().exact.get(model.lower().split("@")[0], ())


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
