import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freehold.datasets import near


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
