"""Facts as data files, each with source and date: models, licences, releases, accelerators, publishers."""

import functools
from importlib.resources import files
from typing import Any, TypeVar

import msgspec

from freehold.errors import StorageError

T = TypeVar("T")


@functools.cache
def read(name: str, kind: Any) -> Any:
    """A data file as `kind`. Raises `StorageError` naming a file that does not fit: the catalog ships with freehold, so
    this is a damaged installation or a bad new file."""
    try:
        return msgspec.toml.decode(files("freehold.catalog").joinpath(name).read_bytes(), type=kind)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise StorageError(f"catalog/{name}: {error}") from None


def tables(name: str, kind: type[T]) -> tuple[T, ...]:
    """The tables of a data file that has one list of them, in file order."""
    (rows,) = read(name, dict[str, tuple[kind, ...]]).values()  # type: ignore[valid-type]
    return rows  # type: ignore[no-any-return]


def data_files(folder: str) -> list[str]:
    """The data files of a folder, as `read` takes them."""
    entries = files("freehold.catalog").joinpath(folder).iterdir()
    return sorted(f"{folder}/{one.name}" for one in entries if one.name.endswith(".toml"))
