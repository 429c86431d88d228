"""A folder of data files as one: a Hugging Face dataset as `save_to_disk` writes it, a clone from the hub, an export in
parts.

Source of the shape: the layout of the `datasets` package (``dataset_dict.json`` names the splits, ``state.json`` the
files of one) and Hugging Face's page "Structure your repository" (huggingface.co/docs/hub): splits are told by the
words train, validation, test in names of files or folders.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold.errors import InputError
from freehold.types.dataset import SplitName

_DATA = (".jsonl", ".json", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow")
_NOT_DATA = frozenset(
    {"dataset_dict.json", "dataset_info.json", "state.json", "dataset_infos.json", "config.json"}
)
_SPLITS: tuple[tuple[str, SplitName], ...] = (
    (r"test|eval|held[-_ ]?out", "held_out"),
    (r"validation|valid|val|dev", "validation"),
)


class Part(NamedTuple):
    """One file of a folder, and the split its name says it is (None: not said, or for training)."""

    path: Path
    split: SplitName | None


def parts(path: Path) -> Iterator[Part]:
    """The data files of `path`, which may be a file itself. Raises `InputError` when there are none."""
    if not path.is_dir():
        if path.exists() and not path.is_file():  # a pipe, a device without end
            raise InputError(
                "not a file: a log is read more than once", path=str(path), hint="write it to a file first"
            )
        yield Part(path, None)
        return
    found = [one for one in sorted(path.rglob("*")) if one.is_file() and _is_data(one)]
    found = [one for one in found if not any(part.startswith(".") for part in one.relative_to(path).parts)]
    states = {one.parent: _named(one) for one in path.rglob("state.json")}
    if states:  # what `save_to_disk` wrote lists its files, so that caches next to them are not read
        found = [one for one in found if one.parent not in states or one.name in states[one.parent]]
    if not found:
        raise InputError(
            "no data files in this folder",
            path=str(path),
            hint=f"looked for {', '.join(_DATA)}, also .gz and .zst",
        )
    for one in found:
        yield Part(one, _split(str(one.relative_to(path))))


def _is_data(path: Path) -> bool:
    name = path.name.lower().removesuffix(".gz").removesuffix(".zst")
    return name.endswith(_DATA) and name not in _NOT_DATA


def _named(state: Path) -> set[str]:
    try:
        listed = msgspec.json.decode(state.read_bytes()).get("_data_files") or ()
        return {str(one["filename"]) for one in listed}
    except (OSError, msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"not the state of a saved dataset: {error}", path=str(state)) from None


def _split(name: str) -> SplitName | None:
    for words, split in _SPLITS:
        if re.search(rf"(^|[-_/.\\ ])({words})([-_/.\\ ]|$)", name.lower()):
            return split
    return None
