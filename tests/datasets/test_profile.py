"""What a split holds, and what looks wrong with it."""

import pytest

from freehold.datasets.card import profile, warnings
from freehold.types.dataset import Lengths, Message, Sample, SplitProfile


def sample(number, answer="yes", *, turns=1, **more):
    messages = [Message(role="user", content=f"question {number}, which is long enough to tell its language")]
    messages += [Message(role="assistant", content="a"), Message(role="user", content="b")] * (turns - 1)
    return Sample(id=str(number), messages=tuple(messages), gold=answer, **more)


def split(samples=100, labels=None, **more):
    none = Lengths(median=0, p95=0, longest=0)
    labels = {"yes": samples // 2, "no": samples // 2} if labels is None else labels
    return SplitProfile(
        samples=samples,
        question_characters=none,
        answer_characters=none,
        labels=labels,
        different_answers=len(labels),
        **more,
    )


def said(train, held_out, conflicts=0):
    return " | ".join(warnings({"train": train, "validation": split(), "held_out": held_out}, conflicts))


def test_a_split_is_counted():
    samples = [sample(number, "yes" if number % 2 else "no") for number in range(10)]
    samples += [sample(10, turns=3), sample(11, turns=6, tools=[{"type": "function"}])]
    samples.append(sample(12, metadata={"split": "held_out"}))
    found = profile(samples)
    assert found.samples == 13 and found.with_tools == 1 and found.kept_for_evaluation == 1
    assert found.turns == {"one turn": 11, "2 to 4 turns": 1, "5 turns or more": 1}
    assert found.labels == {"yes": 8, "no": 5} and found.different_answers == 2
    assert found.answer_characters.longest == 3


@pytest.mark.parametrize(
    ("train", "held_out", "words"),
    [
        (split(labels={"yes": 100}), split(), "all 100 training samples have the same answer"),
        (split(samples=49), split(), "49 training samples are few"),
        (split(), split(samples=49), "49 held-out samples prove little"),
        (
            split(),
            split(kept_for_evaluation=40),
            "40 of 100 held-out samples are of files kept for evaluation",
        ),
        (split(), split(labels={"yes": 50, "late": 50}), "1 labels are held out but never taught: late"),
        (split(labels={"yes": 96, "no": 4}), split(), "1 labels have fewer than 5 training samples: no"),
        (
            split(labels={"a": 80, "b": 10, "c": 10}),
            split(labels={"a": 100}),
            "80% of the training samples are 'a'",
        ),
    ],
)
def test_what_looks_wrong_is_said(train, held_out, words):
    assert words in said(train, held_out)
