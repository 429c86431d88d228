"""The catalog of licences: `licenses/*.toml`, one file a licence, clauses paraphrased with their sections."""

from __future__ import annotations

import functools
import re
from importlib import resources
from typing import NamedTuple

import msgspec

from freehold.errors import StorageError
from freehold.licensing.identify import Fingerprint
from freehold.types.license import License

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

    Raises `StorageError` naming the file when one does not fit `types.license.License`: the catalog ships
    with freehold, so this is a damaged installation or a bad new file.
    """
    found: dict[str, License] = {}
    folder = resources.files("freehold.catalog") / "licenses"
    for path in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not path.name.endswith(".toml"):
            continue
        try:
            license = msgspec.toml.decode(path.read_bytes(), type=License)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise StorageError(f"catalog/licenses/{path.name}: {error}") from None
        if license.id in found:
            raise StorageError(f"catalog/licenses/{path.name}: second file for {license.id}")
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
