"""A dataset of samples that a test made itself, in a project and its store."""

from collections import Counter

from freehold.datasets import building
from freehold.store import open_store


def write_dataset(opened, by_split, *, name, near_duplicates=0.0):
    """The dataset of these samples by split, whose incumbent is ``writer``."""
    dataset = building.write(
        building.Building(by_split=by_split, dropped=Counter()),
        building.Recipe(near_duplicates=near_duplicates),
        name=name,
        root=opened.state / "datasets",
        made_from=(),
        version="1",
        incumbent_model="writer",
    )
    with open_store(opened.store_url) as store:
        store.put(dataset, made_from=())
    return dataset
