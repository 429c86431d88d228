"""Two texts in one message: found by what stands before them, and compared in numbers."""

import numpy as np
import pytest

from freehold.encoders.pairs import NUMBERS, likeness, marks_of
from freehold.types.encoder import parts_of


@pytest.mark.parametrize(
    ("form", "marks"),
    [
        ("Sentence 1: {}\nSentence 2: {}", ("Sentence 1:", "Sentence 2:")),
        ("How alike are these?\nText A: {}\n\nText B: {}", ("Text A:", "Text B:")),
        ('{{"one": "{}", "other": "{}"}}', ('"one":', '"other":')),
        ("{}\n{}", ("", "\n")),
        ("{}\t{}", ("", "\t")),
    ],
)
def test_what_stands_before_two_texts_is_found(form, marks):
    pairs = [(f"my card {n}, please", f"is it lost {n}?") for n in range(50)]
    texts = [form.format(*pair) for pair in pairs]
    assert marks_of(texts) == marks
    assert [parts_of(text, marks) for text in texts] == pairs


@pytest.mark.parametrize(
    "texts",
    [
        ["my card is lost"] * 9,
        ["a: 1\nb: 2\nc: 3"] * 9,
        ["Sentence 1: a\nSentence 2: b"] * 9 + ["something else"],
        [],
    ],
)
def test_other_messages_are_not_of_two_texts(texts):
    assert marks_of(texts) is None


def test_a_message_without_the_second_text_is_read_whole():
    assert parts_of("hello", ("A:", "B:")) == ("hello", "")
    assert parts_of("A: hello", ("A:", "B:")) == ("A: hello", "")


def test_likeness_is_a_row_of_numbers_and_the_same_both_ways():
    one, other = np.array([1, 0], "f4"), np.array([0.6, 0.8], "f4")
    row = likeness(one, other, ("My card", "my lost card"))
    assert row.shape == (NUMBERS,) and row[0] == pytest.approx(0.6)
    np.testing.assert_allclose(row, likeness(other, one, ("my lost card", "My card")))
    assert np.isfinite(likeness(one, np.zeros(2, "f4"), ("", ""))).all()
