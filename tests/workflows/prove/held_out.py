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


def make_dataset(tmp_path, held_out, *, train=None, validation=(), incumbent_model="gpt-x"):
    """A dataset of these samples; where nothing is said of it, the first of them is what is trained on."""
    by_split = {
        "train": held_out[:1] if train is None else train,
        "validation": validation,
        "held_out": held_out,
    }
    return building.write(
        building.Building(by_split=by_split, dropped=building.Counter()), building.Recipe(), name="t",
        root=tmp_path / "datasets", made_from=(), version="0", incumbent_model=incumbent_model,
    )  # fmt: skip
