import io
import sqlite3
import stat

import pytest
from tests.store.test_care import fill


@pytest.fixture
def store(project):
    (project / ".freehold").mkdir()
    path = project / ".freehold" / "freehold.sqlite"
    fill(f"sqlite:///{path}")
    return path


def spoil(path):
    with sqlite3.connect(path) as holder:
        holder.execute("UPDATE trace_blocks SET body = x'0102' WHERE place = 1")
    holder.close()


def test_check_tells_people_and_monitors(freehold, store):
    ran = freehold("store", "check")
    assert ran.code == 0 and "40 traces" in ran.out and ran.out.endswith("all is well\n")
    spoil(store)
    ran = freehold("store", "check")
    assert (
        ran.code == 1
        and "damaged: trace_blocks 1 (16 traces): it is cut short" in ran.out
        and "hint: " in ran.err
    )
    found = freehold("store", "check", "--json").json
    assert found["damaged"] == [
        {"table": "trace_blocks", "key": "1 (16 traces)", "reason": "it is cut short"}
    ]


def test_check_of_a_project_without_a_store(refused, project):
    refused("store", "check", message="there is no store at", hint="freehold import")


def _backed_up(freehold):
    ran = freehold("store", "backup", "--json")
    assert ran.code == 0, (ran.out, ran.err)
    return ran.json["file"]


def test_backup_and_restore_bring_a_store_back(freehold, refused, store, project):
    file = _backed_up(freehold)
    assert "/.freehold/backups/store-" in file
    assert stat.S_IMODE((store.parent / "backups").stat().st_mode) == 0o700
    refused("store", "backup", file, message="exists")
    spoil(store)
    with sqlite3.connect(store) as holder:
        holder.execute("INSERT INTO spending VALUES ('app', '2026-03-01', 5)")
    holder.close()
    ran = freehold("store", "restore", file, "--yes")
    assert ran.code == 0 and "will be lost: 1 spending" in ran.err and "is kept: " in ran.out
    assert freehold("store", "check").code == 0
    assert freehold("store", "check", ran.out.split("kept: ")[1].strip()).code == 1


def test_restore_asks_first_and_changes_nothing_without_an_answer(freehold, store, monkeypatch):
    file = _backed_up(freehold)
    before = store.stat().st_ino
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    ran = freehold("store", "restore", file)
    assert ran.code != 0 and store.stat().st_ino == before


def test_an_older_copy_does_not_bring_a_revoked_key_back(freehold, refused, project):
    """No gateway runs in between, which would have seen the change, and the file beside the store is not up to date."""
    freehold("keys", "add", "app")
    kept = project / ".freehold" / "keys.json"
    backup = _backed_up(freehold)
    before = kept.read_bytes()
    freehold("keys", "revoke", "app")
    assert kept.read_bytes() != before, "a change is known at once"
    kept.write_bytes(before)  # as if the process was killed between the change and this file
    ran = freehold("store", "restore", backup, "--yes", "--json")
    assert ran.code == 0 and "no client gets in until you say so" in ran.err and "keys accept" in ran.err
    for command in (("keys", "list"), ("up", "--model", "m")):
        refused(*command, message="an older copy", hint="freehold keys accept")
    freehold("keys", "accept", "--yes")
    assert "app" in freehold("keys", "list").out
