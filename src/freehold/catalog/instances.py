"""Cloud instance types with accelerators, by the cloud's name (`instances.toml`)."""

from __future__ import annotations

import datetime
import functools
import tomllib
from importlib.resources import files

import msgspec


class InstanceRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[instances]]` table: a machine by the name its cloud rents it under. `accelerator` is a name of
    `accelerators.toml`; virtual cores and memory are absent where they were not read."""

    names: tuple[str, ...]
    cloud: str
    accelerator: str
    count: int
    source: str
    checked: datetime.date
    vcpus: tuple[int, ...] = ()
    """Virtual cores of each of `names`, in their order."""
    memory_gib: tuple[float, ...] = ()
    """Memory of each of `names`, in their order."""


class CloudInstance(msgspec.Struct, frozen=True, kw_only=True):
    """One instance type. `vcpus` and `memory_gib` are None where they were not read."""

    name: str
    cloud: str
    accelerator: str
    count: int
    source: str
    checked: datetime.date
    vcpus: int | None = None
    memory_gib: float | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    instances: tuple[InstanceRow, ...]


@functools.cache
def all_instances() -> tuple[CloudInstance, ...]:
    """Every instance type, in file order."""
    text = files("freehold.catalog").joinpath("instances.toml").read_text(encoding="utf-8")
    return tuple(
        CloudInstance(
            name=name,
            cloud=row.cloud,
            accelerator=row.accelerator,
            count=row.count,
            source=row.source,
            checked=row.checked,
            vcpus=row.vcpus[place] if row.vcpus else None,
            memory_gib=row.memory_gib[place] if row.memory_gib else None,
        )
        for row in msgspec.convert(tomllib.loads(text), _File).instances
        for place, name in enumerate(row.names)
    )


@functools.cache
def _by_name() -> dict[str, CloudInstance]:
    return {one.name.lower(): one for one in all_instances()}


def find(name: str) -> CloudInstance | None:
    """An instance type by its name, whatever the case; Azure's with or without ``Standard_``. None when unknown."""
    wanted = name.strip().lower()
    return _by_name().get(wanted) or _by_name().get(f"standard_{wanted}")


def nearest(name: str) -> str | None:
    """The instance type spelt most like a misspelt one."""
    import difflib

    found = difflib.get_close_matches(name.strip().lower(), _by_name(), n=1, cutoff=0.93)
    return _by_name()[found[0]].name if found else None
