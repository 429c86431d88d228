"""The store as the doctor reads it."""

import sqlite3

import pytest

from freehold.store import open_store
from freehold.workflows.doctor.patient import look, read_store


def test_a_store_is_read_without_a_change(tmp_path):
    path = tmp_path / "s.sqlite"
    open_store(f"sqlite:///{path}").close()
    before = path.read_bytes()
    state = read_store(path)
    assert state.intact and state.schema and (state.traces, state.keys) == (0, 0)
    assert path.read_bytes() == before


def test_what_is_not_a_store(tmp_path):
    path = tmp_path / "s.sqlite"
    path.write_bytes(b"")
    with pytest.raises(sqlite3.DatabaseError, match="empty"):
        read_store(path)


def test_nothing_is_made_by_looking(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = look(None)
    assert found.problem is None and not found.store.exists and not list(tmp_path.iterdir())
