"""Files written whole or not at all, for whose eyes they are, and what an `OSError` becomes.

Nearly all that freehold writes holds customers' words or was made from them: datasets, answers, reports, logs, caches.
So it is the process that is private, not each writer: `keep_private` is the first thing that freehold's processes do,
and what is written from then on, by libraries and child processes too, is for this user only. What a user asks for to
hand it round (`freehold.toml`, an export, a page of costs, pulled weights) is written inside `shared`.

Covered: a reader sees the old content or the new, never a part; a full disk or a kill leaves the old file; a file that
is replaced keeps its rights. A device, a pipe and `/dev/stdout` are written into, once all is there, not replaced.
Not covered: `replacing` expects one writer of a file at a time; power loss, except where `durable` is asked for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from freehold.errors import InputError, StorageError

_PRIVATE_UMASK = 0o077
_users_umask: int | None = None


def keep_private() -> None:
    """Files and folders that this process and its children make from here on are for this user only."""
    global _users_umask
    before = os.umask(_PRIVATE_UMASK)
    if _users_umask is None:
        _users_umask = before


@contextmanager
def shared(target: Path) -> Iterator[None]:
    """The file or folder `target` that is made in the block gets the rights that the user's umask gives, with the
    folders above it that are made for it and all that is new in it. What was there before keeps its rights.

    Where `keep_private` was never called nothing has to be done. Raises `OSError`.
    """
    before = {path: path.stat().st_mode for path in (target, *target.parents) if path.exists()}
    before.update({path: path.lstat().st_mode for path in target.rglob("*")} if target.is_dir() else {})
    yield
    for path in (target, *target.parents, *(target.rglob("*") if target.is_dir() else ())):
        if path not in before:
            _share(path)


def share(target: Path, *, up_to: Path) -> None:
    """The same for what is there already: `target`, all in it, and the folders above it up to `up_to`. Raises
    `OSError`."""
    above = [path for path in target.parents if path == up_to or up_to in path.parents]
    for path in (target, *above, *(target.rglob("*") if target.is_dir() else ())):
        _share(path)


def _share(path: Path) -> None:
    if _users_umask is not None and path.exists() and not path.is_symlink():
        most = 0o777 if path.is_dir() or path.stat().st_mode & 0o100 else 0o666
        path.chmod(most & ~_users_umask)


@contextmanager
def replacing(target: Path, *, durable: bool = False) -> Iterator[Path]:
    """A path next to `target` to write to; it takes the target's place at the end and is removed by an error.

    `durable` waits until the content is on the disk. Raises `OSError`.
    """
    with _replacing(target, _beside(target, "partial"), durable=durable) as partial:
        yield partial


def path_in_url(path: str) -> str:
    """The path of a file that a URL names: without escapes, but as it is written where only such a file is there.
    SQLAlchemy before 2.1 took a path as it was written, and so do stores that were made with it."""
    plain = unquote(path)
    return path if plain != path and Path(path).exists() and not Path(plain).exists() else plain


def write(target: Path, content: bytes | str, *, private: bool = False, durable: bool = False) -> None:
    """Replace a file in one step; several processes may do so at once. Raises `OSError`.

    Only this user may read a `private` one. `durable` waits until the content is on the disk.
    """
    partial_path = _beside(target, f"{os.getpid()}.partial")
    with _replacing(target, partial_path, private=private, durable=durable) as partial:
        if private:
            partial.touch(mode=0o600)
            partial.chmod(0o600)
        if isinstance(content, str):
            partial.write_text(content, encoding="utf-8")
        else:
            partial.write_bytes(content)


def write_json(target: Path, value: Any) -> None:
    """Replace a file by `value` as indented JSON, in one step, and make its folder. Raises `OSError`."""
    import msgspec  # late: the command line needs this module before anything else, and not msgspec

    target.parent.mkdir(parents=True, exist_ok=True)
    write(target, msgspec.json.format(msgspec.json.encode(value)) + b"\n")


def _beside(target: Path, ending: str) -> Path:
    if not target.name:  # `.` and `/`
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    return target.with_name(f"{target.name}.{ending}")


@contextmanager
def _replacing(
    target: Path, partial: Path, *, private: bool = False, durable: bool = False
) -> Iterator[Path]:
    if _is_stream(target):
        with _writing_into(target) as partial:
            yield partial
        return
    try:
        yield partial
        if durable:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
        if not private:
            with contextlib.suppress(OSError):
                partial.chmod(stat.S_IMODE(target.stat().st_mode))
        partial.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def _is_stream(target: Path) -> bool:
    """Whether it is written to and no file: a file in the place of `/dev/null` would break most programs."""
    try:
        mode = target.stat().st_mode
    except OSError:
        return False
    own = target.is_symlink() and target.absolute().parts[1:2] in (("dev",), ("proc",))
    return own or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextmanager
def _writing_into(target: Path) -> Iterator[Path]:
    import shutil  # late, as in `write_json`
    import tempfile

    with tempfile.TemporaryDirectory(prefix="freehold-") as folder:
        made = Path(folder) / "made"
        yield made
        # A stream of this process by its number: opened again by its name, a file would be written from its beginning.
        number = {"/dev/stdout": "1", "/dev/stderr": "2"}.get(str(target), target.name)
        own = str(target) in ("/dev/stdout", "/dev/stderr") or str(target.parent) in (
            "/dev/fd",
            "/proc/self/fd",
        )
        place: int | Path = os.dup(int(number)) if own and number.isdigit() else target
        with made.open("rb") as content, open(place, "wb") as into:  # noqa: PTH123 - of a number or a path
            shutil.copyfileobj(content, into)


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


FREE_BYTES = 64 * 1024 * 1024
"""Up to this any file may unpack to."""
RATIO_MAX = 500
"""Beyond it, this many times its packed size; logs of the most repetitive traffic reach a hundred."""


def is_beyond(packed_bytes: int, unpacked_bytes: int) -> bool:
    """Whether that is more than an honest file unpacks to."""
    return unpacked_bytes > FREE_BYTES and unpacked_bytes > RATIO_MAX * packed_bytes


def check_ratio(packed_bytes: int, unpacked_bytes: int, path: str) -> None:
    """Raises `InputError` for what unpacks to more than an honest file does."""
    if is_beyond(packed_bytes, unpacked_bytes):
        raise InputError(
            f"unpacks to more than {RATIO_MAX} times its size: {packed_bytes} bytes became {unpacked_bytes}",
            path=path,
            hint="unpack it yourself, look at it, and give the file that was in it",
        )
