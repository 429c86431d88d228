from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from freehold.catalog import models, synced
from freehold.catalog.synced import SyncedModel
from freehold.cli.choose import catalog

GEMMA = "google/gemma-3-270m"


@pytest.fixture
def later(monkeypatch):
    """The clock 200 days after the newest row of the model catalog was read."""
    day = models.read_on() + timedelta(days=200)
    monkeypatch.setattr(catalog, "now", lambda: datetime(day.year, day.month, day.day, tzinfo=UTC))
    return day


def test_a_stale_fact_says_so_where_it_is_used(freehold, later):
    checked = models.get(GEMMA).checked
    said = f"stale: checked {(later - checked).days} days ago, on {checked}"
    assert said in freehold("catalog", "list", GEMMA).out
    assert said in freehold("catalog", "list", "gemma-3-270").out


def test_a_record_of_ones_own_that_a_shipped_row_overrules_is_said(freehold, tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    shape = msgspec.structs.replace(models.get(GEMMA).shape, ffn=4096)
    record = SyncedModel(
        id=GEMMA, commit="c1", publisher="Google", license="apache-2.0", gated=False, source="https://hub/gemma",
        fetched=date(2026, 11, 1), shape=shape,
    )  # fmt: skip
    synced.keep(tmp_path / "home", record)
    ffn = models.get(GEMMA).shape.ffn
    said = f"is not used, the shipped row is: it says ffn 4096, not {ffn}, licence apache-2.0"
    for command in (("catalog", "list", GEMMA), ("catalog", "list")):
        assert said in freehold(*command).out.replace("\n    ", " "), command
    assert f"ffn 4096, not {ffn}" in freehold("fit", GEMMA).out
