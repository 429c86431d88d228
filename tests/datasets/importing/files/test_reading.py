import gzip
import json
import random

import pytest
import zstandard
from tests.datasets.importing.files.written import CHATS, LINES, asked

from freehold.datasets import importing
from freehold.datasets.importing import Imported, RejectedRecord
from freehold.datasets.importing.files import reading
from freehold.errors import InputError


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


@pytest.mark.parametrize("wrap", [gzip.compress, zstandard.compress])
def test_a_damaged_archive_keeps_what_came_before(tmp_path, wrap):
    noise = random.Random(0)
    lines = b"".join(b'{"text": "%d", "label": "a"}\n' % noise.getrandbits(400) for _ in range(20000))
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(wrap(lines)[:-400])
    found = list(importing.read(path))
    assert isinstance(found[-1], RejectedRecord) and "damaged" in found[-1].reason
    assert sum(isinstance(one, Imported) for one in found) > 1000


def test_utf16_says_how_to_convert(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINES.decode().encode("utf-16"))
    with pytest.raises(InputError, match="UTF-16"):
        list(importing.read(path))


@pytest.mark.parametrize("name", ["a.xlsx", "a.jsonl", "a.csv"])
def test_a_zip_archive_says_what_it_is(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(InputError, match="Excel workbook") as raised:
        importing.sniff(tmp_path / name)
    assert "CSV" in raised.value.hint


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: zstandard.compress(data, 19)])
def test_a_small_file_that_unpacks_without_end_is_refused_before_it_fills_the_memory(tmp_path, pack):
    path = tmp_path / "a.jsonl"
    # What a line of text says and two hundred MiB of spaces behind it.
    path.write_bytes(pack(LINES + b" " * (200 << 20)))
    with (
        pytest.raises(InputError, match="unpacks to more than 500 times its size"),
        reading.opened(path) as file,
    ):
        most = 0
        while part := file.read(1 << 20):
            most = max(most, len(file.raw._ready))
            assert len(part) <= 1 << 20
    assert most <= 40 << 20
