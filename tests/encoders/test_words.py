"""Words and pairs of texts as features: which pieces a text has, and two texts in one message, compared in numbers."""

from collections import Counter
from itertools import chain

import numpy as np
import pytest
from tests.engines.encoder.tiny import tiny_encoder

from freehold.encoders import words
from freehold.encoders.pairs import NUMBERS, likeness, marks_of
from freehold.encoders.runner import load_runner
from freehold.errors import InputError, WeightsError
from freehold.types.encoder import parts_of


def test_pieces_are_words_pairs_and_parts_of_words():
    assert Counter(words.pieces("My pin!")) == Counter(
        ["=my", "=pin", "=!", "=my pin", "=pin !", " m", "my", "y ", " my", "my ", " my ",
         " p", "pi", "in", "n ", " pi", "pin", "in ", " pin", "pin ", " pin ", " !", "! ", " ! "]
    )  # fmt: skip


def test_the_values_of_a_view_have_length_one_by_kind_and_rare_pieces_count_more():
    made = words.learn([["pin lost", "pin found", "pin lost"], ["", "", ""]])
    names = list(chain(*made.known))
    places, values = made.of(("pin lost lost", "pin"))
    by_name = {names[at]: value for at, value in zip(places, values, strict=True)}
    for whole in (True, False):
        of_kind = [value for name, value in by_name.items() if name.startswith("=") == whole]
        assert np.linalg.norm(of_kind) == pytest.approx(1)
    assert by_name["=lost"] > by_name["=pin"] > 0
    assert "found" not in " ".join(names), "what only one text has is not known"
    assert made.of(("", ""))[0] == made.of(("xyz",))[0] == []


def test_a_file_holds_them(tmp_path):
    made = words.learn([["pin lost é", "pin lost é"], ["a", "a"]])
    path = tmp_path / "words.json"
    path.write_bytes(made.as_json())
    again = words.read(path)
    assert again.known == made.known
    assert again.of(("pin é", "a")) == made.of(("pin é", "a"))
    for damaged in (b"{", b'{"known": [["a"]], "weights": []}'):
        path.write_bytes(damaged)
        with pytest.raises(WeightsError):
            words.read(path)


def test_an_encoder_whose_words_are_gone_or_others_is_refused(tmp_path):
    folder = tiny_encoder(tmp_path / "encoder", words=True)
    with pytest.raises(InputError, match=r"words\.json is missing"):
        load_runner(folder, threads=1)


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
