import stat
from datetime import UTC, datetime

import pytest
from tests.store.care.test_check import fill

from freehold.store import open_store
from freehold.types.progress import Silent
from freehold.workflows.data.store_care import make_backup, put_back, save_what_can_be_read, url_of
from freehold.workflows.project import open_project

AT = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = open_project()
    fill(project.store_url)
    return project


def test_copies_lie_in_a_private_folder_with_their_time_in_the_name(project):
    made = make_backup(project, None, at=AT, progress=Silent())
    assert made.file.endswith("/.freehold/backups/store-20260301-120005.sqlite")
    assert stat.S_IMODE((project.state / "backups").stat().st_mode) == 0o700
    salvaged = save_what_can_be_read(project, None, None, at=AT, progress=Silent())
    assert salvaged.file.endswith("/backups/salvaged-20260301-120005.sqlite")


def test_the_store_that_is_replaced_lies_among_the_backups(project, tmp_path):
    file = tmp_path / "mine.sqlite"
    assert make_backup(project, file, at=AT, progress=Silent()).file == str(file)
    made = put_back(project, file, at=AT, progress=Silent())
    assert made.replaced.endswith("/backups/replaced-20260301-120005.sqlite")
    with open_store(url_of(project, None)) as store, open_store(url_of(project, file)) as copy:
        assert list(store.traces()) == list(copy.traces())
