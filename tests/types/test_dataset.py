import pytest

from freehold.types.dataset import Dataset, Message, Sample, Split

ASKED = (Message(role="user", content="x"),)


def test_what_is_right_goes_before_what_the_incumbent_said():
    assert Sample(id="1", messages=ASKED, incumbent="a", gold="b").target == "b"
    assert Sample(id="1", messages=ASKED, incumbent="a").target == "a"
    assert Sample(id="1", messages=ASKED, incumbent="a", gold="").target == ""
    assert Sample(id="1", messages=ASKED).target is None


def test_the_answer_is_the_completion_where_it_is_more_than_text():
    calls = (Message(role="assistant", content=None, tool_calls=[{"id": "c"}]),)
    assert Sample(id="1", messages=ASKED, gold="b", completion=calls).answer == calls
    assert Sample(id="1", messages=ASKED, gold="b").answer == (Message(role="assistant", content="b"),)
    assert Sample(id="1", messages=ASKED).answer == ()


def test_a_dataset_finds_its_splits():
    split = Split(name="train", file="train.jsonl", samples=1, groups=1, sha256="a")
    dataset = Dataset(id="d", name="x", path="/d", splits=(split,), recipe={}, made_from=(), version="0")
    assert dataset.split("train") is split
    with pytest.raises((KeyError, StopIteration)):
        dataset.split("held_out")
