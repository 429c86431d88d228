"""Rows straight from the pages of a SQLite file, for one whose trees no longer lead to them.

The file's format is https://www.sqlite.org/fileformat2.html: leaf pages of tables (section 1.6), records (2.1), the
freelist (1.5). Pages of the freelist are passed over: what was deleted stays deleted.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

Value = int | float | str | bytes | None
_LEAF = 0x0D
_PAGE_SIZES = (512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536)
_MOST_COLUMNS = 64


class Cell(NamedTuple):
    """One row: its number and its values, in the order of the table's columns."""

    rowid: int
    values: list[Value]


class PagesOfFile:
    """The pages of a SQLite file, read as bytes."""

    def __init__(self, file: Path) -> None:
        self._data = file.read_bytes()
        size = int.from_bytes(self._data[16:18], "big")
        size = 65_536 if size == 1 else size
        self.size = size if size in _PAGE_SIZES else 4096
        reserved = self._data[20] if len(self._data) > 20 else 0
        self._usable = self.size - (reserved if reserved < 64 else 0)
        self.count = len(self._data) // self.size

    def page(self, number: int) -> bytes:
        """A page by its number from 1 on. Raises `ValueError` for one outside the file."""
        if not 1 <= number <= self.count:
            raise ValueError("no such page")
        return self._data[(number - 1) * self.size : number * self.size]

    def free(self) -> set[int]:
        """The pages of the freelist; those that can be followed, where it is broken."""
        found: set[int] = set()
        trunk = int.from_bytes(self._data[32:36], "big")
        while trunk and trunk not in found and 1 <= trunk <= self.count:
            found.add(trunk)
            page = self.page(trunk)
            following, leaves = struct.unpack_from(">II", page)
            leaves = min(leaves, (self._usable - 8) // 4)
            found.update(struct.unpack_from(f">{leaves}I", page, 8))
            trunk = following
        return found

    def cells(self) -> Iterator[Cell]:
        """Every row of every leaf page that can be read. Rows that cannot be are passed over."""
        free = self.free()
        for number in range(1, self.count + 1):
            if number in free:
                continue
            page = self.page(number)
            head = 100 if number == 1 else 0
            if page[head] != _LEAF:
                continue
            count = int.from_bytes(page[head + 3 : head + 5], "big")
            for index in range(min(count, self.size // 6)):
                at = head + 8 + 2 * index
                try:
                    yield self._cell(page, int.from_bytes(page[at : at + 2], "big"))
                except (ValueError, IndexError, struct.error):
                    continue

    def _cell(self, page: bytes, at: int) -> Cell:
        length, at = _varint(page, at)
        rowid, at = _varint(page, at)
        return Cell(rowid if rowid < 1 << 63 else rowid - (1 << 64), _values(self._payload(page, at, length)))

    def _payload(self, page: bytes, at: int, length: int) -> bytes:
        if length > len(self._data):
            raise ValueError("longer than the file")
        usable = self._usable
        most, least = usable - 35, (usable - 12) * 32 // 255 - 23
        local = length
        if length > most:
            local = least + (length - least) % (usable - 4)
            local = local if local <= most else least
        payload = bytearray(page[at : at + local])
        overflow = int.from_bytes(page[at + local : at + local + 4], "big") if local < length else 0
        while len(payload) < length:
            more = self.page(overflow)
            overflow = int.from_bytes(more[:4], "big")
            payload += more[4 : min(usable, 4 + length - len(payload))]
        return bytes(payload)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(9):
        byte = data[at + index]
        if index == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    raise ValueError("not a number")


_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


def _values(payload: bytes) -> list[Value]:
    """The values of a record. Raises `ValueError` where its head and its length contradict each other."""
    end, at = _varint(payload, 0)
    kinds: list[int] = []
    while at < end and len(kinds) <= _MOST_COLUMNS:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    values: list[Value] = []
    at = end
    for kind in kinds:
        if kind == 0:
            values.append(None)
            continue
        if kind in (8, 9):
            values.append(kind - 8)
            continue
        size = _INTEGERS.get(kind) or (8 if kind == 7 else (kind - 12) // 2)
        if kind in (10, 11) or at + size > len(payload):
            raise ValueError("not a record")
        raw = payload[at : at + size]
        at += size
        if kind in _INTEGERS:
            values.append(int.from_bytes(raw, "big", signed=True))
        elif kind == 7:
            values.append(struct.unpack(">d", raw)[0])
        else:
            values.append(raw if kind % 2 == 0 else raw.decode(errors="replace"))
    if at != len(payload):
        raise ValueError("not a record")
    return values
