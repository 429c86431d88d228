"""A router: foretells from the request alone whether the candidate will answer as well as the incumbent.

It reads the user's turns as pieces of words and letters, each hashed to one of a fixed number of weights, and sums
them to log-odds. One request of 2 KB takes a few tenths of a millisecond, in one thread, without a model.
`freehold.deferring.learning` learns the weights.

A router's file is a text that says so and its version, then the weights and the intercept as 32-bit floats. Only a file
with the hash that the rule names is read, and only one whose every number is as it must be.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from freehold import files
from freehold.errors import StorageError
from freehold.late import np
from freehold.types.deferral import RouterFiles

if TYPE_CHECKING:
    import numpy.typing as npt

MAGIC = b"freehold router 2\n"
WORD_WEIGHTS, LETTER_WEIGHTS = 1 << 15, 1 << 16
WEIGHTS = WORD_WEIGHTS + LETTER_WEIGHTS
LETTERS = (3, 4, 5)
"""Lengths of the pieces of letters, in bytes."""
LARGEST_WEIGHT = 1e4
_FILE_BYTES = len(MAGIC) + 4 * (WEIGHTS + 1)
_WORD = re.compile(r"\w+|[^\w\s]")
_MULTIPLIER = 0x9E3779B97F4A7C15
_AGAIN = "freehold defer plan makes it again"


class Router:
    """A router in memory. Safe in several threads at once."""

    def __init__(self, weights: npt.NDArray[np.float32], intercept: float) -> None:
        self._weights, self._intercept = weights, intercept

    @classmethod
    def load(cls, router: RouterFiles) -> Router:
        """The router at that place. Raises `StorageError` for a file that is missing, not the one with that hash, of
        another version, or not a router."""
        path = Path(router.path)
        try:
            with path.open("rb") as file:
                data = file.read(_FILE_BYTES + 1)
        except OSError as error:
            raise StorageError(
                f"{path}: the router cannot be read: {error.strerror or error}", hint=_AGAIN
            ) from None
        found = hashlib.sha256(data).hexdigest()
        if found != router.sha256:
            raise StorageError(
                f"{path}: the router is not the one that was proven (sha256 {found[:12]}…, expected "
                f"{router.sha256[:12]}…)",
                hint=_AGAIN,
            )
        try:
            return cls.of(data)
        except ValueError as error:
            raise StorageError(f"{path}: this is not a router: {error}", hint=_AGAIN) from None

    @classmethod
    def of(cls, data: bytes) -> Router:
        """The router that `packed` made these bytes of. Raises `ValueError` for others."""
        if not data.startswith(MAGIC) or len(data) != _FILE_BYTES:
            raise ValueError("it does not begin as one of this version, or has another length")
        numbers = np.frombuffer(data, dtype="<f4", offset=len(MAGIC)).astype(np.float32)
        if not np.all(np.abs(numbers) <= LARGEST_WEIGHT):
            raise ValueError(f"a weight is not a number between −{LARGEST_WEIGHT:g} and {LARGEST_WEIGHT:g}")
        return cls(numbers[:-1], float(numbers[-1]))

    def score_text(self, text: str) -> float:
        """The log-odds that the candidate's answer to a request of which `request_text` gave this is as good as the
        incumbent's, before calibration."""
        total = self._intercept
        for found in places(text):
            if len(found):
                total += float(self._weights[found].sum(dtype=np.float64)) / math.sqrt(len(found))
        return total


def packed(weights: npt.NDArray[np.floating], intercept: float) -> bytes:
    """A router's file."""
    numbers = np.clip(np.append(weights, intercept), -LARGEST_WEIGHT, LARGEST_WEIGHT)
    return MAGIC + bytes(numbers.astype("<f4").tobytes())


def write_router(data: bytes, folder: Path) -> RouterFiles:
    """Write a router into `folder` under a name of its content. Raises `StorageError`."""
    sha256 = hashlib.sha256(data).hexdigest()
    path = folder / f"router-{sha256[:16]}.bin"
    with files.writing(
        f"{path}: the router cannot be written", hint="free some space, then run the command again"
    ):
        folder.mkdir(parents=True, exist_ok=True)
        files.write(path, data)
    return RouterFiles(path=str(path), sha256=sha256)


def places(text: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Which weights a text has: of its words and pairs of words, and of its pieces of letters. The same everywhere,
    since nothing depends on Python's own, changing hash."""
    plain = text.lower()
    words = [word.encode("utf-8", "replace") for word in _WORD.findall(plain)]
    length = b"\x00%d" % len(plain).bit_length()
    pairs = [one + b"\x01" + other for one, other in itertools.pairwise(words)]
    hashed = np.array([zlib.crc32(piece) for piece in (length, *words, *pairs)], dtype=np.int64)
    return hashed % WORD_WEIGHTS, WORD_WEIGHTS + _letter_places(b" " + b" ".join(words) + b" ")


def _letter_places(data: bytes) -> npt.NDArray[np.int64]:
    letters = np.frombuffer(data, dtype=np.uint8).astype(np.uint64)
    found = []
    for length in LETTERS:
        if len(letters) < length:
            continue
        windows = np.lib.stride_tricks.sliding_window_view(letters, length)
        whole = np.full(len(windows), length, dtype=np.uint64)
        for column in range(length):
            whole = (whole << np.uint64(8)) | windows[:, column]
        mixed = whole * np.uint64(
            _MULTIPLIER
        )  # Fibonacci hashing (Knuth 1973, section 6.4): the high bits are mixed
        found.append((mixed >> np.uint64(64 - LETTER_WEIGHTS.bit_length() + 1)).astype(np.int64))
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)
