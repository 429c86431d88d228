"""The store of a running console: opened late, again after it was replaced, and said to be unreadable where it is."""

import shutil

import pytest

from freehold.console.project_store import ProjectStore
from freehold.errors import StorageError, StoreError
from freehold.store import open_store


def test_it_opens_what_was_put_in_its_place(tmp_path):
    path, other = tmp_path / "store.sqlite", tmp_path / "other.sqlite"
    url = f"sqlite:///{path}"
    with open_store(f"sqlite:///{other}") as store:
        store.trace_names("model")
    mine = ProjectStore(url)
    first = mine.get()
    assert mine.get() is first
    for name in ("store.sqlite", "store.sqlite-wal", "store.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    shutil.copy(other, path)
    assert mine.get() is not first
    mine.close()


def test_a_store_that_cannot_be_read_is_an_error_each_time_until_it_can(tmp_path):
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"not a database" * 1000)
    mine = ProjectStore(f"sqlite:///{path}")
    for _ in range(2):
        with pytest.raises((StoreError, StorageError)):
            mine.get()
    path.unlink()
    assert mine.get().count_traces() == 0
    mine.close()
