import json
import os
from pathlib import Path

import pytest
from tests.rows.written import CHATS, asked

from freehold.datasets import importing
from freehold.datasets.importing import RejectedRecord
from freehold.errors import InputError


@pytest.mark.process
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


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "log.jsonl")
    with pytest.raises(InputError, match="not a file") as caught:
        importing.sniff(tmp_path / "log.jsonl")
    assert caught.value.hint == "write it to a file first"
    with pytest.raises(InputError, match="not a file"):
        importing.sniff(Path("/dev/zero"))


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
