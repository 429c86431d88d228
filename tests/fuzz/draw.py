"""Inputs of a fuzzer read as choices: which seed, what is changed in it, where a stream is cut.

A fuzzer changes bytes. Read as choices, each changed byte still gives sound JSON, or nearly: so it reaches what comes
after the JSON decoder, which a fuzzer that changes the text itself seldom does.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any

MOST_CHANGES = 6
MOST_FLIPS = 3
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 1.5, -0.0, 1e308, 2**31, 2**53, 2**63, 2**64, 10**30, "", " ", "x", "0", "-1", "NaN",
    "user", "assistant", "tool", "text", "\ud800", "\x00", "\r\n\r\n", "é😀", "a" * 300, "{", '{"a": 1}', "[DONE]",
    "1970-01-01T00:00:00Z", "9999-99-99", "data:,", [], {}, [None], [[]], [{}], {"type": "text"}, {"": None},
    {"type": None}, {"role": 1}, ["x", 1, None], {"error": "x"},
)  # fmt: skip
"""What takes the place of a value: types and sizes that an API's description rules out."""


class Draw:
    """Bytes, taken from the front; zeros once they are used up."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def __bool__(self) -> bool:
        """Whether something is left."""
        return self.at < len(self.data)

    def below(self, count: int) -> int:
        """A number from 0 to below `count`."""
        width = 1 if count <= 256 else 2
        return int.from_bytes(self.take(width).ljust(width, b"\0"), "big") % count

    def one_of(self, choices: Sequence[Any]) -> Any:
        return choices[self.below(len(choices))]

    def take(self, count: int) -> bytes:
        taken = self.data[self.at : self.at + count]
        self.at += count
        return taken

    def rest(self) -> bytes:
        return self.take(max(0, len(self.data) - self.at))


def changed(draw: Draw, seed: Any) -> Any:
    """A JSON value with a few of its parts replaced, left out, doubled, wrapped, or moved."""
    root = {"": copy.deepcopy(seed)}
    for _ in range(draw.below(MOST_CHANGES)):
        places = list(_places(root))
        holder, key = draw.one_of(places)
        match draw.below(8):
            case 0 | 1 | 2:
                holder[key] = copy.deepcopy(draw.one_of(ODD))
            case 3 if holder is not root:
                del holder[key]
            case 4:
                other, at = draw.one_of(places)
                holder[key] = copy.deepcopy(other[at]) if _holds(other, at) else None
            case 5:
                holder[key] = [holder[key]]
            case 6 if isinstance(holder, list):
                holder.insert(key, copy.deepcopy(holder[key]))
            case _:
                for _ in range(draw.below(60)):
                    holder[key] = [holder[key]] if draw.below(2) else {"type": holder[key]}
    return root.get("")


def _holds(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)


def _places(value: Any) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from _places(inner)


def text_of(draw: Draw, seed: Any) -> bytes:
    """A changed value as JSON, sometimes with a byte of the text changed as well."""
    return flipped(draw, json.dumps(changed(draw, seed)).encode())


def flipped(draw: Draw, data: bytes) -> bytes:
    """Bytes with a few of them overwritten, left out or inserted; most often none."""
    flips = draw.below(MOST_FLIPS * 4)
    for _ in range(flips if flips < MOST_FLIPS else 0):
        at = draw.below(len(data) + 1)
        new = draw.take(1)
        data = data[:at] + new + data[at + draw.below(3) :]
    return data


def pieces(draw: Draw, data: bytes) -> list[bytes]:
    """A stream cut in up to four pieces, or in single bytes."""
    if len(data) < 2000 and draw.below(16) == 0:
        return [data[at : at + 1] for at in range(len(data))]
    cuts = sorted(draw.below(len(data) + 1) for _ in range(draw.below(4)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
