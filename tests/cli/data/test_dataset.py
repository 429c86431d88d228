import pytest


@pytest.fixture
def dataset(freehold, traffic):
    return freehold("dataset", "build", "--json").fields


def test_a_build_says_its_splits(freehold, dataset):
    assert sum(split["samples"] for split in dataset["splits"]) == 80


def test_the_card_says_what_is_in_it(freehold, dataset):
    card = freehold("dataset", "show", dataset["id"][:8], "--json").json
    assert card["dataset_id"] == dataset["id"]
    assert freehold("dataset", "show").out.startswith("#")


def test_a_check_keeps_nothing(freehold, traffic):
    assert freehold("dataset", "check", "--json").json["dataset_id"] == ""
    assert "freehold dataset build makes one" in freehold("dataset", "show").err


def test_mistakes(refused, freehold, project):
    refused("dataset", "build", message="no complete traces in the store", hint="freehold import FILE")
    refused("dataset", "show", message="no dataset yet", hint="freehold dataset build")
