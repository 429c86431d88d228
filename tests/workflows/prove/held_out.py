"""Held-out samples and datasets to look at."""

from freehold.datasets import building
from freehold.types.dataset import Message, Sample


def sample(number, *, gold="yes", incumbent="yes", asked=None, group=None):
    return Sample(
        id=f"s{number:04}",
        messages=(Message(role="user", content=asked or f"question {number}"),),
        gold=gold,
        incumbent=incumbent,
        group=group,
    )


def dataset(tmp_path, *, train, held_out):
    made = building.Building(
        by_split={"train": train, "validation": [], "held_out": held_out}, dropped=building.Counter()
    )
    return building.write(
        made,
        building.Recipe(),
        name="t",
        root=tmp_path / "datasets",
        made_from=(),
        version="0",
        incumbent_model="gpt-x",
    )
