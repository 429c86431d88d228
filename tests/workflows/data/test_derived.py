import pytest
from tests.workflows.journey.rehearsal import project

from freehold.datasets import building
from freehold.errors import UsageError
from freehold.store import open_store
from freehold.types.progress import Silent
from freehold.workflows.data.curate import read_card
from freehold.workflows.data.derived import derive
from freehold.workflows.journey.beginning import prepare


@pytest.fixture
def opened(tmp_path):
    return project(tmp_path, rows=40)


def test_only_training_samples_change(opened):
    dataset = prepare(opened, progress=Silent())
    train = list(building.samples(dataset, "train"))
    with open_store(opened.store_url) as store:
        made = derive(opened, store, dataset, without=[train[0].id], notes=("said so",))
        again = derive(opened, store, dataset, without=[train[0].id], notes=("said so",))
    ids = [one.id for one in building.samples(made, "train")]
    assert ids == [one.id for one in train[1:]]
    assert (made.derived_from, made.name) == (dataset.id, "inbox-taught")
    assert made.split("held_out") == dataset.split("held_out")
    assert made.split("validation") == dataset.split("validation")
    assert again == made
    card = read_card(made)
    assert (card.taught, card.splits["train"].samples) == (("said so",), len(train) - 1)
    assert read_card(dataset).taught == ()


def test_nothing_changed_is_the_same_dataset(opened):
    dataset = prepare(opened, progress=Silent())
    with open_store(opened.store_url) as store:
        assert derive(opened, store, dataset, notes=("nothing",)) is dataset


def test_nothing_left_to_learn_is_refused(opened):
    dataset = prepare(opened, progress=Silent())
    everything = [one.id for one in building.samples(dataset, "train")]
    with open_store(opened.store_url) as store, pytest.raises(UsageError, match="train split would be empty"):
        derive(opened, store, dataset, without=everything)
