"""Parameters of a screen: what is refused, and who may ask."""

import msgspec
import pytest

from freehold.workflows.tell.views.query import PageQuery, ScreenQuery, WindowQuery
from freehold.workflows.tell.views.traffic import TrafficQuery


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        (ScreenQuery, {"other": "1"}),
        (WindowQuery, {"window_s": 59}),
        (WindowQuery, {"window_s": 7 * 86_400 + 1}),
        (PageQuery, {"most": 0}),
        (PageQuery, {"most": 201}),
        (PageQuery, {"after": "x" * 201}),
    ],
)
def test_what_no_screen_knows_and_what_is_out_of_range_is_refused(kind, asked):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(asked, kind)


def test_a_screen_without_parameters_is_asked_for_with_defaults():
    assert msgspec.convert({}, PageQuery) == PageQuery(after=None, most=50)
    assert msgspec.convert({}, WindowQuery).window_s == 900


def test_only_a_search_for_words_tells_what_customers_write():
    assert not TrafficQuery().asks_for_content and not PageQuery().asks_for_content
    assert TrafficQuery(text="refund").asks_for_content
