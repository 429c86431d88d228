"""What an agent gets to see."""

from datetime import UTC, datetime
from decimal import Decimal

from freehold.agents.mcp.shown import MOST_CHARACTERS, MOST_ITEMS, document
from freehold.types.record import Record


class Seen(Record, frozen=True, kw_only=True):
    at: datetime
    usd: Decimal
    disagreements: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()


def test_records_lists_and_values_are_objects():
    seen = Seen(at=datetime(2026, 11, 29, tzinfo=UTC), usd=Decimal("1.50"))
    assert document(seen) == {"at": "2026-11-29T00:00:00Z", "usd": "1.50", "disagreements": [], "rows": []}
    assert document([seen])["list"][0]["usd"] == "1.50"
    assert document(None) == {"value": None}


def test_words_of_traffic_are_left_out_unless_the_user_allows_them():
    seen = Seen(at=datetime(2026, 11, 29, tzinfo=UTC), usd=Decimal(1), disagreements=("my number is 4711",))
    made = document({"candidates": [seen]})
    assert "4711" not in str(made)
    assert "--with-words" in made["left_out"]["candidates[0].disagreements"]
    assert document(seen, with_words=True)["disagreements"] == ["my number is 4711"]


def test_what_is_long_is_cut_and_said():
    seen = Seen(at=datetime(2026, 11, 29, tzinfo=UTC), usd=Decimal(1), rows=tuple(range(100)))
    made = document(seen)
    assert made["rows"] == list(range(MOST_ITEMS)) and made["left_out"] == {"rows": "60 of 100"}
    assert len(document({"text": "x" * 10_000})["text"]) == MOST_CHARACTERS
