import pytest


@pytest.fixture
def dataset(freehold, traffic):
    return freehold("dataset", "build", "--json").fields


def test_a_build_is_listed_and_shown(freehold, dataset):
    assert sum(split["samples"] for split in dataset["splits"]) == 80
    assert freehold("dataset", "list", "--json").items == [dataset]
    assert freehold("dataset", "show", dataset["id"][:8], "--json").fields == dataset
    shown = freehold("dataset", "show").out
    assert shown.startswith(f"support {dataset['id']}\n")
    assert f"  train      sha256 {dataset['splits'][0]['sha256']}" in shown


def test_the_card_says_what_is_in_it(freehold, dataset):
    card = freehold("dataset", "card", "--json").json
    assert card["dataset_id"] == dataset["id"]
    assert freehold("dataset", "card").out.startswith("#")


def test_a_check_keeps_nothing(freehold, traffic):
    assert freehold("dataset", "check", "--json").json["dataset_id"] == ""
    ran = freehold("dataset", "list")
    assert (ran.out, "freehold dataset build makes one" in ran.err) == ("", True)


def test_mistakes(refused, freehold, project):
    refused("dataset", "build", message="no complete traces in the store", hint="freehold import FILE")
    refused("dataset", "show", message="no dataset yet", hint="freehold dataset build")


def test_a_request_is_shown_as_the_chosen_model_is_sent_it(freehold, dataset, project):
    from freehold.preparing.index import write_index
    from freehold.store import open_store
    from freehold.types.endpoint import ServePlan
    from freehold.types.preparation import Example, ExampleIndex, Preparation
    from freehold.workflows.project import open_project

    written = write_index([Example(id="s", question="my parcel", answer="shipping")], project / "examples")
    index = ExampleIndex(path=written.path, sha256=written.sha256, samples=1, k=1)
    made = Preparation.of(base_model="echo", dataset_id="d", system="Be brief.\nOne word.", examples=index)
    with open_store(open_project(project / "freehold.toml").store_url) as store:
        store.put(ServePlan(engine="echo", model="echo", preparation=made))
    ran = freehold("dataset", "request", "--text", "where is it?")
    assert ran.out.splitlines() == [
        "system     Be brief.",
        "           One word.",
        "user       my parcel",
        "assistant  shipping",
        "user       where is it?",
    ]
    assert "1 examples included" in ran.err
    shown = freehold("dataset", "request", "--text", "where is it?", "--json").json
    assert shown["body"]["messages"][-1]["content"] == "where is it?" and shown["preparation"] == made.id
