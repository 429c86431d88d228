from datetime import date

from freehold.catalog import advisories
from freehold.engines import ENGINES


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
