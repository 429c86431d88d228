import re

from hypothesis import given
from hypothesis import strategies as st

from freehold.types.record import content_id, event_id


def test_content_id_ignores_key_order():
    assert content_id({"a": 1, "b": [2]}) == content_id({"b": [2], "a": 1})
    assert re.fullmatch(r"[0-9a-f]{32}", content_id("x"))


@given(st.integers(0, (1 << 48) - 2))
def test_event_ids_are_uuid7_and_sort_by_time(unix_ms):
    first, later = event_id(unix_ms), event_id(unix_ms + 1)
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", first)
    assert first < later
