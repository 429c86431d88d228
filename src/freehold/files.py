"""Files written whole or not at all, and what an `OSError` becomes.

Covered: a reader sees the old content or the new, never a part; a full disk or a kill leaves the old file.
Not covered: `replacing` expects one writer of a file at a time; power loss, except where `durable` is asked for.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from freehold.errors import InputError, StorageError


@contextmanager
def replacing(target: Path, *, durable: bool = False) -> Iterator[Path]:
    """A path next to `target` to write to; it takes the target's place at the end and is removed by an error.

    `durable` waits until the content is on the disk. Raises `OSError`.
    """
    with _replacing(target, target.with_name(f"{target.name}.partial"), durable=durable) as partial:
        yield partial


def write(target: Path, content: bytes | str, *, private: bool = False, durable: bool = False) -> None:
    """Replace a file in one step; several processes may do so at once. Raises `OSError`.

    Only this user may read a `private` one. `durable` waits until the content is on the disk.
    """
    partial_path = target.with_name(f"{target.name}.{os.getpid()}.partial")
    with _replacing(target, partial_path, durable=durable) as partial:
        if private:
            partial.touch(mode=0o600)
            partial.chmod(0o600)
        if isinstance(content, str):
            partial.write_text(content, encoding="utf-8")
        else:
            partial.write_bytes(content)


def write_json(target: Path, value: Any) -> None:
    """Replace a file by `value` as indented JSON, in one step, and make its folder. Raises `OSError`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    write(target, msgspec.json.format(msgspec.json.encode(value)) + b"\n")


@contextmanager
def _replacing(target: Path, partial: Path, *, durable: bool = False) -> Iterator[Path]:
    try:
        yield partial
        if durable:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
        partial.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


@contextmanager
def reading(path: Path | str, *, hint: str | None = None) -> Iterator[None]:
    """Turn an `OSError` into an `InputError` that names `path`."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path=str(path), hint=hint) from None


@contextmanager
def writing(message: str, *, hint: str | None = None) -> Iterator[None]:
    """Turn an `OSError` into a `StorageError`: `message`, then what the system said."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{message}: {error.strerror or error}", hint=hint) from None
