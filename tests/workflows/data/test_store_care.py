import stat
from datetime import UTC, datetime

import pytest
from tests.store.test_care import fill

from freehold.errors import UsageError
from freehold.progress import Silent
from freehold.store import audit, open_store
from freehold.workflows.data.store_care import make_backup, put_back, url_of
from freehold.workflows.project import open_project

AT = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = open_project()
    fill(project.store_url)
    return project


def test_copies_lie_in_a_private_folder_with_their_time_in_the_name(project):
    made = make_backup(project, None, who="ada", at=AT, progress=Silent())
    assert made.file.endswith("/.freehold/backups/store-20260301-120005.sqlite")
    again = make_backup(project, None, who="ada", at=AT, progress=Silent())
    assert again.file.endswith("/.freehold/backups/store-20260301-120005-2.sqlite"), "of the same second"
    assert stat.S_IMODE((project.state / "backups").stat().st_mode) == 0o700


def test_the_store_that_is_replaced_lies_among_the_backups(project, tmp_path):
    file = tmp_path / "mine.sqlite"
    assert make_backup(project, file, who="ada", at=AT, progress=Silent()).file == str(file)
    made = put_back(project, file, who="ada", at=AT, progress=Silent())
    assert made.replaced.endswith("/backups/replaced-20260301-120005.sqlite")
    with open_store(url_of(project, None)) as store, open_store(url_of(project, file)) as copy:
        assert list(store.traces()) == list(copy.traces())


def entries(url):
    with open_store(url) as store:
        assert audit.check(store.database).faults == ()
        return [one for one in audit.entries(store.database) if not one.action.endswith(".save")]


def test_a_restored_store_says_where_the_former_record_ended(project, tmp_path):
    file = tmp_path / "mine.sqlite"
    make_backup(project, file, who="ada", at=AT, progress=Silent())
    with open_store(project.store_url) as store:
        last = audit.note(store.database, "key.add", "late", who="eve", at=AT)
    made = put_back(project, file, who="bob", at=AT, progress=Silent())
    backup, restore = entries(project.store_url)
    assert (backup.action, backup.who, restore.action, restore.who) == (
        "store.backup",
        "ada",
        "store.restore",
        "bob",
    )
    assert restore.detail == {"former_head": f"{last.number}:{last.hash}", "lost": {"audit": 1}}
    assert [one.action for one in entries(f"sqlite:///{made.replaced}")] == ["store.backup", "key.add"]


def test_a_backup_that_is_refused_leaves_no_entry(project, tmp_path):
    file = tmp_path / "mine.sqlite"
    file.touch()
    with pytest.raises(UsageError):
        make_backup(project, file, who="ada", at=AT, progress=Silent())
    assert entries(project.store_url) == []
