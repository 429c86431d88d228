"""Rows of Parquet and Arrow files, read in a process that `freehold.bounded` keeps and a limit of memory ends.

Such a file says itself how long its pages, buffers and dictionaries are, in numbers that nothing holds it to, and the
library allocates what they say. One value that is stored once may stand in a million rows.

A job's parts: a token of the reading, the path, the kind, and how many rows were told before. Its answer: how it stands
(``rows``, ``end``, ``damaged``, ``packed``), the rows, and words on it.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow
import pyarrow.ipc
import pyarrow.parquet

from freehold import files
from freehold.visible import GIB, MIB

MEMORY_BYTES = 2 * GIB
"""What reading may take beyond what the process has: some batches of the longest honest rows."""
_BATCH_BYTES = 16 * MIB
_ROWS_MAX = 1000
_ANSWER_BYTES = 8 * MIB
_OPEN_MAX = 16
_PAGE_BYTES = 4096
_readings: dict[bytes, Iterator[bytes]] = {}


class _Info(msgspec.Struct, frozen=True):
    features: dict[str, Any] = {}


class _Noted(msgspec.Struct):
    """What Hugging Face's datasets notes in a file."""

    info: _Info = _Info()


class _PackedError(Exception):
    """The file says of itself that it unpacks to this many bytes."""


def rows(parts: Sequence[bytes]) -> list[bytes]:
    """The next rows of a file, each a MessagePack map."""
    token, path, container, told = parts
    if told == b"0":
        while len(_readings) >= _OPEN_MAX:
            del _readings[next(iter(_readings))]
        _limit_memory()
        _readings[token] = _encoded(Path(path.decode("utf-8", "surrogateescape")), container.decode())
    reading = _readings.get(token)
    if reading is None:
        return [b"damaged", b"\x90", b"its reader has ended"]
    found: list[msgspec.Raw] = []
    size, standing, why = 0, b"end", b""
    try:
        for row in reading:
            found.append(msgspec.Raw(row))
            size += len(row)
            if len(found) >= _ROWS_MAX or size >= _ANSWER_BYTES:
                standing = b"rows"
                break
    except MemoryError:
        raise
    except _PackedError as error:
        standing, why = b"packed", str(error).encode()
    except (OSError, pyarrow.ArrowException, UnicodeDecodeError, RecursionError) as error:
        standing, why = b"damaged", str(error).encode("utf-8", "replace")
    if standing != b"rows":
        _readings.pop(token, None)
    return [standing, msgspec.msgpack.encode(found), why]


def close(parts: Sequence[bytes]) -> list[bytes]:
    """Forget a reading that is not wanted to its end."""
    _readings.pop(parts[0], None)
    return []


def _limit_memory() -> None:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, ValueError):  # not Linux: the ratio holds there
        return
    resource.setrlimit(resource.RLIMIT_AS, (pages * _PAGE_BYTES + MEMORY_BYTES, resource.RLIM_INFINITY))


def _encoded(path: Path, container: str) -> Iterator[bytes]:
    labels: dict[str, list[str]] | None = None
    for batch in _batches(path, container):
        labels = _class_names(batch.schema.metadata) if labels is None else labels
        step = max(1, min(_ROWS_MAX, _BATCH_BYTES * batch.num_rows // max(1, batch.nbytes)))
        for start in range(0, batch.num_rows, step):
            for value in batch.slice(start, step).to_pylist():
                for name, names in labels.items():
                    if isinstance(value.get(name), int) and 0 <= value[name] < len(names):
                        value[name] = names[value[name]]
                yield msgspec.msgpack.encode(value, enc_hook=str)


def _batches(path: Path, container: str) -> Iterator[Any]:
    if container == "parquet":
        with pyarrow.parquet.ParquetFile(path) as file:
            groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
            unpacked = sum(group.total_byte_size for group in groups)
            if files.is_beyond(path.stat().st_size, unpacked):
                raise _PackedError(unpacked)
            longest = max((group.total_byte_size // max(1, group.num_rows) for group in groups), default=0)
            size = max(1, min(_ROWS_MAX, _BATCH_BYTES // max(1, longest)))
            yield from file.iter_batches(batch_size=size, use_threads=False)
        return
    with path.open("rb") as start:
        magic = start.read(6)
    options = pyarrow.ipc.IpcReadOptions(use_threads=False)
    if magic == b"ARROW1":
        with pyarrow.ipc.open_file(str(path), options=options) as reader:
            for index in range(reader.num_record_batches):
                yield reader.get_batch(index)
    else:  # Hugging Face's datasets writes streams
        with (
            pyarrow.OSFile(str(path)) as source,
            pyarrow.ipc.open_stream(source, options=options) as stream,
        ):
            yield from stream


def _class_names(metadata: dict[bytes, bytes] | None) -> dict[str, list[str]]:
    """Names of Hugging Face's `ClassLabel` columns, whose cells are numbers."""
    try:
        noted = msgspec.json.decode((metadata or {}).get(b"huggingface", b"{}"), type=_Noted)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    features = noted.info.features
    return {
        name: feature["names"]
        for name, feature in features.items()
        if isinstance(feature, dict) and isinstance(feature.get("names"), list)
    }


JOBS = {"rows": rows, "close": close}
