import random
import sqlite3

import pytest

from freehold.store.care.walk import PagesOfFile

ROWS = [
    (
        number,
        None if number % 3 else number * 10**9,
        f"text {number}",
        bytes([number % 256]) * (number * 37),
        1.5,
    )
    for number in range(1, 300)
]


@pytest.fixture(params=[1024, 4096])
def path(request, tmp_path):
    connection = sqlite3.connect(tmp_path / "s")
    connection.execute(f"PRAGMA page_size={request.param}")
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b INTEGER, c TEXT, d BLOB, e REAL)")
    connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", ROWS)
    connection.commit()
    connection.close()
    return tmp_path / "s"


def rows_of(path):
    """Rows of the table t: a key that is the row's number is not stored again."""
    cells = [cell for cell in PagesOfFile(path).cells() if len(cell.values) == 5 and cell.values[0] is None]
    return sorted((cell.rowid, *cell.values[1:]) for cell in cells)


def test_rows_of_all_types_and_lengths_are_as_sqlite_reads_them(path):
    assert rows_of(path) == ROWS


def test_pages_of_the_freelist_are_passed_over(path):
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM t WHERE a > 20")
    connection.commit()
    connection.close()
    assert PagesOfFile(path).free()
    assert rows_of(path) == ROWS[:20]


def test_bytes_that_are_no_database_give_no_rows(tmp_path):
    chance = random.Random(1)
    for size in (0, 10, 100, 5000, 40_000):
        (tmp_path / "x").write_bytes(chance.randbytes(size))
        assert len(list(PagesOfFile(tmp_path / "x").cells())) < 50
    pages = PagesOfFile(tmp_path / "x")
    with pytest.raises(ValueError, match="no such page"):
        pages.page(0)
