"""A page of memory that processes share, and what becomes of it when its file goes."""

import fcntl
import os

import pytest

from freehold.gateway.limits.shared_page import SharedPage


def test_what_one_writes_the_others_read(tmp_path):
    one, other = SharedPage(tmp_path / "page", 64), SharedPage(tmp_path / "page", 64)
    with one.locked() as page:
        page[:5] = b"hello"
    with other.locked() as page:
        assert page[:5] == b"hello"
    assert (tmp_path / "page").stat().st_mode & 0o777 == 0o600


def test_a_page_that_another_holds_is_an_error(tmp_path):
    mine = SharedPage(tmp_path / "page", 64)
    file = os.open(tmp_path / "page", os.O_RDWR)
    fcntl.flock(file, fcntl.LOCK_EX)
    with pytest.raises(TimeoutError), mine.locked():
        pass
    os.close(file)
    with mine.locked() as page:
        assert page[:] == bytes(64)


def test_a_removed_file_is_followed_by_all(tmp_path):
    pages = [SharedPage(tmp_path / "page", 64) for _ in range(3)]
    with pages[0].locked() as page:
        page[0] = 7
    (tmp_path / "page").unlink()
    for number, each in enumerate(pages):
        with each.locked() as page:
            assert page[0] == 7 + number
            page[0] += 1


def test_a_disk_without_room_is_an_error_at_once(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        SharedPage(tmp_path / "page", 64)
