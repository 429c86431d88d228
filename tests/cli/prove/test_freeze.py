import pytest


@pytest.fixture
def incumbent(freehold, traffic, serving):
    """A project with a dataset, whose incumbent is a model that answers here."""
    config = traffic / "freehold.toml"
    config.write_text(
        config.read_text().replace("http://127.0.0.1:1", serving["url"]).replace("gpt-4o", "echo")
    )
    freehold("dataset", "build")


@pytest.mark.process
def test_answers_are_frozen_and_asked_once(freehold, incumbent):
    ran = freehold("freeze", "--repeats", "2", "--json")
    assert ran.code == 0, ran.err
    made = ran.json
    assert made["answered"] == 2 * made["samples"] > 0
    again = freehold("freeze", "--repeats", "2").out
    assert again.startswith(f"{made['answered']} answers of echo to {made['samples']} samples are frozen\n")
    assert f"  self-noise {made['self_noise']:.3f}: " in again
    assert again.endswith(f"  {made['file']}\n")


def test_mistakes(refused, project):
    refused("freeze", message="no dataset yet", hint="freehold dataset build")
    refused("freeze", "--dataset", "zz", message="no dataset", hint="freehold dataset")
