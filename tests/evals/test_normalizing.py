import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.evals.normalizing import collapsed, normalized_label, unfenced


@pytest.mark.parametrize(
    "text", ["card_arrival", ' "Card Arrival".\n', "card--arrival", "ＣＡＲＤ arrival", "(card arrival)"]
)
def test_a_label_in_any_dress_is_the_label(text):
    assert normalized_label(text) == "card arrival"


@given(st.text())
def test_normalizing_twice_changes_nothing(text):
    assert normalized_label(normalized_label(text)) == normalized_label(text)
    assert collapsed(collapsed(text)) == collapsed(text)


def test_runs_of_white_space_are_one_space():
    assert collapsed(" a \n\t b ") == "a b"
    assert collapsed("e\u0301") == "\u00e9"


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("```json\n{}\n```", "{}"),
        ("  ```\na\nb\n```  ", "a\nb"),
        ("``` \n x \n```", "x"),
        ("say ```x```", "say ```x```"),
        ("```a\nb", "```a\nb"),
        (" plain ", "plain"),
    ],
)
def test_only_a_fence_around_everything_is_taken_off(text, inside):
    assert unfenced(text) == inside
