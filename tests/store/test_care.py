"""Stores that are looked through row by row, backed up and restored, and what is damaged."""

import errno
import shutil
import stat
import subprocess
import sys
import textwrap
import threading

import pytest
from sqlalchemy import delete, update
from tests.store.examples import NOON, Note, put, trace

from freehold.errors import StorageError, StoreError, UsageError
from freehold.store import open_store
from freehold.store.backup import backup, loss, refuse_while_in_use, require_backup, restore
from freehold.store.check import SEALED, check
from freehold.store.damage import way_back
from freehold.store.database import Database, default_url, file_url
from freehold.store.erase import erase_traces
from freehold.store.search import search
from freehold.store.tables import audit, metadata, records, store_facts, trace_blocks
from freehold.types.route import Route, Target
from freehold.types.trace import TraceQuery


def fill(url, count=40):
    with open_store(url) as store:
        store.add_traces(trace(number, id=f"t{number:03}") for number in range(count))
        put(store)
        store.put(Note(text="x"), made_from=["a"])
        store.save_route(Route(name="r", model="m", incumbent=Target(endpoint="e")), who="ada", at=NOON)


def change(url, statement):
    with open_store(url) as store, store.database.writing() as connection:
        connection.execute(statement)


def test_a_whole_store_is_said_to_be(url):
    fill(url)
    told = []
    found = check(url, tell=lambda done, total: told.append((done, total)))
    assert found.healthy
    assert found.rows["traces"] == 40 and told[-1] == (8, 8)
    assert found.newest_trace.minute == 0 and found.newest_trace.second == 39


def test_each_damaged_row_is_named(url):
    fill(url)
    change(url, update(trace_blocks).where(trace_blocks.c.place == 17).values(body=b"\x00" * 99))
    change(url, update(records).where(records.c.kind == "note").values(body=b"\x00\x00\x00\x00{}"))
    found = check(url)
    assert not found.healthy and found.damaged_rows == 2
    assert {(row.table, row.key) for row in found.damaged} == {
        ("trace_blocks", "17 (16 traces)"),
        ("records", "note/a"),
    }


def test_nothing_is_made_or_written_by_looking(tmp_path):
    url = default_url(tmp_path)
    with pytest.raises(StoreError, match="there is no store"):
        check(url)
    assert list(tmp_path.iterdir()) == []
    fill(url)
    database = Database(url, as_is=True)
    with pytest.raises(StorageError, match="no write access"), database.writing() as connection:
        connection.execute(delete(trace_blocks))
    database.close()
    change(url, update(store_facts).where(store_facts.c.name == "schema").values(value="9999"))
    assert "its schema is 9999" in check(url).problems[0]


def test_a_file_that_is_no_store_is_a_problem(tmp_path):
    (tmp_path / "freehold.sqlite3").write_bytes(b"a diary, not a database" * 100)
    found = check(default_url(tmp_path))
    assert not found.healthy and "not a freehold store" in found.problems[0]


def test_every_table_with_bodies_is_here():
    binary = {
        table.name
        for table in metadata.tables.values()
        for column in table.columns
        if str(column.type) == "BLOB" and not column.primary_key
    }
    assert {kind.name for kind in SEALED} == binary


def test_a_backup_is_one_whole_private_file_that_reads_the_same(url, tmp_path):
    fill(url)
    target, told = tmp_path / "b.sqlite", []
    made = backup(url, target, tell=lambda done, total: told.append(done))
    assert made.check.healthy and made.check.rows == check(url).rows and told
    assert stat.S_IMODE(target.stat().st_mode) == 0o600 and made.size_bytes == target.stat().st_size
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("b.sqlite")] == ["b.sqlite"]
    with open_store(url) as store, open_store(f"sqlite:///{target}") as copy:
        assert list(copy.traces()) == list(store.traces()) and copy.routes() == store.routes()


def test_writers_go_on_while_a_backup_is_made(url, tmp_path):
    """What is written meanwhile is not in the copy, or is in it whole; the copy does not begin again and again."""
    fill(url, count=3000)
    stop, written = threading.Event(), []

    def write():
        with open_store(url) as store:
            number = 10_000
            while not stop.is_set():
                written.append(store.add_traces([trace(number, id=f"w{number}")]))
                number += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        made = backup(url, tmp_path / "b.sqlite")
    finally:
        stop.set()
        thread.join()
    assert made.check.healthy and made.check.rows["traces"] >= 3000 and written
    with open_store(url) as store:
        assert store.count_traces() == 3000 + len(written)


def test_nothing_is_written_over_and_nothing_half_is_left(url, tmp_path):
    fill(url)
    (tmp_path / "there").write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        backup(url, tmp_path / "there")
    with pytest.raises(StorageError, match="cannot be written"):
        backup(url, tmp_path / "no" / "folder")
    with pytest.raises(StoreError, match="there is no store"):
        backup(f"sqlite:///{tmp_path}/none", tmp_path / "b.sqlite")
    assert not list(tmp_path.glob("b.sqlite*")) and (tmp_path / "there").read_text() == "mine"


def test_a_file_that_is_no_backup_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"a diary" * 1000)
    with pytest.raises(StoreError, match="is not a freehold store"):
        require_backup(tmp_path / "x")
    with pytest.raises(UsageError, match="no such file"):
        require_backup(tmp_path / "y")


HOLDER = """
    import sys
    from freehold.store import open_store
    store = open_store(sys.argv[1])
    print(store.count_traces(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held(url):
    """Another process that has the store open, as a gateway's recorder has."""
    fill(url)
    script = [sys.executable, "-c", textwrap.dedent(HOLDER), url]
    with subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline()
        yield process
        process.stdin.close()


def test_a_restored_store_is_the_backup_and_the_former_one_is_kept(url, tmp_path):
    fill(url)
    backup(url, tmp_path / "b")
    with open_store(url) as store:
        store.add_traces([trace(900, id="late")])
        store.put(Note(id="late", text="x"))
    lost = loss(url, tmp_path / "b")
    assert (
        lost.rows == {"audit": 1, "traces": 1, "records": 1}
        and lost.until.second == 39
        and lost.unknown is None
    )
    made = restore(url, tmp_path / "b", tmp_path / "kept")
    assert made.loss == lost and made.replaced == str(tmp_path / "kept")
    with open_store(url) as store:
        assert store.get_trace("late") is None and store.count_traces() == 40
        store.add_traces([trace(901, id="next")])
        assert [one.id for one in store.traces()][-1] == "next"
        with pytest.raises(StorageError, match="only grows"), store.database.writing() as connection:
            connection.execute(delete(audit))
    with open_store(f"sqlite:///{tmp_path}/kept") as former:
        assert former.get_trace("late") is not None
    assert check(url).healthy


@pytest.mark.process
def test_a_store_in_use_is_not_replaced(url, tmp_path, held):
    backup(url, tmp_path / "b")
    with pytest.raises(StoreError, match="in use by") as error:
        restore(url, tmp_path / "b", tmp_path / "kept")
    assert "freehold down" in error.value.hint
    held.stdin.close()
    held.wait()
    restore(url, tmp_path / "b", tmp_path / "kept2")


@pytest.mark.process
def test_a_damaged_file_in_use_is_found_among_open_files(tmp_path):
    path = tmp_path / "s"
    path.write_bytes(b"a diary" * 1000)
    script = "import sys; f = open(sys.argv[1]); print('on', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline()
        with pytest.raises(StoreError, match=f"process {process.pid}"):
            refuse_while_in_use(path)
        process.stdin.close()
    refuse_while_in_use(path)


def test_a_broken_backup_is_refused_and_a_broken_store_replaced(tmp_path):
    url = default_url(tmp_path)
    fill(url)
    backup(url, tmp_path / "good")
    (tmp_path / "bad").write_bytes((tmp_path / "good").read_bytes()[: 3 * 4096])
    with pytest.raises(StoreError, match="bad cannot be restored") as error:
        restore(url, tmp_path / "bad", tmp_path / "kept")
    assert f"sqlite3 {tmp_path}/bad .recover | sqlite3 new.db" in error.value.hint
    (tmp_path / "freehold.sqlite3").write_bytes(b"a diary" * 1000)
    made = restore(url, tmp_path / "good", tmp_path / "kept")
    assert "not a freehold store" in made.loss.unknown and check(url).healthy
    assert (tmp_path / "kept").read_bytes().startswith(b"a diary")


def test_rows_with_a_wrong_checksum_are_told_with_the_backup_and_come_along(url, tmp_path):
    fill(url)
    change(url, update(trace_blocks).where(trace_blocks.c.place == 1).values(body=b"\x01broken"))
    assert backup(url, tmp_path / "b").check.damaged[0].key == "1 (16 traces)"
    assert restore(url, tmp_path / "b", tmp_path / "kept").loss.damaged_rows == 1
    with open_store(url) as store:
        assert len(list(store.traces())) == 24


@pytest.mark.process
@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="SQLite's shell is not installed")
def test_what_sqlites_own_shell_recovers_of_a_broken_file_is_a_store_again(tmp_path):
    url, broken = default_url(tmp_path), tmp_path / "freehold.sqlite3"
    fill(url, count=600)
    leaves = "SELECT pageno FROM dbstat WHERE name = 'trace_blocks' AND pagetype = 'leaf' ORDER BY pageno"
    pages = subprocess.run(["sqlite3", broken, leaves], check=True, capture_output=True).stdout.split()
    data = bytearray(broken.read_bytes())
    leaf = (int(pages[len(pages) // 2]) - 1) * 4096
    data[leaf : leaf + 4096] = bytes(4096)
    broken.write_bytes(data)
    found = check(url)
    assert not found.healthy and found.problems
    shell = way_back(str(broken)).split("without one, ")[1].split(" keeps")[0]
    subprocess.run(shell, shell=True, check=False, capture_output=True, cwd=tmp_path)  # noqa: S602
    assert restore(url, tmp_path / "new.db", tmp_path / "kept").loss.damaged_rows == 0
    with open_store(url) as store:
        rest = [one.id for one in store.traces()]
        assert check(url).healthy and 100 < len(rest) < 600 and store.count_traces() == len(rest)
        assert store.replace_trace(store.get_trace(rest[0])) is not False
        assert erase_traces(store.database, rest[:3]) == 3
        assert len(search(store.database, TraceQuery(text="paket", most=1000)).traces) == len(rest) - 3
    fill(url, count=600)  # what was lost comes in again
    with open_store(url) as store:
        assert store.count_traces() == 600


def test_where_there_is_no_store_nothing_is_lost(tmp_path):
    fill(f"sqlite:///{tmp_path}/a")
    made = restore(f"sqlite:///{tmp_path}/new/s", tmp_path / "a", tmp_path / "kept")
    assert made.replaced is None and made.loss.rows == {}
    assert check(f"sqlite:///{tmp_path}/new/s").rows["traces"] == 40


@pytest.mark.parametrize("name", ["what?", "a%20b"])
def test_backup_and_restore_find_files_whatever_their_paths_have_in_them(tmp_path, name):
    """Cut at a question mark, a backup was checked as another file, and the store that took its place was empty."""
    url, file = file_url(tmp_path / name / "s"), tmp_path / name / "b"
    fill(url)
    assert backup(url, file).check.rows["traces"] == 40
    restore(url, file, tmp_path / name / "kept")
    with open_store(url) as store:
        assert store.count_traces() == 40
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert {path.name for path in file.parent.iterdir()} == {"s", "b", "kept"}


def test_names_with_a_zero_byte_come_back_into_any_store(url, tmp_path):
    with open_store(f"sqlite:///{tmp_path}/older") as store:
        store.add_traces([trace(1, id="zero", model="a\0b")])
    fill(url)
    restore(url, tmp_path / "older", tmp_path / "kept")
    assert check(url).healthy
    with open_store(url) as store:
        assert [one.model for one in store.traces()] == ["a\0b"]


@pytest.mark.process
@pytest.mark.parametrize("damaged", [False, True])
def test_a_restore_that_is_killed_at_its_last_step_leaves_the_former_store(tmp_path, damaged):
    """It had been moved away by then, and the next command made an empty store."""
    url, file = f"sqlite:///{tmp_path}/s", tmp_path / "s"
    fill(url)
    backup(url, tmp_path / "b")
    if damaged:
        file.write_bytes(b"x" * 4096)
    before = file.read_bytes()[100:]  # behind SQLite's own head, which says whether there is a log
    script = f"""
        import os, pathlib
        from freehold.store.backup import restore
        real = pathlib.Path.replace
        pathlib.Path.replace = lambda one, to: os._exit(9) if to.name == "s" else real(one, to)
        restore({url!r}, pathlib.Path({str(tmp_path / "b")!r}), pathlib.Path({str(tmp_path / "kept")!r}))
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False).returncode == 9
    assert file.read_bytes()[100:] == before
    restore(url, tmp_path / "b", tmp_path / "kept2")
    assert (tmp_path / "kept2").read_bytes()[100:] == before
    with open_store(url) as store:
        assert store.count_traces() == 40
    assert {path.name for path in tmp_path.iterdir()} == {"s", "b", "kept", "kept2"}


@pytest.mark.parametrize("links", [True, False])
def test_a_store_behind_a_link_is_replaced_where_it_lies(tmp_path, monkeypatch, links):
    disk = tmp_path / "disk"
    disk.mkdir()
    fill(f"sqlite:///{disk}/real")
    (tmp_path / "s").symlink_to(disk / "real")
    url = f"sqlite:///{tmp_path}/s"
    backup(url, tmp_path / "b")
    if not links:
        monkeypatch.setattr(
            "os.link", lambda *paths: (_ for _ in ()).throw(OSError(errno.EXDEV, "another disk"))
        )
    with open_store(url) as store:
        store.add_traces([trace(900, id="late")])
    restore(url, tmp_path / "b", tmp_path / "kept")
    assert (tmp_path / "s").is_symlink() and not (tmp_path / "kept").is_symlink()
    with open_store(url) as store, open_store(f"sqlite:///{tmp_path}/kept") as former:
        assert store.database.file == disk / "real"
        assert store.get_trace("late") is None and former.get_trace("late") is not None
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o600
