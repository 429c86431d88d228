"""Datasets on disk: written once, named by their content, read back only unchanged."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold import files
from freehold.datasets.recipe import Recipe
from freehold.errors import StorageError, UsageError
from freehold.types.dataset import SPLITS, Dataset, NearDuplicates, Sample, Split, SplitName
from freehold.types.record import content_id

MANIFEST = "manifest.json"


class Building(NamedTuple):
    """What `make_samples` found: samples by split, what was left out and why, and what was nearly the same.

    `conflicts` are pairs of samples that ask (nearly) the same and are to be answered differently, with their likeness.
    """

    by_split: Mapping[SplitName, Sequence[Sample]]
    dropped: Counter[str]
    near_duplicates: NearDuplicates | None = None
    conflicts: Sequence[tuple[Sample, Sample, float]] = ()
    conflict_count: int = 0


def require(building: Building, splits: Sequence[SplitName]) -> None:
    """Raise `UsageError` where one of `splits` would be empty."""
    for wanted in splits:
        if not building.by_split[wanted]:
            left = ", ".join(f"{count:,} × {reason}" for reason, count in building.dropped.most_common(3))
            raise UsageError(
                f"the {wanted} split would be empty ({sum(map(len, building.by_split.values()))} samples in all"
                + (f"; left out: {left})" if left else ")"),
                hint=_way_out(building.dropped),
            )


def write(
    building: Building,
    recipe: Recipe,
    *,
    name: str,
    root: Path,
    made_from: tuple[str, ...],
    version: str,
    incumbent_model: str | None,
    notes: tuple[str, ...] = (),
) -> Dataset:
    """Write the splits and the manifest into ``root/<id>``; an identical dataset already there is returned.

    Raises `StorageError` when the disk refuses.
    """
    with files.writing(
        f"{root}: dataset cannot be written",
        hint="free some space or check who owns the folder, then run the command again",
    ):
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=root, ignore_cleanup_errors=True) as made:
            partial = Path(made)
            counts: Counter[str] = Counter()
            splits = tuple(_write_split(partial, split, building.by_split[split], counts) for split in SPLITS)
            plain_recipe = msgspec.to_builtins(recipe)
            identity = content_id([{"splits": splits}, plain_recipe, incumbent_model])
            folder = root / identity
            dataset = Dataset(
                id=identity,
                name=name,
                path=str(folder),
                splits=splits,
                recipe=plain_recipe,
                made_from=made_from,
                version=version,
                dropped=dict(building.dropped),
                notes=notes,
                incumbent_model=incumbent_model,
                targets_from={"gold": counts["gold"], "incumbent": counts["incumbent"]},
            )
            if (folder / MANIFEST).exists():
                return dataset
            (partial / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(dataset)))
            if folder.exists():  # one without a manifest: its making was cut off
                shutil.rmtree(folder)
            partial.rename(folder)
    return dataset


def _way_out(dropped: Counter[str]) -> str:
    """What to do about a split that would be empty, by what most of its samples were left out for."""
    reason = dropped.most_common(1)[0][0] if dropped else ""
    if "also held out" in reason:
        return "what is held out is what would be taught: name a held-out file that shares nothing with the others"
    if "other instructions" in reason:
        return "they differ only in their instructions: what is asked must stand in a user's message"
    if any("nearly the same" in one for one in dropped):
        return "your questions differ in little: raise [curate] near_duplicates, 0 compares only exactly"
    return "import more traces, or change [data] held_out; freehold dataset build needs some of both"


def _write_split(folder: Path, name: SplitName, samples: Sequence[Sample], counts: Counter[str]) -> Split:
    """Write one split, sample by sample, and count what its targets are."""
    digest = hashlib.sha256()
    groups: set[bytes] = set()
    file = f"{name}.jsonl"
    with (folder / file).open("wb") as out:
        for sample in samples:
            line = msgspec.json.encode(sample) + b"\n"
            digest.update(line)
            out.write(line)
            groups.add(hashlib.blake2b((sample.group or sample.id).encode(), digest_size=8).digest())
            if name != "held_out":
                counts["gold" if sample.gold is not None else "incumbent"] += 1
    return Split(name=name, file=file, samples=len(samples), groups=len(groups), sha256=digest.hexdigest())


def load(folder: Path) -> Dataset:
    """The manifest in `folder`. Raises `UsageError` when there is none."""
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Dataset)
    except FileNotFoundError:
        raise UsageError(f"{folder}: no dataset there", hint="freehold dataset build makes one") from None
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise StorageError(
            f"{folder / MANIFEST}: not a dataset's manifest: {error}", hint="build the dataset again"
        ) from None


def samples(dataset: Dataset, split: SplitName) -> Iterator[Sample]:
    """The samples of one split, in order. Raises `StorageError` when the file is not what the manifest says.

    The file is read twice, first for its hash: no sample is given out of a file that was changed.
    """
    path = Path(dataset.path) / dataset.split(split).file
    with files.writing(str(path), hint="rebuild it: freehold dataset build"), path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != dataset.split(split).sha256:
        raise StorageError(
            f"{path}: content was changed after the dataset was built",
            hint=f"datasets are immutable: remove {dataset.path} and run freehold dataset build",
        )
    decoder = msgspec.json.Decoder(Sample)
    with path.open("rb") as file:
        for line in file:
            yield decoder.decode(line)
