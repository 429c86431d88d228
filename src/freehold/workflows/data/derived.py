"""A dataset made of another for one candidate: other training samples, the same ones to choose by and to prove on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path

import msgspec

from freehold import __version__
from freehold.datasets import building
from freehold.datasets import profile as profiles
from freehold.store import Store
from freehold.types.dataset import Dataset
from freehold.workflows.data.curate import read_card, write_card
from freehold.workflows.project import Project

SUFFIX = "taught"
"""Ends its name, so that the dataset it is made of is found by its own."""


def derive(
    project: Project,
    store: Store,
    dataset: Dataset,
    *,
    without: Collection[str] = (),
    notes: tuple[str, ...] = (),
) -> Dataset:
    """`dataset` without some training samples (by id); itself where nothing changes.

    Raises `UsageError` where no training sample would be left, `StorageError` where it cannot be read or written.
    """
    if not without:
        return dataset
    gone = set(without)
    made = building.Building(
        by_split={
            "train": [one for one in building.samples(dataset, "train") if one.id not in gone],
            "validation": list(building.samples(dataset, "validation")),
            "held_out": list(building.samples(dataset, "held_out")),
        },
        dropped=Counter(dataset.dropped),
        derived_from=dataset.id,
    )
    building.require(made, ("train",))
    derived = building.write(
        made,
        msgspec.convert(dataset.recipe, building.Recipe),
        name=f"{dataset.name}-{SUFFIX}",
        root=project.state / "datasets",
        made_from=(*dataset.made_from, dataset.id),
        version=__version__,
        incumbent_model=dataset.incumbent_model,
        notes=(*dataset.notes, *notes),
    )
    card = read_card(dataset)
    if card is not None:
        splits = {**card.splits, "train": profiles.profile(made.by_split["train"])}
        card = msgspec.structs.replace(
            card,
            dataset_id=derived.id,
            name=derived.name,
            splits=splits,
            targets_from=derived.targets_from,
            taught=notes,
        )
        write_card(Path(derived.path), card)
    store.put(derived, made_from=derived.made_from)
    return derived
