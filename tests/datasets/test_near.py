from collections import Counter
from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freehold.datasets import near
from freehold.datasets.sampling import Recipe
from freehold.datasets.sessions import linked_samples
from freehold.types.trace import Trace


def pairs(texts, threshold=0.8, kept=()):
    signed, there = near.signatures((near.pieces(text) for text in texts), len(texts))
    marks = np.isin(np.arange(len(texts)), list(kept))
    found = near.near_pairs(signed, there, threshold, marks)
    return set(zip(found.first.tolist(), found.second.tolist(), strict=True))


@given(st.text(min_size=1), st.text(min_size=1))
def test_pieces_are_those_of_the_text(first, second):
    def plain(text):
        line = " ".join(text.lower().split())
        width = min(5, len(line))
        return {line[at : at + width] for at in range(len(line) - width + 1)} if line else set()

    assert len(near.pieces(first)) == len(plain(first))
    shared = np.intersect1d(near.pieces(first), near.pieces(second))
    assert len(shared) == len(plain(first) & plain(second))


def test_a_small_change_is_found_and_another_question_is_not():
    texts = [
        "Where is my parcel with the blue shoes, ordered last Tuesday?",
        "where is  my parcel with the blue shoes, ordered last Tuesday please?",
        "How do I return a jacket that does not fit me?",
    ]
    assert pairs(texts) == {(0, 1)}


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


def trace(name, said, answer, *, group=None, hour=0, **changes):
    roles = ["user", "assistant"] * len(said)
    return Trace(
        id=name,
        at=datetime(2026, 1, 1, hour, tzinfo=UTC),
        source="test",
        model="m",
        request={"messages": [{"role": r, "content": s} for r, s in zip(roles, said, strict=False)]},
        response=None
        if answer is None
        else {"choices": [{"message": {"role": "assistant", "content": answer}}]},
        conversation_id=group,
        **changes,
    )


def linked(*traces, **recipe):
    dropped = Counter()
    return list(linked_samples(traces, Recipe(**recipe), dropped)), dropped


def test_an_id_names_the_session_and_takes_in_what_has_none():
    found, _ = linked(trace("1", ["a"], "b", group="mine"), trace("2", ["a", "b", "c"], "d"))
    assert [one.sample.group for one in found] == ["mine", "mine"]


def test_a_conversation_is_in_the_period_it_began_in():
    found, _ = linked(
        trace("1", ["a", "b", "c"], "d", hour=2),
        trace("2", ["a"], "b", hour=1),
        trace("3", ["x"], "y", hour=2),
        trace("4", ["p"], "q", hour=3, group="named"),
        trace("5", ["r"], "s", hour=4, group="named"),
        group_by="hour",
    )
    assert [one.sample.group[-2:] for one in found] == ["01", "01", "02", "03", "03"]
    assert [one.step for one in found] == [True, True, False, True, True]
