"""From traces to an immutable dataset: samples, groups, splits, leak check.

A split is decided by a hash of (seed, group), so the same group always lands in the same split, whatever else is
in the data, and adding traces never moves old ones between splits.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold.datasets.recipe import Recipe as Recipe
from freehold.datasets.sampling import answer_of as answer_of
from freehold.datasets.sampling import sample_of as sample_of
from freehold.errors import StorageError, UsageError
from freehold.types.dataset import SPLITS, Dataset, Sample, Split, SplitName
from freehold.types.record import content_id
from freehold.types.trace import Trace


class Made(NamedTuple):
    """A sample and the split it belongs to."""

    sample: Sample
    split: SplitName


def split_of(key: str, recipe: Recipe) -> SplitName:
    """The split of a group: a uniform number in [0, 1) from SHA-256 of seed and key, cut at the shares."""
    digest = hashlib.sha256(f"{recipe.seed}:{key}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < recipe.held_out:
        return "held_out"
    return "validation" if place < recipe.held_out + (1 - recipe.held_out) * recipe.validation else "train"


def normalized_question(sample: Sample) -> str:
    """What is compared in the leak check: the last user message, lower case, spaces collapsed."""
    asked = next((m.content for m in reversed(sample.messages) if m.role == "user"), "")
    text = asked if isinstance(asked, str) else msgspec.json.encode(asked).decode()
    return " ".join(text.lower().split())


class Building(NamedTuple):
    """What `make_samples` found: samples by split, and what was left out and why."""

    by_split: dict[SplitName, list[Sample]]
    dropped: Counter[str]


def make_samples(traces: Iterable[Trace], recipe: Recipe) -> Building:
    """Sort traces into splits and drop what must not be there.

    Dropped, and counted by reason: traces without an answer, repeats of the same request (the first one with gold
    wins, else the first), and training or validation samples whose question also stands in the held-out split.
    A trace whose metadata has ``split = "held_out"`` (a file the owner keeps for evaluation) goes there whole.
    """
    dropped: Counter[str] = Counter()
    made: dict[str, Made] = {}
    for trace in traces:
        try:
            sample = sample_of(trace, recipe)
        except msgspec.ValidationError:
            dropped["messages not as the chat API spells them"] += 1
            continue
        if sample.target is None:
            dropped["no answer"] += 1
            continue
        forced = trace.metadata.get("split")
        if forced in SPLITS:
            split: SplitName = forced
        else:
            split = split_of(sample.group or sample.id, recipe)
        before = made.get(sample.id)
        if before is not None:
            dropped["same request again"] += 1
            if before.split == "held_out" and split != "held_out":
                continue
            if not (split == "held_out" and before.split != "held_out") and (
                before.sample.gold is not None or sample.gold is None
            ):
                continue
        made[sample.id] = Made(sample, split)
    by_split: dict[SplitName, list[Sample]] = {name: [] for name in SPLITS}
    for sample, split in made.values():
        by_split[split].append(sample)
    _drop_leaks(by_split, dropped)
    for name in SPLITS:
        by_split[name].sort(key=lambda sample: sample.id)
    if recipe.limit is not None:
        by_split["train"] = by_split["train"][: recipe.limit]
    if recipe.held_out_limit is not None:
        by_split["held_out"] = by_split["held_out"][: recipe.held_out_limit]
    return Building(by_split, dropped)


def _drop_leaks(by_split: dict[SplitName, list[Sample]], dropped: Counter[str]) -> None:
    kept = {normalized_question(sample) for sample in by_split["held_out"]}
    for name in ("validation", "train"):
        clean = [sample for sample in by_split[name] if normalized_question(sample) not in kept]
        if len(clean) < len(by_split[name]):
            dropped[f"{name} question also held out"] += len(by_split[name]) - len(clean)
        by_split[name] = clean
        kept |= {normalized_question(sample) for sample in clean}


def write(
    building: Building,
    recipe: Recipe,
    *,
    name: str,
    root: Path,
    made_from: tuple[str, ...],
    version: str,
    incumbent_model: str | None,
) -> Dataset:
    """Write the splits and the manifest into ``root/<id>``; an identical dataset already there is returned.

    Raises `UsageError` when a split would be empty, `StorageError` when the disk refuses.
    """
    for wanted in ("train", "held_out"):
        if not building.by_split[wanted]:
            raise UsageError(
                f"the {wanted} split would be empty ({sum(map(len, building.by_split.values()))} samples in all)",
                hint="import more traces, or change [data] held_out",
            )
    files = {split: _encode(building.by_split[split]) for split in SPLITS}
    splits = tuple(
        Split(
            name=split,
            file=f"{split}.jsonl",
            samples=len(building.by_split[split]),
            groups=len({sample.group or sample.id for sample in building.by_split[split]}),
            sha256=hashlib.sha256(files[split]).hexdigest(),
        )
        for split in SPLITS
    )
    plain_recipe = msgspec.to_builtins(recipe)
    identity = content_id([{"splits": splits}, plain_recipe, incumbent_model])
    trained_on = building.by_split["train"] + building.by_split["validation"]
    gold = sum(sample.gold is not None for sample in trained_on)
    dataset = Dataset(
        id=identity,
        name=name,
        path=str(root / identity),
        splits=splits,
        recipe=plain_recipe,
        made_from=made_from,
        version=version,
        dropped=dict(building.dropped),
        incumbent_model=incumbent_model,
        targets_from={"gold": gold, "incumbent": len(trained_on) - gold},
        preferences=_preferences(trained_on),
    )
    folder = root / identity
    if (folder / "manifest.json").exists():
        return dataset
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for split in SPLITS:
            (folder / f"{split}.jsonl").write_bytes(files[split])
        manifest = msgspec.json.format(msgspec.json.encode(dataset))
        partial = folder / "manifest.json.partial"
        partial.write_bytes(manifest)
        partial.rename(folder / "manifest.json")
    except OSError as error:
        raise StorageError(
            f"{folder}: dataset cannot be written: {error.strerror}",
            hint="free some space or check who owns the folder, then run the command again",
        ) from None
    return dataset


def _preferences(samples: list[Sample]) -> dict[str, int]:
    counts = {
        "pairs": sum(sample.rejected is not None for sample in samples),
        "liked": sum(sample.desirable is True for sample in samples),
        "disliked": sum(sample.desirable is False for sample in samples),
    }
    return {name: count for name, count in counts.items() if count}


def _encode(samples: list[Sample]) -> bytes:
    return b"".join(msgspec.json.encode(sample) + b"\n" for sample in samples)


def load(folder: Path) -> Dataset:
    """The manifest in `folder`. Raises `UsageError` when there is none."""
    try:
        return msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Dataset)
    except FileNotFoundError:
        raise UsageError(f"{folder}: no dataset there", hint="freehold dataset build makes one") from None
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise StorageError(
            f"{folder / 'manifest.json'}: not a dataset's manifest: {error}", hint="build the dataset again"
        ) from None


def samples(dataset: Dataset, split: SplitName) -> Iterator[Sample]:
    """The samples of one split, in order. Raises `StorageError` when the file is not what the manifest says."""
    path = Path(dataset.path) / dataset.split(split).file
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}", hint="rebuild it: freehold dataset build") from None
    if hashlib.sha256(data).hexdigest() != dataset.split(split).sha256:
        raise StorageError(
            f"{path}: content was changed after the dataset was built",
            hint=f"datasets are immutable: remove {dataset.path} and run freehold dataset build",
        )
    decoder = msgspec.json.Decoder(Sample)
    for line in data.splitlines():
        yield decoder.decode(line)
