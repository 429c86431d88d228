"""What differs between two answers: words, fields, and answers that are huge or hostile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.workflows.tell.views.proof.answers import (
    COMPARED_FIELDS,
    SHOWN_CHARACTERS,
    clipped,
    difference,
)


def sides(found):
    return [(piece.side, piece.text) for piece in found.pieces]


def test_words_that_changed_stand_alone():
    found = difference("refund the whole order now", "refund the broken lamp now")
    assert sides(found) == [
        ("both", "refund the"),
        ("incumbent", " whole order"),
        ("candidate", " broken lamp"),
        ("both", " now"),
    ]
    assert found.fields == ()


def test_json_answers_are_compared_by_field_and_held_to_the_reference():
    found = difference(
        '{"intent": "refund", "order": {"id": "7", "items": [1, 2]}}',
        '```json\n{"intent": "refund", "order": {"id": null, "items": [1, 3]}, "more": true}\n```',
        '{"intent": "refund", "order": {"id": "7", "items": [1, 2]}}',
    )
    changed = {one.path: (one.incumbent, one.candidate, one.right) for one in found.fields if one.changed}
    assert changed == {
        "order.id": ("7", "null", "7"),
        "order.items[1]": ("2", "3", "2"),
        "more": (None, "true", None),
    }
    assert [one.path for one in found.fields if not one.changed] == ["intent", "order.items[0]"]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("", "", []),
        (None, "yes", [("candidate", "yes")]),
        ("yes", None, [("incumbent", "yes")]),
        ("same words", "same words", [("both", "same words")]),
    ],
)
def test_answers_that_are_missing_or_alike(one, other, expected):
    assert sides(difference(one, other)) == expected


def test_a_text_is_cut_and_its_length_is_said():
    found = clipped("x" * (SHOWN_CHARACTERS + 5))
    assert (len(found.text), found.characters) == (SHOWN_CHARACTERS, SHOWN_CHARACTERS + 5)
    assert clipped(None) is None


def test_huge_answers_are_bounded():
    deep = "[" * 100_000
    wide = "{" + ",".join(f'"k{n}": {n}' for n in range(400)) + "}"
    assert len(difference(wide, wide).fields) == COMPARED_FIELDS
    for text in ('{"a": ' + deep, "word " * 2_000_000, "z\u0301" * 100_000):
        found = difference(text, text[:-1] + "!")
        assert sum(len(piece.text) for piece in found.pieces) <= 2 * SHOWN_CHARACTERS


words = st.text(alphabet="ab \n", max_size=60)


@given(words, words)
def test_the_pieces_of_a_side_are_its_answer(one, other):
    """Whatever is compared, nothing is lost and nothing added on either side."""
    pieces = difference(one, other).pieces
    assert "".join(piece.text for piece in pieces if piece.side != "candidate") == one
    assert "".join(piece.text for piece in pieces if piece.side != "incumbent") == other
