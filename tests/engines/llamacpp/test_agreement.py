import pytest

from freehold.engines.llamacpp.agreement import TEXTS, agreement, positions


def test_positions_grow_by_a_few_words_and_stay_within_their_text():
    found = list(positions(["a b c d e f g h i"]))
    assert found == ["a b c d", "a b c d e f g"]
    assert len(list(positions())) > 40
    assert all(any(text.startswith(start) for text in TEXTS) for start in positions())


def test_agreement_is_the_share_of_equal_tokens():
    assert agreement([1, 2, 3, 4], [1, 2, 9, 4]) == 0.75
    with pytest.raises(ValueError, match="shorter"):
        agreement([1, 2], [1])
