import json

import pytest
from tests.datasets.importing.files.written import CHATS, asked

from freehold.datasets import importing
from freehold.errors import InputError


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


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_a_file_that_is_no_parquet_is_an_error(tmp_path, name):
    pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises(InputError):
        list(importing.read(tmp_path / name))
