"""Words as features: which pieces a text has, and the same numbers from a file."""

from collections import Counter
from itertools import chain

import numpy as np
import pytest
from tests.engines.encoder.tiny import tiny_encoder

from freehold.encoders import words
from freehold.encoders.runner import load_runner
from freehold.errors import InputError, WeightsError


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
