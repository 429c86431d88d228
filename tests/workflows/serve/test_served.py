"""What is changed in a running server: adapters added and removed."""

import json

import pytest
from tests.workflows.serve.holding import echo, hold_while

from freehold.errors import UsageError
from freehold.workflows.serve import served


@pytest.fixture
def held(empty_project):
    """``held(use)`` runs ``use(project)`` while org/First and org/second are served."""

    def run(use):
        plans = [echo("org/First"), echo("org/second")]
        hold_while(lambda at: use(empty_project), plans, empty_project.state / "engines")

    return run


def test_an_adapter_is_added_to_its_model_and_removed(held, tmp_path):
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({"hello": "tuned"}))

    def use(project):
        with pytest.raises(UsageError, match="does not say which it belongs to") as caught:
            served.add_adapter(project, f"shop={answers}")
        assert caught.value.hint == "--model org/First, or name it org/First:shop"
        name, models = served.add_adapter(project, f"shop={answers}", model="first")
        assert name == "org/First:shop"
        assert {one.model: one.adapters for one in models} == {"org/First": (name,), "org/second": ()}
        other, models = served.add_adapter(project, f"org/second:shop={answers}")
        assert other == "org/second:shop" and models[1].adapters == (other,)
        with pytest.raises(UsageError, match="shop names several adapters"):
            served.remove_adapter(project, "shop")
        with pytest.raises(UsageError, match="gone names no adapter"):
            served.remove_adapter(project, "gone")
        assert [one.adapters for one in served.remove_adapter(project, other)] == [(name,), ()]
        assert [one.adapters for one in served.remove_adapter(project, "shop")] == [(), ()]

    held(use)


def test_nothing_is_served(empty_project):
    with pytest.raises(UsageError, match="nothing is served from this project"):
        served.status(empty_project)
