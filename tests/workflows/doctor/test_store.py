"""The store's checks, on real files: sound, damaged, locked, old, newer, empty, gone."""

import sqlite3
from contextlib import closing
from types import SimpleNamespace

import pytest

from freehold.store import open_store
from freehold.workflows.doctor import store as checks
from freehold.workflows.doctor.examine import site_of
from freehold.workflows.project import now


@pytest.fixture
def look(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_DATABASE_URL", f"sqlite:///{tmp_path / 'f.sqlite'}")

    def one():
        (found,) = checks.check_store(site_of(None, now=now()))
        return found

    return one


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "f.sqlite"
    open_store(f"sqlite:///{path}").close()
    return path


def test_a_store_is_looked_at_and_not_changed(look, file):
    before = file.read_bytes()
    one = look()
    assert one.outcome == "ok" and "pages sound" in one.text
    assert file.read_bytes() == before


def test_damage(look, file):
    data = bytearray(file.read_bytes())
    data[4096 : len(data)] = b"\xff" * (len(data) - 4096)
    file.write_bytes(data)
    one = look()
    assert one.outcome == "fail" and "damaged" in one.text
    assert ".recover | sqlite3 new.db" in one.fix and "restore FILE" in one.fix


def test_a_locked_one_is_told_within_its_time(look, file):
    with closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode=EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        one = look()
        holder.execute("ROLLBACK")
    assert one.outcome == "warn" and "locked" in one.text


def test_another_schema(look, file):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE store_facts SET value = '9999' WHERE name = 'schema'")
        connection.commit()
    assert look().outcome == "fail" and "9999" in look().text


def test_an_address_that_does_not_answer_is_told_without_its_password(look, monkeypatch):
    monkeypatch.setenv("FREEHOLD_DATABASE_URL", "post:gres//me:hunter2@host")
    one = look()
    assert one.outcome == "fail" and "hunter2" not in one.text
    monkeypatch.setenv("FREEHOLD_DATABASE_URL", "postgresql://me:hunter2@127.0.0.1:9/x")
    one = look()
    assert one.outcome == "fail" and "hunter2" not in one.text + one.fix


def test_a_full_disk(look, file, monkeypatch):
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1))
    assert look().outcome == "warn"


def test_an_empty_file_and_none(look, file):
    file.write_bytes(b"")
    assert look().outcome == "fail"
    file.unlink()
    assert look().outcome == "ok" and not file.exists()
