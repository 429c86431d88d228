"""Reading a GGUF file's metadata once, where transformers reads it for configuration, weights and tokenizer.

One reading of a vocabulary of 49,000 tokens takes three seconds of Python (gguf 0.19, 2026-11-25); loading a base did
four of them.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def parsed_once() -> Iterator[None]:
    """Within the block, a `gguf.GGUFReader` of a file that was read before is the same reader.

    Readers map the file read-only and are not changed by those who use them. Not for threads: the name in the
    library is replaced until the block ends.
    """
    library: Any = importlib.import_module("gguf")
    original = library.GGUFReader
    readers: dict[Path, Any] = {}

    def reader(path: Any, mode: str = "r") -> Any:
        if mode != "r":
            return original(path, mode)
        place = Path(path).resolve()
        if place not in readers:
            readers[place] = original(path, mode)
        return readers[place]

    library.GGUFReader = reader
    try:
        yield
    finally:
        library.GGUFReader = original
