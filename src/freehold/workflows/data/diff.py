"""What changed from one dataset to another, sample by sample."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold.errors import StorageError
from freehold.types.dataset import SPLITS, Dataset
from freehold.types.record import Record

SHOWN = 5


class _ComparedFields(msgspec.Struct):
    """The part of a sample that is compared."""

    id: str
    gold: str | None = None
    incumbent: str | None = None
    trace_id: str | None = None


class _AnswerHashes(NamedTuple):
    """Hashes of what is compared of a sample."""

    gold: int
    incumbent: int
    trace: int | None


class SplitDiff(Record, frozen=True, kw_only=True):
    """One split's samples in both datasets: by id, then by their answers.

    `rewritten` of the `added` are of traces the old dataset had too, in other words (a placeholder, for example).
    """

    added: int
    removed: int
    same: int
    changed_gold: int
    changed_incumbent: int
    rewritten: int = 0
    first_added: tuple[str, ...] = ()
    first_removed: tuple[str, ...] = ()
    first_changed: tuple[str, ...] = ()


class DatasetDiff(Record, frozen=True, kw_only=True):
    """`moved` counts samples that are in both, in another split (``train: held_out``)."""

    old: str
    new: str
    splits: dict[str, SplitDiff]
    moved: dict[str, int]
    recipe: dict[str, tuple[Any, Any]]


def diff(old: Dataset, new: Dataset) -> DatasetDiff:
    """Compare two datasets by the ids of their samples. Raises `StorageError` when a file cannot be read."""
    before = {name: _keys(old, name) for name in SPLITS}
    after = {name: _keys(new, name) for name in SPLITS}
    was_in = {id: name for name in SPLITS for id in before[name]}
    after_ids = {id for name in SPLITS for id in after[name]}
    removed_traces = {
        one.trace for name in SPLITS for id, one in before[name].items() if id not in after_ids
    } - {None}
    moved: Counter[str] = Counter()
    splits: dict[str, SplitDiff] = {}
    for name in SPLITS:
        one, other = before[name], after[name]
        added = sorted(id for id in other if id not in one)
        moved.update(f"{was_in[id]}: {name}" for id in added if id in was_in)
        removed = sorted(id for id in one if id not in other)
        both = [id for id in one if id in other]
        gold = sorted(id for id in both if one[id].gold != other[id].gold)
        incumbent = sorted(id for id in both if one[id].incumbent != other[id].incumbent)
        splits[name] = SplitDiff(
            added=len(added),
            removed=len(removed),
            same=len(both),
            changed_gold=len(gold),
            changed_incumbent=len(incumbent),
            rewritten=sum(id not in was_in and other[id].trace in removed_traces for id in added),
            first_added=tuple(added[:SHOWN]),
            first_removed=tuple(removed[:SHOWN]),
            first_changed=tuple(sorted({*gold, *incumbent})[:SHOWN]),
        )
    recipe = {
        name: (old.recipe.get(name), new.recipe.get(name))
        for name in sorted({*old.recipe, *new.recipe})
        if old.recipe.get(name) != new.recipe.get(name)
    }
    return DatasetDiff(old=old.id, new=new.id, splits=splits, moved=dict(moved), recipe=recipe)


def _keys(dataset: Dataset, name: str) -> dict[str, _AnswerHashes]:
    """Samples of a split by id."""
    decoder = msgspec.json.Decoder(_ComparedFields)
    path = Path(dataset.path) / f"{name}.jsonl"
    try:
        with path.open("rb") as file:
            keys = (decoder.decode(line) for line in file)
            return {
                one.id: _AnswerHashes(
                    hash(one.gold), hash(one.incumbent), None if one.trace_id is None else hash(one.trace_id)
                )
                for one in keys
            }
    except (OSError, msgspec.DecodeError) as error:
        raise StorageError(f"{path}: cannot be read: {error}", hint="build the dataset again") from None
