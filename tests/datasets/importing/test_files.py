"""Containers: whatever a file is wrapped in, each record arrives once, and what is broken is named by its line."""

import gzip
import json
import random

import pytest
import zstandard

from freehold.datasets import importing
from freehold.datasets.importing import Imported, RejectedRecord
from freehold.datasets.importing.files import reading
from freehold.datasets.importing.records import MAX_RECORD_BYTES
from freehold.errors import InputError

CHATS = [
    {"messages": [{"role": "user", "content": f"grüße {n}"}, {"role": "assistant", "content": "hi"}]}
    for n in range(5)
]
LINES = "".join(json.dumps(chat, ensure_ascii=False) + "\n" for chat in CHATS).encode()


def asked(found):
    assert isinstance(found, Imported), found
    return found.request["messages"][0]["content"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", LINES),
        ("a.jsonl", b"\xef\xbb\xbf" + LINES),
        ("a.jsonl", LINES.rstrip(b"\n")),
        ("a.jsonl", LINES.replace(b"\n", b"\r\n\r\n")),
        ("a.jsonl.gz", gzip.compress(LINES)),
        ("named-without-a-hint", gzip.compress(LINES)),
        ("a.jsonl.zst", zstandard.compress(LINES)),
        ("a.json", json.dumps(CHATS).encode()),
        ("a.json", json.dumps(CHATS, indent=2, ensure_ascii=False).encode()),
        ("a.json", "\n".join(json.dumps(chat, indent=1) for chat in CHATS).encode()),
        ("a.json", json.dumps({"object": "list", "data": CHATS, "has_more": False}, indent=2).encode()),
        ("a.json.gz", gzip.compress(json.dumps(CHATS).encode())),
    ],
)
def test_every_wrapping_gives_the_same_records(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    assert [asked(found) for found in importing.read(path)] == [f"grüße {n}" for n in range(5)]


def test_pretty_printed_arrays_know_their_lines(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("[\n" + ",\n".join(json.dumps(chat) for chat in CHATS) + "\n]\n")
    assert [found.line for found in importing.read(path)] == [2, 3, 4, 5, 6]


def test_an_array_that_breaks_off_keeps_what_came_before(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(json.dumps(CHATS).encode()[:-40])
    *good, bad = importing.read(path)
    assert len(good) == 4 and isinstance(bad, RejectedRecord) and "nothing after it" in bad.reason


@pytest.mark.parametrize("wrap", [gzip.compress, zstandard.compress])
def test_a_damaged_archive_keeps_what_came_before(tmp_path, wrap):
    noise = random.Random(0)
    lines = b"".join(b'{"text": "%d", "label": "a"}\n' % noise.getrandbits(400) for _ in range(20000))
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(wrap(lines)[:-400])
    found = list(importing.read(path))
    assert isinstance(found[-1], RejectedRecord) and "damaged" in found[-1].reason
    assert sum(isinstance(one, Imported) for one in found) > 1000


def test_long_records_are_rejected_with_their_size(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_LINE_BYTES", 2 * MAX_RECORD_BYTES)
    long = json.dumps(
        {"messages": [{"role": "user", "content": "x" * 10_000_000}, {"role": "assistant", "content": "y"}]}
    )
    too_long = json.dumps({"text": "x" * (2 * MAX_RECORD_BYTES + 10)})
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINES + long.encode() + b"\n" + too_long.encode() + b"\n" + LINES)
    found = list(importing.read(path))
    bad = [one for one in found if isinstance(one, RejectedRecord)]
    assert [one.line for one in bad] == [6, 7] and len(found) == 12
    assert "10,000" in bad[0].reason and "line of more than" in bad[1].reason
    assert len(bad[0].text) == 2000


def test_utf16_says_how_to_convert(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINES.decode().encode("utf-16"))
    with pytest.raises(InputError, match="UTF-16"):
        list(importing.read(path))


def test_csv_keeps_the_replacement_character_and_names_bad_rows(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\nreplaced �,a\n".encode() + b"bad \xff,b\nfine,c\n")
    good, bad, again = importing.read(path)
    assert asked(good) == "replaced �" and asked(again) == "fine"
    assert (bad.line, bad.reason) == (3, "not valid UTF-8")


def test_csv_with_a_column_named_twice(tmp_path):
    (tmp_path / "a.csv").write_text("text,label,label\na,b,c\n")
    with pytest.raises(InputError, match="columns named twice: label"):
        list(importing.read(tmp_path / "a.csv"))


# Parquet, Arrow, Hugging Face


def test_parquet_with_messages_and_class_names(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(CHATS), tmp_path / "a.parquet")
    assert [asked(found) for found in importing.read(tmp_path / "a.parquet")] == [
        f"grüße {n}" for n in range(5)
    ]
    features = {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}
    schema = pyarrow.schema(
        [("text", pyarrow.string()), ("label", pyarrow.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    table = pyarrow.Table.from_pylist(
        [{"text": "a", "label": 1}, {"text": "b", "label": None}], schema=schema
    )
    parquet.write_table(table, tmp_path / "b.parquet")
    good, bad = importing.read(tmp_path / "b.parquet")
    assert good.gold == "yes" and "'label' is missing" in bad.reason


def test_a_saved_hugging_face_dataset_keeps_its_splits(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    for split, texts in (("train", ["a", "b"]), ("test", ["c"])):
        folder = tmp_path / "saved" / split
        folder.mkdir(parents=True)
        table = pyarrow.Table.from_pylist([{"text": text, "label": "x"} for text in texts])
        name = "data-00000-of-00001.arrow"
        with (
            pyarrow.OSFile(str(folder / name), "wb") as sink,
            pyarrow.ipc.new_stream(sink, table.schema) as stream,
        ):
            stream.write_table(table)
        (folder / "cache-1.arrow").write_bytes((folder / name).read_bytes())
        (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
        (folder / "dataset_info.json").write_text("{}")
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    found = list(importing.read(tmp_path / "saved"))
    assert {asked(one): one.metadata.get("split") for one in found} == {"a": None, "b": None, "c": "held_out"}
    assert found[0].file == "test/data-00000-of-00001.arrow"


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_a_file_that_is_no_parquet_is_an_error(tmp_path, name):
    pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises(InputError):
        list(importing.read(tmp_path / name))


def test_a_folder_without_data_is_an_error(tmp_path):
    (tmp_path / "README.md").write_text("x")
    with pytest.raises(InputError, match="no data files"):
        importing.sniff(tmp_path)


def test_a_file_of_no_use_costs_its_folder_nothing(tmp_path):
    (tmp_path / "scores").mkdir()
    (tmp_path / "a-empty.jsonl").write_text("")
    (tmp_path / "b.jsonl").write_text(json.dumps(CHATS[0]) + "\n")
    (tmp_path / "scores" / "c.jsonl").write_text('{"value": 1}\n')
    assert importing.sniff(tmp_path).importer.name == "openai"
    empty, good, scores = importing.read(tmp_path)
    assert (
        isinstance(empty, RejectedRecord)
        and empty.file == "a-empty.jsonl"
        and "no record in it" in empty.reason
    )
    assert asked(good) == "grüße 0"
    assert (
        isinstance(scores, RejectedRecord)
        and scores.file == "scores/c.jsonl"
        and "fields are: value" in scores.reason
    )
    (tmp_path / "b.jsonl").unlink()
    with pytest.raises(InputError, match="a-empty"):
        list(importing.read(tmp_path))


@pytest.mark.parametrize("name", ["a.xlsx", "a.jsonl", "a.csv"])
def test_a_zip_archive_says_what_it_is(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(InputError, match="Excel workbook") as raised:
        importing.sniff(tmp_path / name)
    assert "CSV" in raised.value.hint
