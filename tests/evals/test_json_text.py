import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.evals.json_text import NotJson, parse_json, same

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "accept", "value"),
    [
        (' {"a": 1}\n', "strict", {"a": 1}),
        ('```json\n{"a": 1}\n```', "fenced", {"a": 1}),
        ("Here: {broken} then [1, 2].", "anywhere", [1, 2]),
        ('{"a": {"b": 1}} and {"c": 2}', "anywhere", {"a": {"b": 1}}),
    ],
)
def test_how_much_around_the_value_is_accepted(text, accept, value):
    assert parse_json(text, accept) == value


@pytest.mark.parametrize(
    ("text", "accept"),
    [
        ('```json\n{"a": 1}\n```', "strict"),
        ('Here: {"a": 1}', "fenced"),
        ('{"a": NaN}', "fenced"),
        ("-Infinity", "anywhere"),
        ("", "fenced"),
        ("[" * 100_000, "anywhere"),
    ],
)
def test_anything_else_is_not_json(text, accept):
    with pytest.raises(NotJson):
        parse_json(text, accept)


@given(VALUES)
def test_a_value_means_the_same_as_itself(value):
    assert same(value, value)
    assert same(value, value, normalize=True, ordered=False, tolerance=0.1)


@pytest.mark.parametrize(
    ("left", "right", "options", "holds"),
    [
        (1, 1.0, {}, True),
        (True, 1, {}, False),
        (0, None, {}, False),
        ("1", 1, {}, False),
        (102, 100, {"tolerance": 0.02}, True),
        (103, 100, {"tolerance": 0.02}, False),
        (" a ", "a", {}, True),
        ("e\u0301", "\u00e9", {}, True),
        ("New Order", "new_order", {}, False),
        ("New Order", "new_order", {"normalize": True}, True),
        ({"a": 1}, {"a": 1, "b": None}, {}, False),
        ([1, 2], [2, 1], {}, False),
        ([1, 2], [2, 1], {"ordered": False}, False),
        (["a", "b"], ["b", "a"], {}, False),
        (["a", "b"], ["b", "a"], {"ordered": False}, True),
        (["a", "a"], ["a", "b"], {"ordered": False}, False),
        ({"x": [{"y": ["a", "b"]}]}, {"x": [{"y": ["b", "a"]}]}, {"ordered": False}, True),
    ],
)
def test_what_means_the_same(left, right, options, holds):
    assert same(left, right, **options) is holds
