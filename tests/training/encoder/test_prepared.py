import json

import msgspec
import pytest
from tests.training.encoder.conftest import label_samples, sample, write_dataset

from freehold.errors import UsageError
from freehold.training.encoder.prepared import prepare
from freehold.types.dataset import Message


def test_a_constant_system_prompt_is_not_read(tmp_path):
    made = prepare(write_dataset(tmp_path, label_samples(12)))
    assert made.system_lines is None
    assert made.train.texts[0] == "where is my order now 0"


def test_what_varies_of_the_system_prompt_is_read(tmp_path):
    samples = [
        sample(n, "hello", "ab"[n % 2], system=f"Name the intent.\nPlan: {('free', 'paid')[n % 2]}")
        for n in range(12)
    ]
    made = prepare(write_dataset(tmp_path, samples))
    assert made.system_lines == ("Name the intent.",)
    assert made.train.texts[:2] == ["hello\nPlan: free", "hello\nPlan: paid"]
    assert any("system prompts differ" in warning for warning in made.warnings)


def test_the_last_turn_of_the_user_and_what_was_before_are_read(tmp_path):
    talk = (Message(role="user", content="my card"), Message(role="assistant", content="?"),
            Message(role="user", content=[{"type": "text", "text": "is lost"}]))  # fmt: skip
    samples = [msgspec.structs.replace(one, messages=talk) for one in label_samples(9)]
    dataset = write_dataset(tmp_path, samples)
    made = prepare(dataset)
    assert made.views == ("last", "assistant", "earlier")
    assert (made.train.texts[0], made.train.context[0]) == ("is lost", ("?", "my card"))
    assert prepare(write_dataset(tmp_path / "alone", label_samples(9))).views == ("last",)


def test_the_question_is_read_where_a_field_is_copied(tmp_path):
    samples = [
        sample(n, f"for {n}", json.dumps({"people": f"{n}", "time": None}), system=None) for n in range(20)
    ]
    asked = Message(role="assistant", content="How many of you?")
    talks = [msgspec.structs.replace(one, messages=(Message(role="user", content="hi"), asked, *one.messages[-1:]))
             for one in samples]  # fmt: skip
    made = prepare(write_dataset(tmp_path / "talks", talks))
    assert made.question and made.train.texts[3] == "for 3\nHow many of you?"
    assert not prepare(write_dataset(tmp_path / "alone", samples)).question


def test_labels_only_validation_has_are_said_and_kept_as_wrong(tmp_path):
    made = prepare(write_dataset(tmp_path, label_samples(12), [sample(99, "x", "new_one")]))
    assert made.validation.values == [("new_one",)]
    assert any("1 labels of the validation split are never taught" in warning for warning in made.warnings)


def test_answers_that_call_tools_are_refused(tmp_path):
    call = Message(role="assistant", tool_calls=[{"id": "1", "type": "function"}])
    samples = [msgspec.structs.replace(one, completion=(call,)) for one in label_samples(9)]
    with pytest.raises(UsageError, match="9 of 9 training answers call tools"):
        prepare(write_dataset(tmp_path, samples))


def test_no_answer_at_all_is_refused(tmp_path):
    samples = [msgspec.structs.replace(one, gold=None) for one in label_samples(9)]
    with pytest.raises(UsageError, match="no training sample with an answer"):
        prepare(write_dataset(tmp_path, samples))
