"""Near repeats and leaks in whole buildings; nothing is lost without being counted."""

from collections import Counter
from datetime import UTC, datetime
from functools import partial

import msgspec
import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from tests.datasets.traces import trace as answered

from freehold.datasets import near
from freehold.datasets.building import make_samples
from freehold.datasets.messages import normalized_question
from freehold.datasets.sampling import Recipe
from freehold.datasets.sessions import linked_samples
from freehold.types.dataset import SPLITS

trace = partial(answered, answer=None)
LONG = "where is my parcel number {} with the blue shoes that I ordered for my {} on Tuesday"


def make(traces, **recipe):
    return make_samples(traces, Recipe(near_duplicates=0.8, **recipe))


def texts(made, split):
    return {normalized_question(sample) for sample in made.by_split[split]}


WORDS = ["sister", "old father", "neighbour Tom", "colleague", "cat"]


def test_what_nearly_repeats_a_held_out_question_is_not_taught():
    held = [trace(f"h{n}", LONG.format(n, WORDS[n]), split="held_out") for n in range(5)]
    taught = [trace(f"a{n}", LONG.format(n, WORDS[n]) + ", please?", split="train") for n in range(5)]
    other = trace("x", "how do I return a jacket that does not fit", split="train")
    made = make([*held, *taught, other])
    assert texts(made, "train") == {"how do i return a jacket that does not fit"}
    assert len(made.by_split["held_out"]) == 5
    assert made.near_duplicates.across == {"train: held_out": 5}
    assert made.dropped["train question nearly the same as one in held-out"] == 5


def test_a_held_out_question_comes_back_in_no_guise_and_another_question_stays():
    held = [trace(text, text, split="held_out") for text in ("why was my card declined", "cancel a transfer")]
    guises = [
        "why was my crad declined",
        "why was my declined card",
        "was my card declined",
        "card declined why was my",
        "please, WHY was my card declined?!",
    ]
    others = ["why was my transfer declined", "where was my transfer sent"]
    taught = [trace(n, text, split="train") for n, text in enumerate([*guises, *others])]
    minimal = trace("m", "why was my carb declined", gold="another", split="train")
    made = make([*held, *taught, minimal])
    assert texts(made, "train") == {*others, "why was my carb declined"}
    assert made.near_duplicates.across == {"train: held_out": len(guises)}


def test_repeats_in_training_leave_one_and_held_out_keeps_all():
    taught = [trace(n, LONG.format(7, "sister") + " " + "!" * n, gold=None if n else "yes") for n in range(4)]
    for one in taught:
        one.metadata["split"] = "train"
    held = [trace(f"h{n}", "can I pay by invoice in two parts" + "?" * n, split="held_out") for n in range(3)]
    made = make(
        [t for t in [*taught, *held] if t.gold] + [trace("y", LONG.format(7, "sister") + " ?", split="train")]
    )
    assert len(made.by_split["train"]) == 1
    assert made.near_duplicates.within == {"train": 1}
    assert len(made.by_split["held_out"]) == 3 and made.near_duplicates.in_held_out == 2


def test_turns_of_one_conversation_are_no_repeats():
    made = make([trace(n, LONG.format(7, "sister") + "!" * n, group="c", split="train") for n in range(3)])
    assert len(made.by_split["train"]) == 3


def test_two_right_answers_to_one_question_stay_and_are_a_conflict():
    made = make(
        [
            trace(1, LONG.format(7, "sister"), gold="lost", split="train"),
            trace(2, LONG.format(7, "sister") + "?", gold="late", split="train"),
        ]
    )
    assert len(made.by_split["train"]) == 2
    ((first, second, alike),) = made.conflicts
    assert {first.gold, second.gold} == {"lost", "late"} and alike > 0.8


@example(
    [
        (0, "neighbour Tom", "", "a", None, "train"),
        (0, "cat", "", "a", None, None),
        (0, "cat", "", "b", None, None),
    ]
)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 6),
            st.sampled_from(WORDS),
            st.sampled_from(["", "?", " please"]),
            st.sampled_from(["a", "b", None]),
            st.sampled_from([None, "g1", "g2", "g3"]),
            st.sampled_from([None, *SPLITS]),
        ),
        max_size=25,
    )
)
def test_every_trace_is_in_a_split_or_counted(rows):
    # Said one after the other: of two right answers given at the very same moment, the order decides which one stays.
    traces = [
        msgspec.structs.replace(
            trace(n, LONG.format(a, b) + c, gold=gold, group=group, **({"split": split} if split else {})),
            at=datetime(2026, 1, 1, 0, 0, n, tzinfo=UTC),
        )
        for n, (a, b, c, gold, group, split) in enumerate(rows)
    ]
    made = make(traces)
    assert sum(map(len, made.by_split.values())) + made.dropped.total() == len(traces)
    again = make(list(reversed(traces)))
    for name in SPLITS:
        assert [s.id for s in made.by_split[name]] == [s.id for s in again.by_split[name]]
    held = texts(made, "held_out")
    assert not held & (texts(made, "train") | texts(made, "validation"))


def test_personal_data_never_moves_a_sample_to_another_split():
    traces = [trace(n, f"question {n} of somebody") for n in range(60)]
    plain = make_samples(traces, Recipe())

    def shout(sample, split):
        message = msgspec.structs.replace(sample.messages[0], content=sample.messages[0].content + " <X>")
        return msgspec.structs.replace(sample, messages=(message,))

    changed = make_samples(traces, Recipe(), change=shout)
    for name in SPLITS:
        assert {q + " <x>" for q in texts(plain, name)} == texts(changed, name)


def pairs(texts, threshold=0.8, kept=()):
    signed, there = near.signatures((near.pieces(text) for text in texts), len(texts))
    marks = np.isin(np.arange(len(texts)), list(kept))
    found = near.near_pairs(signed, there, threshold, marks)
    return set(zip(found.first.tolist(), found.second.tolist(), strict=True))


def test_what_all_share_does_not_make_them_alike():
    before = (
        "You are the shop's assistant. Answer briefly, in the customer's language, and never promise a date. "
    )
    questions = [f"{before}Item {n * 7919}: {chr(97 + n % 26) * 9} {n}" for n in range(80)]
    assert len(pairs(questions)) > 0
    common = near.common_pieces(questions)
    signed, there = near.signatures((near.pieces(text, common) for text in questions), len(questions))
    assert len(near.near_pairs(signed, there, 0.8, np.zeros(80, dtype=bool)).first) == 0


def test_everything_that_repeats_what_is_held_out_is_found_in_a_large_crowd(monkeypatch):
    monkeypatch.setattr(near, "MOST_OF_A_BAND", 3)
    texts = ["where is my parcel with the blue shoes"] * 40
    found = pairs(texts, kept=(0, 39))
    assert {(0, n) for n in range(1, 39)} | {(n, 39) for n in range(1, 39)} <= found


def turns(name, said, answer, *, group=None, hour=0):
    """The trace of a conversation in which user and assistant take turns."""
    messages = [
        {"role": role, "content": text}
        for role, text in zip(["user", "assistant"] * len(said), said, strict=False)
    ]
    return msgspec.structs.replace(
        answered(name, group=group, answer=answer),
        at=datetime(2026, 1, 1, hour, tzinfo=UTC),
        request={"messages": messages},
    )


def linked(*traces, **recipe):
    dropped = Counter()
    return list(linked_samples(traces, Recipe(**recipe), dropped)), dropped


def test_a_conversation_is_in_the_period_it_began_in():
    found, _ = linked(
        turns("1", ["a", "b", "c"], "d", hour=2),
        turns("2", ["a"], "b", hour=1),
        turns("3", ["x"], "y", hour=2),
        turns("4", ["p"], "q", hour=3, group="named"),
        turns("5", ["r"], "s", hour=4, group="named"),
        group_by="hour",
    )
    assert [one.sample.group[-2:] for one in found] == ["01", "01", "02", "03", "03"]
    assert [one.step for one in found] == [True, True, False, True, True]
