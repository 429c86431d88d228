"""Splits are made, kept and read back."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.datasets.traces import trace, write

from freehold.datasets import building
from freehold.datasets.building import SAME_QUESTION, make_samples
from freehold.datasets.near import KnownQuestions
from freehold.datasets.replacing import Replacer
from freehold.datasets.sampling import Recipe
from freehold.errors import StorageError, UsageError
from freehold.privacy import patterns
from freehold.types.dataset import SPLITS, Message, Sample


def make(traces, **recipe):
    return make_samples(traces, Recipe(**recipe))


def test_groups_are_never_torn():
    made = make([trace(n, group=f"g{n % 30}") for n in range(300)])
    groups = [{sample.group for sample in made.by_split[name]} for name in SPLITS]
    assert not groups[0] & groups[2] and not groups[0] & groups[1] and not groups[1] & groups[2]
    assert sum(map(len, groups)) == 30


def test_adding_traces_never_moves_old_ones():
    before = make([trace(n) for n in range(100)])
    after = make([trace(n) for n in range(400)])
    for name in SPLITS:
        assert {s.id for s in before.by_split[name]} <= {s.id for s in after.by_split[name]}


def test_same_question_in_another_group_does_not_leak():
    traces = [trace(n, f"Question {n % 200}", group=f"g{n}", style=str(n)) for n in range(400)]
    traces = [
        t if n < 200 else trace(n, f"  question   {n % 200} ", group=f"g{n}") for n, t in enumerate(traces)
    ]
    made = make(traces)
    held = {building.normalized_question(s) for s in made.by_split["held_out"]}
    trained = {
        building.normalized_question(s) for s in [*made.by_split["train"], *made.by_split["validation"]]
    }
    assert not held & trained
    assert made.dropped["train question also held out"] > 0


def test_a_file_kept_for_evaluation_stays_whole():
    made = make(
        [trace(n) for n in range(50)] + [trace(n, f"test {n}", split="held_out") for n in range(50)],
        held_out=0.001,
    )
    assert len([s for s in made.by_split["held_out"] if s.metadata.get("split")]) == 50


def test_of_a_conversation_that_is_held_out_no_other_step_is_taught():
    kept = [trace(n, f"kept {n}", group=f"g{n}", split="held_out") for n in range(5)]
    others = [trace(10 + n, f"other {n}", group=f"g{n}") for n in range(8)]
    made = make([*kept, *others], held_out=0.0, validation=0.0)
    assert {sample.group for sample in made.by_split["train"]} == {"g5", "g6", "g7"}
    assert made.dropped == {"train step of a conversation that is held out": 5}
    by_user = make([*kept, *others], held_out=0.0, validation=0.0, group_by="style")
    assert len(by_user.by_split["train"]) == 8


def test_repeats_prefer_gold():
    made = make([trace(1, "same", gold=None), trace(2, "same", gold="right"), trace(3, "same", gold=None)])
    (sample,) = [s for name in SPLITS for s in made.by_split[name]]
    assert sample.gold == "right"
    assert made.dropped["same request again"] == 2


def test_a_held_out_file_that_is_the_training_file_is_named_as_such(tmp_path):
    traces = [trace(n, f"question {n}") for n in range(20)]
    traces += [trace(100 + n, f"question {n}", split="held_out") for n in range(20)]
    made = make([*traces, trace(99, gold=None, answer=None)], held_out=0.001, validation=0.0)
    assert made.dropped == {"train question also held out": 20, "no answer": 1}
    assert len(made.by_split["held_out"]) == 20
    with pytest.raises(UsageError, match="train split would be empty") as caught:
        write(tmp_path, traces, held_out=0.001)
    assert "shares nothing with the others" in caught.value.hint


def under(instruction, number, text):
    asked = trace(number, text)
    return msgspec.structs.replace(
        asked, request={"messages": [{"role": "system", "content": instruction}, *asked.request["messages"]]}
    )


def test_a_question_under_other_instructions_is_the_same_and_counted_apart(tmp_path):
    made = make(
        [under(f"Answer in {n} words", n, "why?") for n in range(9)]
        + [under("Answer in 8 words", 10, "why?")]
    )
    assert sum(len(made.by_split[name]) for name in SPLITS) == 1
    assert made.dropped == {SAME_QUESTION: 8, "same request again": 1}
    with pytest.raises(UsageError, match="split would be empty") as caught:
        write(tmp_path, [under(f"Document {n}", n, "What is it about?") for n in range(40)])
    assert "must stand in a user's message" in caught.value.hint


def test_an_edited_instruction_moves_no_question_to_another_split():
    before = make([under("Answer", n, f"question {n}") for n in range(200)])
    after = make([under("Answer, please", n, f"question {n}") for n in range(200)])
    for name in SPLITS:
        asked = [[one.messages[-1].content for one in made.by_split[name]] for made in (before, after)]
        assert asked[0] == asked[1]


def test_written_dataset_is_content_addressed_and_reads_back(tmp_path):
    traces = [trace(n, gold="yes" if n % 2 else None) for n in range(60)]
    first, second = write(tmp_path, traces), write(tmp_path, list(reversed(traces)))
    assert first.id == second.id
    assert building.load(tmp_path / first.id) == first
    assert len(list(building.samples(first, "train"))) == first.split("train").samples
    assert (
        sum(first.targets_from.values()) == first.split("train").samples + first.split("validation").samples
    )
    assert write(tmp_path, traces, seed=1).id != first.id


def test_changed_split_file_is_noticed(tmp_path):
    dataset = write(tmp_path, [trace(n) for n in range(60)])
    path = tmp_path / dataset.id / "train.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(StorageError, match="changed after"):
        list(building.samples(dataset, "train"))


def test_a_split_that_is_not_needed_may_be_empty(tmp_path):
    built = building.make_samples([trace(n, split="held_out") for n in range(3)], building.Recipe())
    building.require(built, ("held_out",))
    with pytest.raises(UsageError, match="the train split would be empty"):
        building.require(built, ("train", "held_out"))


def asked(*texts):
    return [Sample(id=text, messages=(Message(role="user", content=text),)) for text in texts]


KNOWN = asked(
    "my new card has not arrived after two weeks of waiting", "how do I change my pin number at a machine"
)


@pytest.mark.parametrize("threshold", [0.0, 0.8])
def test_the_same_question_is_known_whatever_its_spacing(threshold):
    known = KnownQuestions(KNOWN, threshold)
    new = asked("how do I  change my pin number at a machine", "where is the nearest branch of the bank")
    assert known.repeated_by(new).tolist() == [True, False]


def test_one_word_more_is_nearly_the_same():
    new = asked(
        "my new card has not arrived after two weeks of waiting!!", "I lost my purse with everything in it"
    )
    assert KnownQuestions(KNOWN, 0.8).repeated_by(new).tolist() == [True, False]
    assert KnownQuestions(KNOWN, 0.0).repeated_by(new).tolist() == [False, False]


PARTS = st.sampled_from(
    [
        "ada@example.com",
        "+49 170 1234567",
        "4111 1111 1111 1111",
        "4111111111111111",
        "0170 1234567",
        "10.0.0.7",
        " ",
        ", ",
        "order 4711",
        "<EMAIL_0a1b2c3d>",
        "日本",
        "7",
        "-",
    ]
)


def replacer(key=b"k" * 32):
    return Replacer((patterns.find_secrets, patterns.find), key)


def sample(text, **fields):
    return Sample(id="s", messages=(Message(role="user", content=text),), **fields)


@given(st.lists(PARTS).map("".join))
def test_replacing_twice_is_replacing_once(text):
    once = replacer().text(text)
    again = replacer()
    assert again.text(once) == once
    assert not again.counts


@given(st.lists(PARTS).map("".join), st.text())
def test_the_same_value_has_the_same_placeholder_wherever_it_stands(before, after):
    one = replacer()
    placeholder = one.text("ada@example.com")
    assert placeholder in one.text(f"{before} ada@example.com {after}")
    assert one.text("ADA@example.com ") == f"{placeholder} "


def test_another_key_gives_other_placeholders():
    assert replacer().text("ada@example.com") != replacer(b"x" * 32).text("ada@example.com")


def test_question_answers_calls_group_and_metadata_agree():
    call = {"id": "call_0170 1234567", "function": {"name": "send", "arguments": '{"to": "ada@example.com"}'}}
    one = replacer()
    changed = one.sample(
        sample(
            [{"type": "text", "text": "I am ada@example.com"}],
            gold="ada@example.com",
            incumbent="mail ada@example.com",
            group="ada@example.com",
            metadata={"from": "ada@example.com", "n": 5},
            completion=(Message(role="assistant", content=None, tool_calls=[call]),),
        )
    )
    placeholder = changed.gold
    assert placeholder.startswith("<EMAIL_") and changed.group == placeholder
    assert changed.metadata == {"from": placeholder, "n": 5}
    assert changed.messages[0].content == [{"type": "text", "text": f"I am {placeholder}"}]
    (said,) = changed.completion
    assert said.tool_calls[0]["id"] == call["id"]
    assert msgspec.json.decode(said.tool_calls[0]["function"]["arguments"]) == {"to": placeholder}
    found = one.counts["EMAIL"]
    assert (found.found, found.different, found.samples) == (6, 1, 1)


def test_a_group_found_from_messages_is_no_card_number():
    one = replacer()
    assert one.text("5ce4631674059041") != "5ce4631674059041"
    assert replacer().sample(sample("hello", group="5ce4631674059041")).group == "5ce4631674059041"
    assert replacer().sample(sample("hello", group="4111111111111111")).group != "4111111111111111"
