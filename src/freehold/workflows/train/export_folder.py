"""The folder of an export: made next to its place, and moved there in one step."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from freehold.errors import StorageError, UsageError
from freehold.files import shared
from freehold.training.output.artefacts import sha256_of

README = "README.md"

Files = dict[str, str]
"""File name to sha256."""


@contextlib.contextmanager
def export_folder(target: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of `target` at the end; other programs and users may read it.

    Raises `UsageError` where the place is taken, before anything is written, and `StorageError` where the disk refuses;
    what was there then stays.
    """
    may_replace(target)
    partial = target.with_name(target.name + ".partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        with shared(partial):
            partial.mkdir(parents=True)
            yield partial
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    except OSError as error:
        raise StorageError(
            f"{target}: cannot be written: {error.strerror or error}",
            hint="free some space, or choose --out FOLDER",
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def hashes_of(folder: Path) -> Files:
    """The sha256 of each file below a folder, by its name relative to that."""
    return {
        str(path.relative_to(folder)): sha256_of(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }


def bytes_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def may_replace(target: Path) -> None:
    """Raise `UsageError` unless the place is free, empty or holds an earlier export."""
    if not target.exists():
        return
    card = target / README
    ours = card.is_file() and "made by: freehold" in card.read_text(encoding="utf-8", errors="replace")
    if target.is_dir() and (ours or not any(target.iterdir())):
        return
    raise UsageError(
        f"{target} exists and is not an export of freehold", hint="choose another place: --out FOLDER"
    )
