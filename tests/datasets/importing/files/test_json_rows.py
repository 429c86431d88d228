import json

from tests.datasets.importing.files.written import CHATS, LINES

from freehold.datasets import importing
from freehold.datasets.importing import RejectedRecord
from freehold.datasets.importing.files import reading
from freehold.datasets.importing.records import MAX_RECORD_BYTES


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
