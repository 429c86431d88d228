from datetime import date

from freehold.catalog import licenses, models, releases, unlisted
from freehold.settings import load
from freehold.workflows.choose.catalog_status import status


def test_what_is_missing_is_counted_from_the_catalog(tmp_path):
    found = status(load({"FREEHOLD_HOME": str(tmp_path / "home")}), date(2026, 11, 27))
    assert found.models == len(models.all_models()) and found.unlisted == unlisted.rows()
    assert all(models.get(name).released == found.newest_released for name in found.newest)
    assert not any((one.released or "") > found.newest_released for one in models.all_models())
    for one in found.licenses_unread:
        assert licenses.licenses()[one.id].confidence == "secondary"
        assert (
            one.releases == sum(len(row.models) for row in releases.releases() if row.license == one.id) > 0
        )
    assert (found.own, found.shadows, found.stale) == (0, (), ())
    assert not (tmp_path / "home").exists()


def test_every_part_is_stale_at_last(tmp_path):
    found = status(load({"FREEHOLD_HOME": str(tmp_path / "home")}), date(2029, 1, 1))
    assert found.stale == tuple(one.part for one in found.parts)
