"""What is changed in a running server: models loaded and unloaded, adapters added and removed."""

import json

import pytest
from tests.workflows.serve.holding import echo, hold_while

from freehold.errors import EngineError, UsageError
from freehold.workflows.serve import served
from freehold.workflows.serve.hold import Sharing


@pytest.fixture
def held(empty_project):
    """``held(use)`` runs ``use(project)`` while org/First (pinned) and org/second are served."""

    def run(use):
        plans = [echo("org/First"), echo("org/second")]
        sharing = Sharing(pinned=("org/First",))
        hold_while(lambda at: use(empty_project), plans, empty_project.state / "engines", sharing=sharing)

    return run


def states(models):
    return {one.model: one.state for one in models}


def test_a_model_is_loaded_and_unloaded_by_its_short_name(held):
    def use(project):
        assert states(served.status(project)[1]) == {"org/First": "ready", "org/second": "unloaded"}
        assert states(served.load(project, "Second")) == {"org/First": "ready", "org/second": "ready"}
        assert states(served.unload(project, "second"))["org/second"] == "unloaded"
        with pytest.raises(EngineError, match="org/First is pinned"):
            served.unload(project, "first")
        with pytest.raises(UsageError, match="third is not served here") as caught:
            served.load(project, "third")
        assert caught.value.hint == "served: org/First, org/second"

    held(use)


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
