"""What is shown is what is sent."""

import pytest
from tests.workflows.journey.rehearsal import bench, candidate_of, project

from freehold.datasets import building
from freehold.workflows.journey.methods import METHODS
from freehold.workflows.tell.request import request


@pytest.fixture
def made(tmp_path):
    """A project whose migration chose a candidate with examples, and a sample that is held out."""
    opened = project(tmp_path)
    with bench(opened) as ready:
        plan = METHODS["examples"].make(candidate_of(opened, "examples"), ready).plan
        ready.store.put(plan)
        sample = next(building.samples(ready.dataset, "held_out"))
    return opened, plan, sample


def test_a_sample_is_shown_as_the_model_is_sent_it(made):
    opened, plan, sample = made
    shown = request(opened, sample.id[:12])
    assert shown == request(opened), "the first held-out one, where none is named"
    assert (shown.model, shown.preparation, shown.examples) == (plan.model, plan.preparation.id, 2)
    assert shown.unprepared is None
    messages = shown.body["messages"]
    assert [one["role"] for one in messages] == ["user", "assistant", "user", "assistant", "user"]
    assert messages[-1]["content"] == sample.messages[-1].content
    assert shown.body["max_tokens"] == 64


def test_a_text(made):
    opened, _, _ = made
    shown = request(opened, text="a broken lamp")
    assert shown.body["messages"][-1]["content"] == "a broken lamp"
    assert all(one["content"] for one in shown.body["messages"]) and shown.examples == 2
