"""Every fact has its day and grows stale."""

from datetime import date, timedelta

import pytest

from freehold.catalog import advisories, freshness, models, releases, retirements
from freehold.catalog.freshness import PARTS, ages, said
from freehold.engines import ENGINES

DAY = date(2026, 11, 27)


def test_every_row_of_every_part_says_its_day():
    found = {one.part: one for one in ages(DAY)}
    assert set(found) == set(PARTS)
    assert found["models"].rows == len(models.all_models())
    assert found["licences of releases"].rows == len(releases.releases())
    assert found["published scores"].rows > 31, "a table that says one day has that day in all of its rows"
    for one in found.values():
        assert date(2026, 1, 1) < one.oldest <= one.newest, one


@pytest.mark.parametrize("part", PARTS)
def test_a_fact_is_stale_from_the_day_after_its_last(part):
    checked = date(2026, 11, 24)
    last = checked + timedelta(days=PARTS[part].days)
    assert said(part, checked, last) == "checked 2026-11-24"
    days = PARTS[part].days + 1
    assert said(part, checked, last + timedelta(days=1)) == f"stale: checked {days} days ago, on 2026-11-24"


def test_rows_grow_stale_one_by_one_and_then_the_part():
    models_now = next(one for one in ages(DAY) if one.part == "models")
    later = models_now.oldest + timedelta(days=PARTS["models"].days + 1)
    some = next(one for one in ages(later) if one.part == "models")
    assert 0 < some.stale_rows < some.rows and not some.stale
    end = models_now.newest + timedelta(days=PARTS["models"].days + 1)
    assert next(one for one in ages(end) if one.part == "models").stale


def test_a_date_to_come_is_as_old_as_the_copy_it_was_read_from():
    page = {"as_of": date(2026, 8, 3), "checked": DAY}
    gone = {"page": "p", "shutdown": DAY - timedelta(days=1)}
    to_come = {"page": "p", "shutdown": DAY}
    undated = {"page": "p", "models": ["m"]}
    content = {"pages": {"p": page}, "notices": [gone, to_come], "undated": [undated]}
    assert freshness._of_file(content, "a.toml") == [DAY, date(2026, 8, 3), date(2026, 8, 3)]


def test_the_status_says_of_retirements_what_their_own_command_says():
    part = next(one for one in ages(DAY) if one.part == "retirement dates")
    stale = [row for row in retirements.rows() if row.is_stale(DAY)]
    assert stale and part.stale_rows > 0
    assert part.oldest <= min(row.as_of for row in stale)


def test_every_row_names_an_engine_a_release_and_a_source():
    for row in advisories.rows():
        assert row.engine in ENGINES and row.source.startswith("https://")
        assert advisories.is_older("0.0.1", row.fixed)
        assert date(2024, 1, 1) < row.published <= row.checked


def test_the_last_one_of_an_engine():
    assert advisories.last_of("vllm").fixed == "0.24.0"
    assert advisories.last_of("echo") is None


def test_versions_are_compared_by_their_numbers():
    assert advisories.is_older("0.9.1", "0.24.0") and advisories.is_older("v0.17.0-rc1", "0.17.1")
    assert not advisories.is_older("2026.10.11549", "2026.5") and not advisories.is_older(
        "0.24.0+cpu", "0.24.0"
    )
