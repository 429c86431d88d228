"""Samples on disk come back by their rows, also while more are written."""

import pytest

from freehold.datasets.spool import Rows, SampleSpool
from freehold.errors import StorageError
from freehold.types.dataset import Message, Sample


def sample(number):
    return Sample(id=str(number), messages=(Message(role="user", content=f"question {number} 📦"),), gold="x")


def test_rows_come_back_as_they_went_in_also_between_writes():
    spool = SampleSpool()
    for number in range(3):
        spool.append(sample(number))
    assert (len(spool), spool[0], spool[2]) == (3, sample(0), sample(2))
    spool.append(sample(3))
    assert spool[3] == sample(3) and spool[1] == sample(1)


def test_some_rows_in_another_order_are_a_sequence():
    spool = SampleSpool()
    for number in range(5):
        spool.append(sample(number))
    rows = Rows(spool, [4, 0, 2])
    assert [one.id for one in rows] == ["4", "0", "2"]
    assert [one.id for one in rows[1:]] == ["0", "2"]
    assert len(rows) == 3 and rows[-1].id == "2"


def test_a_row_that_is_not_there_is_an_error():
    spool = SampleSpool()
    spool.append(sample(0))
    with pytest.raises(IndexError):
        spool[1]


def test_a_folder_that_takes_no_file_is_told(tmp_path):
    with pytest.raises(StorageError, match="samples cannot be kept on the way"):
        SampleSpool(tmp_path / "none")
