"""Which samples become examples: training ones only, whole, and never what is asked in the proof."""

import json

import pytest
from tests.workflows.journey.rehearsal import bench, project

from freehold.datasets import building
from freehold.preparing.index import write_index
from freehold.types.dataset import Message, Sample
from freehold.workflows.journey.examples import (
    Gathered,
    example_of,
    gather,
    near_twins,
    refusal,
)


def sample(*turns, **fields):
    messages = tuple(Message(role=role, content=content) for role, content in turns)
    return Sample(**{"id": "s", "messages": messages, "gold": "refund"} | fields)


ONE = (("system", "Be brief."), ("user", "my money"))


def test_a_question_and_its_answer_are_shown():
    shown = example_of(sample(*ONE))
    assert (shown.id, shown.question, shown.answer) == ("s", "my money", "refund")
    assert example_of(sample(*ONE, gold=None, incumbent="as they said")).answer == "as they said"


@pytest.mark.parametrize(
    "left_out",
    [
        sample(*ONE, ("assistant", "which?"), ("user", "that one")),
        sample(*ONE, gold=None),
        sample(*ONE, gold=" "),
        sample(*ONE, disliked=True),
        sample(*ONE, tools=[{"type": "function"}]),
        sample(("user", [{"type": "image_url"}])),
        sample(("assistant", "hello")),
        sample(*ONE, completion=(Message(role="assistant", content="x", tool_calls=[{}]),)),
        sample(*ONE, completion=(Message(role="assistant"), Message(role="tool", content="x"))),
    ],
)
def test_what_is_more_or_less_than_that_is_left_out(left_out):
    assert example_of(left_out) is None


def test_nothing_held_out_ever_becomes_an_example(tmp_path):
    with bench(project(tmp_path)) as ready:
        gathered = gather(ready.dataset)
        by_split = {
            name: list(building.samples(ready.dataset, name)) for name in ("train", "validation", "held_out")
        }
    assert {one.id for one in gathered.examples} == {one.id for one in by_split["train"]}
    shown = {one.question for one in gathered.examples}
    written = write_index(gathered.examples, tmp_path / "examples")
    files = b"".join(path.read_bytes() for path in sorted((tmp_path / "examples").rglob("*.json*")))
    for split in ("validation", "held_out"):
        assert len(by_split[split]) >= 10
        for one in by_split[split]:
            asked = one.messages[-1].content
            assert asked not in shown and one.id.encode() not in files
            assert json.dumps(asked).encode() not in files
    assert written.samples == len(by_split["train"])


def test_why_none_can_be_made(tmp_path):
    with bench(project(tmp_path)) as ready:
        dataset, task = ready.dataset, ready.task
        gathered = gather(dataset)
        assert refusal(gathered, dataset, task, 2048) is None
        assert "no room for one example" in refusal(gathered, dataset, task, task.max_tokens + 10)
        none = refusal(Gathered((), None, 7), dataset, task, 2048)
        assert "none of the 7 training samples is one question" in none


def test_a_question_that_stands_among_the_examples_is_its_twin():
    asked = [sample(("user", "My money!"), id="twin"), sample(("user", "your money"), id="other")]
    assert near_twins(asked, [example_of(sample(*ONE))]) == {"twin"}
