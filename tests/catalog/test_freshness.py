"""Every fact has its day and grows stale."""

from datetime import date, timedelta

import pytest

from freehold.catalog import freshness, licenses, models
from freehold.catalog.freshness import PARTS, ages, said
from freehold.engines import ENGINES

DAY = date(2026, 12, 3)


def test_every_row_of_every_part_says_its_day():
    rows = {part: freshness._days(patterns) for part, (patterns, _) in PARTS.items()}
    assert len(rows["models"]) == len(models.all_models())
    assert len(rows["licences of releases"]) == len(licenses.releases())
    assert len(rows["published scores"]) > 31, "a table that says one day has that day in all of its rows"
    assert [one.part for one in ages()] == list(PARTS)
    assert all(date(2026, 1, 1) < day <= DAY for days in rows.values() for day in days)


@pytest.mark.parametrize("part", PARTS)
def test_a_fact_is_stale_from_the_day_after_its_last(part):
    checked = date(2026, 11, 24)
    last = checked + timedelta(days=PARTS[part].days)
    assert said(part, checked, last) == "checked 2026-11-24"
    days = PARTS[part].days + 1
    assert said(part, checked, last + timedelta(days=1)) == f"stale: checked {days} days ago, on 2026-11-24"


def test_a_date_to_come_is_as_old_as_the_copy_it_was_read_from():
    page = {"as_of": date(2026, 8, 3), "checked": DAY}
    gone = {"page": "p", "shutdown": DAY - timedelta(days=1)}
    to_come = {"page": "p", "shutdown": DAY}
    undated = {"page": "p", "models": ["m"]}
    content = {"pages": {"p": page}, "notices": [gone, to_come], "undated": [undated]}
    assert freshness._of_file(content, "a.toml") == [DAY, date(2026, 8, 3), date(2026, 8, 3)]


def test_every_row_names_an_engine_a_release_and_a_source():
    for row in freshness.advisories():
        assert row.engine in ENGINES and row.source.startswith("https://")
        assert freshness.is_older("0.0.1", row.fixed)
        assert date(2024, 1, 1) < row.published <= row.checked


def test_versions_are_compared_by_their_numbers():
    assert freshness.is_older("0.9.1", "0.24.0") and freshness.is_older("v0.17.0-rc1", "0.17.1")
    assert not freshness.is_older("2026.10.11549", "2026.5") and not freshness.is_older(
        "0.24.0+cpu", "0.24.0"
    )
