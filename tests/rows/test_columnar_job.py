"""Parquet and Arrow files that unpack to far more than they are, and honest ones that repeat themselves."""

import datetime
import decimal
import resource

import pytest
from tests.rows.written import CHATS

from freehold.errors import InputError
from freehold.rows.reading import rows as arrow_rows

pytestmark = pytest.mark.process

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
MIB = 1 << 20


def write_arrow(table, path, **options):
    with pyarrow.ipc.new_file(
        str(path), table.schema, options=pyarrow.ipc.IpcWriteOptions(**options)
    ) as writer:
        writer.write_table(table)


def one_value_in_many_rows(size, rows):
    """A column whose only value, `size` bytes, is stored once."""
    return pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * rows, pyarrow.int32()), ["x" * size])


def pages_of_zeros(path):
    """A row group of 1 GiB in some 100 KB."""
    table = pyarrow.table({"text": pyarrow.array(["\0" * (32 * MIB)] * 4)})
    parquet.write_table(table, path, compression="zstd", use_dictionary=False)


def a_dictionary(path):
    """Pages are small and say so; only the rows are long."""
    table = pyarrow.table({"text": one_value_in_many_rows(MIB, 3000)})
    parquet.write_table(table, path, compression="zstd")


def empty_rows(path):
    table = pyarrow.table({"text": pyarrow.nulls(20_000_000, pyarrow.string())})
    parquet.write_table(table, path, compression="zstd", row_group_size=20_000_000)


def arrow_buffers_of_zeros(path):
    table = pyarrow.table({"text": pyarrow.array(["\0" * (32 * MIB)] * 4)})
    write_arrow(table, path, compression="zstd")


def an_arrow_dictionary(path):
    write_arrow(pyarrow.table({"text": one_value_in_many_rows(MIB, 3000)}), path, compression="zstd")


BOMBS = [
    (pages_of_zeros, "parquet"),
    (a_dictionary, "parquet"),
    (empty_rows, "parquet"),
    (arrow_buffers_of_zeros, "arrow"),
    (an_arrow_dictionary, "arrow"),
]


@pytest.mark.parametrize(("make", "kind"), BOMBS, ids=[make.__name__ for make, _ in BOMBS])
def test_a_bomb_is_refused_before_it_fills_the_memory(tmp_path, make, kind):
    path = tmp_path / f"bomb.{kind}"
    make(path)
    assert path.stat().st_size < MIB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=r"unpacks to more than 500 times|within bounds of memory"):
        for _ in arrow_rows(path, kind):
            pass
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 512 * 1024, "KiB: it is read in another process, and a piece at a time here"


def test_what_a_file_says_of_its_pages_is_not_believed(tmp_path):
    """A page that claims 2 GB: the library allocates what it says, within the limit of its process."""
    path = tmp_path / "lies.parquet"
    table = pyarrow.table({"text": pyarrow.array([f"row {n} " * 20 for n in range(5000)])})
    parquet.write_table(table, path, compression="snappy", use_dictionary=False, write_statistics=False)
    data = bytearray(path.read_bytes())
    claimed = parquet.ParquetFile(path).metadata.row_group(0).column(0)
    header = bytes(data[claimed.data_page_offset : claimed.data_page_offset + 12])
    assert header[:3] == b"\x15\x00\x15", "a data page, then its unpacked size as a varint"
    end = next(n for n in range(3, 12) if not header[n] & 0x80) + 1
    longest = bytes([0xFF] * (end - 4) + [0x7F])[: end - 3]
    data[claimed.data_page_offset + 3 : claimed.data_page_offset + end] = longest
    path.write_bytes(data)
    with pytest.raises(InputError):
        list(arrow_rows(path, "parquet"))
    good = tmp_path / "good.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(CHATS), good)
    assert len(list(arrow_rows(good, "parquet"))) == 5, "the next file is read"


def test_rows_of_all_kinds_come_back(tmp_path):
    row = {
        "text": "grüße",
        "nested": [{"role": "user", "content": "hi"}],
        "at": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
        "day": datetime.date(2026, 1, 2),
        "price": decimal.Decimal("1.50"),
        "raw": b"\xff",
        "number": float("inf"),
        "nothing": None,
    }
    table = pyarrow.Table.from_pylist([row, {**row, "nothing": "x"}])
    parquet.write_table(table, tmp_path / "a.parquet")
    write_arrow(table, tmp_path / "a.arrow")
    for name in ("a.parquet", "a.arrow"):
        first, second = (found.value for found in arrow_rows(tmp_path / name, name.partition(".")[2]))
        expected = {**row, "day": "2026-01-02", "price": "1.50"}
        assert second == {**expected, "nothing": "x"}
        assert first == {key: value for key, value in expected.items() if key != "nothing"}


def test_a_file_cut_off_is_told(tmp_path):
    table = pyarrow.table({"text": [f"row {n}" for n in range(5000)]})
    with (
        pyarrow.OSFile(str(tmp_path / "a.arrow"), "wb") as sink,
        pyarrow.ipc.new_stream(sink, table.schema) as writer,
    ):
        for batch in table.to_batches(max_chunksize=1000):
            writer.write_batch(batch)
    data = (tmp_path / "a.arrow").read_bytes()
    (tmp_path / "a.arrow").write_bytes(data[: len(data) // 2])
    *good, last = arrow_rows(tmp_path / "a.arrow", "arrow")
    assert good and all(row.problem is None for row in good)
    assert "damaged from here on" in last.problem
