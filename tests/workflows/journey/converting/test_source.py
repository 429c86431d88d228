from decimal import Decimal

import pytest

from freehold.workflows.journey.converting.source import Source, as_number


def test_what_is_not_read_is_named_wherever_it_stands():
    source = Source({"a": 1, "b": {"c": "x", "d": None}, "e": [{"f": 2, "g": 3}], "h": []})
    assert source.number("a") == 1
    assert source.parts("e")[0].number("f") == 2
    assert source.unread() == ["b", "e[0].g"]
    assert source.part("b").text("c") == "x"
    assert source.unread() == ["e[0].g"]


def test_values_of_another_kind_stay_unread():
    source = Source(
        {"text": 3, "number": "many", "part": [1], "parts": [1, {}], "long": "x" * 5000, "whole": -1}
    )
    assert source.text("text", "long") is None and source.number("number") is None
    assert source.part("part") is None and source.parts("parts") == [] and source.whole("whole") is None
    assert len(source.unread()) == 6


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1), ("0.5", Decimal("0.5")), ("80_000", 80000), (True, None), (float("nan"), None), (float("inf"), None),
        ("1e400", None), ("x", None), (None, None), (10**30, None), ("Infinity", None),
    ],
)  # fmt: skip
def test_numbers(value, number):
    assert as_number(value) == number
