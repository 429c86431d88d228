"""Files written whole or not at all, and archives that are no bombs."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from freehold import files
from freehold.errors import InputError, StorageError, UsageError
from freehold.files import FREE_BYTES, RATIO_MAX, check_ratio


def test_the_target_is_replaced_at_the_end_only(tmp_path):
    target = tmp_path / "page.html"
    target.write_text("old")
    with files.replacing(target) as partial, partial.open("w") as out:
        out.write("new")
        out.flush()
        assert target.read_text() == "old" and partial.parent == target.parent
    assert target.read_text() == "new" and list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("fault", [OSError("disk"), UsageError("no"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, fault):
    target = tmp_path / "page.html"
    target.write_text("old")
    with pytest.raises(type(fault)), files.replacing(target) as partial:
        partial.write_text("half")
        raise fault
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_a_durable_file_is_flushed_before_it_takes_its_place(tmp_path, monkeypatch):
    target = tmp_path / "checkpoint"
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(target.exists()))
    with files.replacing(target, durable=True) as partial:
        partial.write_bytes(b"1")
    with files.replacing(target) as partial:
        partial.write_bytes(b"2")
    assert flushed == [False] and target.read_bytes() == b"2"


@pytest.mark.parametrize("folder", [".", "/"])
def test_a_folder_is_not_written_over(monkeypatch, tmp_path, folder):
    monkeypatch.chdir(tmp_path)
    for attempt in (lambda: files.write(Path(folder), "x"), files.replacing(Path(folder)).__enter__):
        with pytest.raises(IsADirectoryError, match="Is a directory"):
            attempt()


def test_reading_names_the_path_and_the_way_out(tmp_path):
    missing = tmp_path / "none.toml"
    with pytest.raises(InputError) as caught, files.reading(missing, hint="freehold init"):
        missing.read_bytes()
    assert caught.value.message == f"{missing}: cannot be read: No such file or directory"
    assert (caught.value.path, caught.value.hint) == (str(missing), "freehold init")


def test_writing_puts_the_systems_word_behind_the_message(tmp_path):
    with pytest.raises(StorageError) as caught, files.writing("the log cannot be written", hint="free space"):
        (tmp_path / "none" / "log").write_bytes(b"")
    assert caught.value.message == "the log cannot be written: No such file or directory"
    assert caught.value.hint == "free space"


@pytest.fixture
def private(monkeypatch):
    """A process of a user whose umask is 022, after `keep_private`."""
    before = os.umask(0o022)
    monkeypatch.setattr(files, "_users_umask", None)
    files.keep_private()
    yield
    os.umask(before)


def mode(path):
    return oct(stat.S_IMODE(path.stat().st_mode))


@pytest.mark.process
def test_a_private_process_makes_private_files_and_its_children_do(private, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("words")
    subprocess.run([sys.executable, "-c", "open('b', 'w')"], cwd=tmp_path, check=True)
    assert [mode(tmp_path / name) for name in ("folder", "folder/a", "b")] == ["0o700", "0o600", "0o600"]
    files.keep_private()
    files.share(tmp_path / "folder", up_to=tmp_path / "folder")
    assert mode(tmp_path / "folder") == "0o755", "the second time it is not the user's any more"


def test_what_is_made_to_be_handed_round_is_as_the_user_has_it(private, tmp_path):
    old = tmp_path / "out"
    old.mkdir()
    (old / "mine").write_text("x")
    with files.shared(old / "new" / "export"):
        (old / "new" / "export").mkdir(parents=True)
        (old / "new" / "export" / "README").write_text("x")
        (old / "new" / "program").write_text("#!")
        (old / "new" / "export" / "run").write_text("#!")
        (old / "new" / "export" / "run").chmod(0o700)
    assert mode(old) == "0o700" and mode(old / "mine") == "0o600", "what was there keeps its rights"
    assert mode(old / "new") == mode(old / "new" / "export") == "0o755"
    assert mode(old / "new" / "export" / "README") == "0o644"
    assert mode(old / "new" / "export" / "run") == "0o755"
    assert mode(old / "new" / "program") == "0o600", "only what was named"
    with files.shared(old / "mine"):
        files.write(old / "mine", "y")
    assert mode(old / "mine") == "0o600"


def test_a_file_that_is_replaced_keeps_its_rights(private, tmp_path):
    file = tmp_path / "freehold.toml"
    file.write_text("a")
    file.chmod(0o664)
    files.write(file, "b")
    assert mode(file) == "0o664"
    files.write(file, "c", private=True)
    assert mode(file) == "0o600"


def test_what_is_there_already_can_be_shared(private, tmp_path):
    folder = tmp_path / "home" / "weights" / "model"
    folder.mkdir(parents=True)
    (folder / "a.gguf").write_text("x")
    files.share(folder, up_to=tmp_path / "home" / "weights")
    assert mode(folder / "a.gguf") == "0o644" and mode(folder) == mode(folder.parent) == "0o755"
    assert mode(tmp_path / "home") == "0o700"


@pytest.mark.process
def test_a_pipe_a_device_and_a_stream_are_written_into_and_stay_what_they_are(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE)
    files.write(pipe, "through the pipe")
    assert reader.communicate(timeout=30)[0] == b"through the pipe" and pipe.is_fifo()
    (tmp_path / "null").symlink_to(os.devnull)
    files.write(tmp_path / "null", "gone", private=True, durable=True)
    assert (tmp_path / "null").is_symlink() and Path(os.devnull).is_char_device()
    read, write = os.pipe()
    with files.replacing(Path(f"/dev/fd/{write}")) as made:
        made.write_bytes(b"by its number")
    os.close(write)
    with os.fdopen(read, "rb") as held:
        assert held.read() == b"by its number"
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.process
def test_standard_output_that_is_a_file_goes_on_where_it_was(tmp_path):
    program = (
        "import sys; from pathlib import Path; from freehold import files; print('before', flush=True); "
        "files.write(Path('/dev/stdout'), 'the page\\n'); print('after')"
    )
    with (tmp_path / "out").open("w") as out:
        subprocess.run([sys.executable, "-c", program], stdout=out, check=True)
    assert (tmp_path / "out").read_text() == "before\nthe page\nafter\n" and Path("/dev/stdout").is_symlink()


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt])
def test_an_error_writes_nothing_into_a_stream(tmp_path, fault):
    read, write = os.pipe()
    with pytest.raises(fault), files.replacing(Path(f"/dev/fd/{write}")) as made:
        made.write_bytes(b"half")
        raise fault
    os.close(write)
    with os.fdopen(read, "rb") as held:
        assert held.read() == b""


def test_honest_files_pass_and_bombs_do_not():
    check_ratio(1, FREE_BYTES, "a")
    check_ratio(FREE_BYTES, FREE_BYTES * RATIO_MAX, "a")
    with pytest.raises(InputError, match="unpacks to more than"):
        check_ratio(1, FREE_BYTES + 1, "a")
