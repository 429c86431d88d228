import sys

import pytest

from freehold.errors import MissingExtraError
from freehold.preparing.index import Bm25, words


def test_words_are_cut_at_what_is_no_letter_or_digit():
    assert words("Where's my CARD-42? Größe") == ["where", "s", "my", "card", "42", "größe"]


def test_scripts_without_spaces_are_cut_into_pairs():
    assert words("退款在哪里") == ["退款", "款在", "在哪", "哪里"]
    assert words("บัตร")[0] == "บั" and words("金") == ["金"]
    assert words("हिन्दी में") == ["हिन्दी", "में"], "a vowel sign ends no word"


def test_a_text_that_shares_rare_words_is_nearer():
    found = Bm25(["my card is lost", "my card is late", "my transfer is late"])
    assert found.scores("lost card").argmax() == 0
    assert found.scores("transfer").tolist()[:2] == [0, 0]


def test_words_that_no_text_has_say_nothing():
    found = Bm25(["a card", "a transfer"])
    assert (
        found.scores("zebra").tolist() == [0, 0] == found.scores("").tolist() == found.scores("?!").tolist()
    )


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(MissingExtraError, match="'examples'"):
        Bm25(["a"])
