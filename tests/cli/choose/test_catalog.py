from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from freehold.catalog import models, synced
from freehold.catalog.freshness import PARTS, ages
from freehold.catalog.synced import SyncedModel
from freehold.cli.choose import catalog

GEMMA = "google/gemma-3-270m"


@pytest.fixture
def later(monkeypatch):
    """The clock 200 days after the newest row of the model catalog was read."""
    day = models.read_on() + timedelta(days=200)
    monkeypatch.setattr(catalog, "now", lambda: datetime(day.year, day.month, day.day, tzinfo=UTC))
    return day


def test_status_tells_ages_and_what_is_missing(freehold):
    ran = freehold("catalog", "status", "--as-of", "2026-11-27", "--json")
    assert ran.code == 0 and [part["part"] for part in ran.json["parts"]] == list(PARTS)
    assert ran.json["models"] == len(models.all_models())
    shown = freehold("catalog", "status", "--as-of", "2026-11-27").out
    for part in PARTS:
        assert f"\n{part} " in shown
    for row in ran.json["unlisted"]:
        assert row["why"] in shown and all(name in shown for name in row["ids"])
    for name in ran.json["tools_unknown"]:
        assert models.get(name).tools is None and name in shown
    assert all(row["name"] in shown for row in ran.json["licenses_unread"])


def test_a_stale_part_is_exit_code_1(freehold):
    ran = freehold("catalog", "status", "--as-of", "2027-01-20")
    assert ran.code == 1 and ran.err.startswith("stale: retirement dates; pip install --upgrade freehold")
    row = next(line for line in ran.out.splitlines() if line.startswith("retirement dates"))
    newest = next(one.newest for one in ages(date(2027, 1, 20)) if one.part == "retirement dates")
    assert row.endswith(f"stale: checked {(date(2027, 1, 20) - newest).days} days ago")
    assert freehold("catalog", "status", "--as-of", "2028-06-01", "--json").code == 1


def test_a_stale_fact_says_so_where_it_is_used(freehold, later):
    checked = models.get(GEMMA).checked
    said = f"stale: checked {(later - checked).days} days ago, on {checked}"
    assert said in freehold("catalog", "show", GEMMA).out
    assert said in freehold("catalog", "list", GEMMA).out


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
    for command in (("catalog", "show", GEMMA), ("catalog", "list", GEMMA), ("catalog", "status")):
        assert said in freehold(*command).out.replace("\n    ", " "), command
    assert f"ffn 4096, not {ffn}" in freehold("fit", GEMMA).out
    (shadow,) = freehold("catalog", "status", "--json").json["shadows"]
    assert shadow["id"] == GEMMA and len(shadow["differs"]) == 2
