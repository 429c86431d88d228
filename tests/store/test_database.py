import stat

import pytest
from tests.store.examples import Note, put

from freehold.errors import StorageError
from freehold.store import default_url, open_store


def test_a_watch_tells_of_what_anybody_wrote_and_of_nothing_else(store):
    watch = store.database.watch()
    assert watch.has_news()
    if store.database.dialect == "sqlite":
        assert not watch.has_news()
    store.records(Note)
    if store.database.dialect == "sqlite":
        assert not watch.has_news(), "reading is no news"
    store.put(Note(text="from this process"))
    assert watch.has_news()
    with open_store(store.url) as other:
        other.put(Note(id="b", text="from elsewhere"))
    assert watch.has_news()
    watch.forget()
    assert watch.has_news()
    watch.close()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StorageError, match="cannot make the folder") as error:
        open_store(default_url(tmp_path / "state" / "deeper"))
    assert "FREEHOLD_STATE" in (error.value.hint or "")


def test_only_the_owner_may_read_the_file(tmp_path):
    with open_store(default_url(tmp_path)) as store:
        put(store)
    assert stat.S_IMODE((tmp_path / "freehold.sqlite3").stat().st_mode) == 0o600


def test_deleted_bodies_are_overwritten_in_the_file(tmp_path):
    with open_store(default_url(tmp_path)) as store:
        for number in range(50):
            store.put(Note(id=f"n{number}", text="SECRETWORD " * 30))
        for number in range(50):
            store.delete(Note, f"n{number}")
    data = (tmp_path / "freehold.sqlite3").read_bytes()
    assert b"SECRETWORD" not in data
    with open_store(default_url(tmp_path)) as store, store.database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA secure_delete").scalar() == 1
