"""Whatever wraps them: the same records, in bounds, and what is broken is told."""

import gzip
import json

import msgspec
import pytest
import zstandard
from tests.rows.written import CHATS, LINES, asked

from freehold.datasets import importing
from freehold.datasets.importing import RejectedRecord
from freehold.errors import InputError
from freehold.rows import reading
from freehold.rows.reading import MAX_RECORD_BYTES


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


@pytest.mark.parametrize("name", ["a.xlsx", "a.jsonl", "a.csv"])
def test_a_zip_archive_says_what_it_is(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(InputError, match="Excel workbook") as raised:
        importing.sniff(tmp_path / name)
    assert "CSV" in raised.value.hint


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: zstandard.compress(data, 19)])
def test_a_small_file_that_unpacks_without_end_is_refused_before_it_fills_the_memory(tmp_path, pack):
    path = tmp_path / "a.jsonl"
    # What a line of text says and 64 MiB of spaces behind it.
    path.write_bytes(pack(LINES + b" " * (64 << 20)))
    with (
        pytest.raises(InputError, match="unpacks to more than 500 times its size"),
        reading.opened(path) as file,
    ):
        most = 0
        while part := file.read(1 << 20):
            most = max(most, len(file.raw._ready))
            assert len(part) <= 1 << 20
    assert most <= 40 << 20


def test_pretty_printed_arrays_know_their_lines(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("[\n" + ",\n".join(json.dumps(chat) for chat in CHATS) + "\n]\n")
    assert [found.line for found in importing.read(path)] == [2, 3, 4, 5, 6]


def test_an_array_that_breaks_off_keeps_what_came_before(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(json.dumps(CHATS).encode()[:-40])
    *good, bad = importing.read(path)
    assert len(good) == 4 and isinstance(bad, RejectedRecord) and "nothing after it" in bad.reason


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


@pytest.mark.process
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


@pytest.mark.process
@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_a_file_that_is_no_parquet_is_an_error(tmp_path, name):
    pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises(InputError):
        list(importing.read(tmp_path / name))


class Grade(msgspec.Struct):
    id: str
    score: float | None = None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", b'{"id": "x", "score": 1}\n\n{"id": "y"}\n'),
        ("a.csv", b"id,score\nx,1\ny,\n"),
        ("a.json", b'[{"id": "x", "score": 1.0},\n {"id": "y", "score": null}]'),
        ("a.csv.gz", gzip.compress(b"id;score\nx;1\ny;\n")),
    ],
)
def test_records_have_their_type_in_every_kind_of_file(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert [one for _, one in reading.records(tmp_path / name, Grade, "a grade")] == [
        Grade("x", 1.0),
        Grade("y"),
    ]


@pytest.mark.parametrize(
    ("line", "says", "hint"),
    [
        (b'{"id": 1}', r"not a grade: Expected `str`, got `int` - at `\$.id`", "look"),
        (b"{nope", "not valid JSON", "look"),
        (b'{"id": "x", "score": NaN}', "not valid JSON", "NaN is not JSON"),
        (b"[1]", "expected a JSON object, got list", "look"),
        (b'{"id": "\xff"}', "not valid UTF-8", "look"),
    ],
)
def test_the_first_that_is_none_is_told_with_its_line(tmp_path, line, says, hint):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"id": "x"}\n\n' + line + b"\n")
    read = reading.records(path, Grade, "a grade", hint="look")
    assert next(read) == (1, Grade("x"))
    with pytest.raises(InputError, match=says) as caught:
        next(read)
    assert (caught.value.path, caught.value.line) == (str(path), 3)
    assert hint in caught.value.hint
