from datetime import date

import pytest

from freehold.catalog import retirements as catalog
from freehold.workflows.incumbent import retirements as workflow

DAY = date(2026, 11, 24)


@pytest.mark.parametrize(
    ("asked", "plain", "platform"),
    [
        ("ft:gpt-4o-2024-08-06:acme::x", "gpt-4o-2024-08-06", "openai"),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", "claude-sonnet-4-20250514", "bedrock"),
        ("anthropic.claude-opus-4-1-20250805-v1:0", "claude-opus-4-1-20250805", "bedrock"),
        ("claude-sonnet-4@20250514", "claude-sonnet-4-20250514", "vertex"),
        ("azure/gpt-4o", "gpt-4o", "azure"),
        ("openai/gpt-4o", "gpt-4o", "openai"),
        ("gpt-4o", "gpt-4o", None),
    ],
)
def test_ids_are_read_as_platforms_write_them(asked, plain, platform):
    assert catalog.plain_id(asked) == (plain, platform)


def test_fine_tunes_and_aliases_follow_their_base():
    (tuned,) = workflow.notices(("ft:gpt-4o-2024-08-06:acme::x",), as_of=DAY)
    assert tuned.shutdown == date(2027, 1, 14)
    assert tuned.days_left == 51
    assert "fine-tuned" in tuned.fine_tunes
    alias = workflow.notices(("gpt-4.1-mini",), as_of=DAY)
    assert [(one.platform, one.shutdown) for one in alias] == [
        ("openai", date(2027, 1, 14)),
        ("azure", date(2027, 4, 14)),
    ]


def test_old_rows_say_so():
    assert not any(one.stale for one in workflow.notices(as_of=DAY))
    assert all(one.stale for one in workflow.notices(("gpt-4o",), as_of=date(2027, 3, 1)))


def test_every_row_has_source_and_one_place():
    seen = set()
    for row in catalog.rows():
        assert row.source
        assert row.checked >= date(2026, 11, 1)
        for name in (row.model, *row.aliases):
            key = (name.lower(), row.platform)
            assert key not in seen, key
            seen.add(key)


def test_snapshots_are_found_by_their_dates():
    for name in ("o1-2024-12-17", "o3-mini-2025-01-31", "o4-mini-2025-04-16", "gpt-4o-audio-preview"):
        assert workflow.notices((name,), as_of=DAY)
