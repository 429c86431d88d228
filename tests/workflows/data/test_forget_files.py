import gzip
import sqlite3

import pytest
import zstandard

from freehold.workflows.data.forget_files import (
    Finder,
    all_files,
    clean,
    content,
    is_answer_cache,
    is_sqlite,
    remove_folder,
)

FINDER = Finder(["u-4711", "ada@example.org", "01a2-77"], ['Where is "my" parcel, Müller?'])


@pytest.mark.parametrize(
    "text",
    [
        '{"user":"u-4711"}',
        "user=u-4711\n",
        "by ada@example.org today",
        'Where is "my" parcel, Müller?',
        '{"c":"Where is \\"my\\" parcel, M\\u00fcller?"}',
        '{"c":"Where is \\"my\\" parcel, Müller?"}',
        "<p>Where is &quot;my&quot; parcel, Müller?</p>",
    ],
)
def test_a_person_is_found_however_it_is_spelt(text):
    assert FINDER(text.encode())
    masked = FINDER.masked(text.encode())
    assert len(masked) == len(text.encode()) and not FINDER(masked)


@pytest.mark.parametrize("text", ["u-47110", "xu-4711", "ada@example.orgs", "Where is my parcel?", ""])
def test_others_are_not(text):
    assert not FINDER(text.encode())


def test_lines_leave_logs_are_struck_out_and_other_files_removed(tmp_path):
    for name in ("a.jsonl", "a.log", "a.html"):
        (tmp_path / name).write_text("of u-4711\nof others\n")
    (tmp_path / "a.jsonl").chmod(0o600)
    with (tmp_path / "a.log").open("a") as writer:
        done = [clean(tmp_path / name, FINDER) for name in ("a.jsonl", "a.log", "a.html")]
        writer.write("later\n")
    assert done == ["lines", "struck out", "removed"] and not (tmp_path / "a.html").exists()
    assert (tmp_path / "a.jsonl").read_text() == "of others\n"
    assert (tmp_path / "a.jsonl").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a.log").read_text() == "of xxxxxx\nof others\nlater\n"


def test_compressed_files_are_read_unpacked(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"of u-4711"))
    (tmp_path / "a.zst").write_bytes(zstandard.ZstdCompressor().compress(b"of u-4711"))
    (tmp_path / "b.gz").write_bytes(b"u-4711 as it is")
    assert all(FINDER(content(tmp_path / name)) for name in ("a.gz", "a.zst", "b.gz"))


def test_kinds_of_files_are_told_by_their_content(tmp_path):
    sqlite3.connect(tmp_path / "s").execute("CREATE TABLE t (a)").connection.close()
    (tmp_path / "c.jsonl").write_text('{"key":"1","answer":{}}\n')
    (tmp_path / "r.jsonl").write_text('{"id":"1"}\n')
    assert is_sqlite(tmp_path / "s") and not is_sqlite(tmp_path / "c.jsonl")
    assert is_answer_cache(tmp_path / "c.jsonl") and not is_answer_cache(tmp_path / "r.jsonl")
    assert is_answer_cache(tmp_path / "embeddings-1a2b.npz") and not is_answer_cache(tmp_path / "heads.npz")


def test_every_file_is_visited_once_and_no_link_is_followed(tmp_path):
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "e" / "f").write_text("x")
    (tmp_path / "d" / "w.gguf").write_text("x")
    (tmp_path / "d" / "link").symlink_to(tmp_path / "d" / "e" / "f")
    assert [path.name for path in all_files([tmp_path, tmp_path / "d"])] == ["f"]
    told = []
    remove_folder(tmp_path / "d", told.append)
    assert told and not (tmp_path / "d").exists()
