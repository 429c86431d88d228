import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.datasets.importing.lines import CHAT, PAIR, write

from freehold.datasets.importing import Imported, RejectedRecord, check_fields, named, read, sniff
from freehold.errors import ConfigError, InputError
from freehold.types.config import DataConfig


@pytest.mark.parametrize(
    ("name", "record", "expected"),
    [
        ("a.jsonl", CHAT, "openai"),
        ("a.jsonl", PAIR, "pairs"),
        ("a.jsonl", {"text": "x", "label": "y"}, "columns"),
    ],
)
def test_sniff(tmp_path, name, record, expected):
    assert sniff(write(tmp_path / name, record)).importer.name == expected


def test_fine_tuning_file(tmp_path):
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    (one,) = read(write(tmp_path / "a.jsonl", {**CHAT, "tools": tools}))
    assert isinstance(one, Imported)
    assert one.request["messages"] == [{"role": "user", "content": "hello"}]
    assert one.request["tools"] == tools
    assert one.response["choices"][0]["message"]["content"] == "hi"


def test_bytes_that_are_not_utf8_are_rejected(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(json.dumps(CHAT).encode() + b'\n{"messages": "\xff\xfe"}\n')
    _, bad = read(path)
    assert isinstance(bad, RejectedRecord) and bad.line == 2


def test_csv_with_line_breaks_and_bad_rows(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('text,category\n"two\nlines",x\nlonely\nhello,y,z\n,x\n')
    records = list(read(path, DataConfig(input="text", label="category", system="Sort.")))
    first, *rest = records
    assert first.request["messages"] == [
        {"role": "system", "content": "Sort."},
        {"role": "user", "content": "two\nlines"},
    ]
    assert first.gold == "x"
    assert [type(record) for record in rest] == [RejectedRecord, RejectedRecord, RejectedRecord]
    assert "more fields" in rest[1].reason


def test_csv_without_the_named_column_is_an_error(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="no column 'text'; columns are: a, b"):
        list(read(path, DataConfig(input="text", label="b")))


@pytest.mark.parametrize("name", ["missing.jsonl", "missing.csv"])
def test_missing_file_is_an_error(tmp_path, name):
    with pytest.raises(InputError, match="no such file"):
        list(read(tmp_path / name))


def test_empty_file_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no record"):
        list(read(write(tmp_path / "a.jsonl")))


OTHER_KINDS = (b"ARROW1", b"PAR1", b"PK\x03\x04", b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
"""How files begin that are no lines of text, whatever they are called: these may be refused as a whole."""


@given(st.lists(st.binary(max_size=60), max_size=8))
@example([b"ARROW1"])
@example([b"PK\x03\x04"])
def test_any_bytes_give_records_or_rejects_never_a_crash(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("fuzz") / "a.jsonl"
    path.write_bytes(b"\n".join(lines))
    try:
        for record in read(path, DataConfig(format="pairs")):
            assert isinstance(record, Imported | RejectedRecord)
    except InputError:
        assert path.read_bytes().lstrip().startswith(OTHER_KINDS)


def test_a_format_that_is_not_there_names_the_nearest(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"messages": []}\n')
    with pytest.raises(ConfigError, match=r"data\.format is langfuze") as caught:
        sniff(path, DataConfig(format="langfuze"))
    assert caught.value.hint == "did you mean langfuse?"
    with pytest.raises(ConfigError) as caught:
        named("zzz")
    assert "auto, opentelemetry" in (caught.value.hint or "")


def test_a_named_field_stands_in_some_record_of_one_file_or_the_name_is_wrong(tmp_path):
    plain = {"text": "x", "incumbent": "a"}
    early = write(tmp_path / "early.jsonl", *[plain] * 30)
    late = write(tmp_path / "late.jsonl", *[plain] * 30, {**plain, "gold": "b"})
    data = DataConfig(input="text", label="gold", incumbent="incumbent")
    check_fields([early, late], data)
    check_fields([late], data)
    check_fields([early], data, DataConfig(incumbent="incumbent"))
    check_fields([write(tmp_path / "chats.jsonl", CHAT)], data)  # has no fields to name
    (tmp_path / "folder").mkdir()
    write(tmp_path / "folder" / "a.jsonl", {**plain, "gold": "b"})
    (tmp_path / "folder" / "b.csv").write_text("other,columns\n1,2\n")
    (tmp_path / "folder" / "empty.jsonl").touch()
    check_fields([tmp_path / "folder"], data)  # what is of no use in a folder is passed over
    with pytest.raises(InputError, match="no record has a field 'gold'; fields are: text, incumbent"):
        check_fields([early], data)
    with pytest.raises(InputError, match="no record has a field 'incumbnt'") as told:
        check_fields([early, late], DataConfig(input="text", label="gold", incumbent="incumbnt"))
    assert told.value.hint == "did you mean incumbent?" and "late.jsonl" in told.value.path
