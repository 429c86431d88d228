import errno
import shutil
import stat
import subprocess
import sys
import textwrap

import pytest
from sqlalchemy import delete, update
from tests.store.care.test_check import change, fill
from tests.store.examples import Note, trace

from freehold.errors import StorageError, StoreError
from freehold.store import default_url, open_store
from freehold.store.backup import backup, loss, refuse_while_in_use, restore
from freehold.store.check import check
from freehold.store.damage import way_back
from freehold.store.database import file_url
from freehold.store.erase import erase_traces
from freehold.store.search import search
from freehold.store.tables import audit, trace_blocks
from freehold.types.trace import TraceQuery

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
        with (
            pytest.raises(StorageError, match="only grows"),
            store.database.writing() as connection,
        ):
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


def test_rows_with_a_wrong_checksum_are_counted_and_come_along(url, tmp_path):
    fill(url)
    change(url, update(trace_blocks).where(trace_blocks.c.place == 1).values(body=b"\x01broken"))
    backup(url, tmp_path / "b")
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
