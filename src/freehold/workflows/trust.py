"""Whether a project may run, read and call what its `freehold.toml` says: a folder may be a stranger's.

What was agreed to lies in one file among the user's own state, by the hash of the list (`types.config.reach`). A list
that is part of one that was agreed to is trusted; `freehold trust`, a terminal, or FREEHOLD_TRUST agree.

Covered: a clone, an archive, a pull that changes the list or a program in the folder. Not covered: modules that a
scorer of the project's own imports; who may write this user's files.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import msgspec

from freehold import files
from freehold.errors import UntrustedError
from freehold.settings import Settings
from freehold.types.config import ProjectConfig
from freehold.types.config_file import reach
from freehold.types.record import Record, content_id

_WAIT_S = 10.0


class Reach(Record, frozen=True, kw_only=True):
    """All that a file has freehold run, read and call, its hash, and what of it was not agreed to yet."""

    path: str
    hash: str
    all: tuple[str, ...]
    new: tuple[str, ...]


class Agreed(Record, frozen=True, kw_only=True):
    """One list that was agreed to, and where it was first met."""

    path: str
    all: tuple[str, ...]


def reach_of(config: ProjectConfig, path: Path, settings: Settings) -> Reach:
    """What a file that was read says, against what was agreed to."""
    place = path.resolve()
    found = reach(config, lambda name: _content(name, place.parent))
    agreed = _agreed().values() if found else ()
    here = {line for one in agreed if one.path == str(place) for line in one.all}
    new = tuple(line for line in found if line not in here)
    is_known = any(set(found) <= set(one.all) for one in agreed)
    is_said = content_id(found) in (settings.trust or "").replace(" ", "").split(",")
    if is_known or is_said or _is_placed(place):
        new = ()
    return Reach(path=str(path), hash=content_id(found), all=found, new=new)


def check_trusted(config: ProjectConfig, path: Path, settings: Settings) -> None:
    """Raises `UntrustedError` for a file that has freehold do what was not agreed to."""
    if (found := reach_of(config, path, settings)).new:
        raise UntrustedError(path.absolute(), found.new, found.all)


def agree(path: Path, lines: tuple[str, ...]) -> None:
    """The user agrees to what a file has freehold do. Raises `StorageError`."""
    import filelock  # late: most projects have nothing to agree to

    place = path.resolve()
    kept = _file()
    with files.writing(
        f"{kept}: what was agreed to cannot be kept", hint="FREEHOLD_TRUST says it without a file"
    ):
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with filelock.FileLock(kept.with_suffix(".lock"), timeout=_WAIT_S, mode=0o600):
            made = _agreed() | {content_id(lines): Agreed(path=str(place), all=lines)}
            files.write(kept, msgspec.json.format(msgspec.json.encode(made)), private=True)


def _file() -> Path:
    import platformdirs  # late: most projects have nothing to agree to

    return Path(platformdirs.user_state_dir("freehold", appauthor=False)) / "trust.json"


def _agreed() -> dict[str, Agreed]:
    try:
        return msgspec.json.decode(_file().read_bytes(), type=dict[str, Agreed])
    except (OSError, msgspec.MsgspecError):
        return {}


def _is_placed(path: Path) -> bool:
    """Whether the machine's administrator put it there: in a folder of root's, where this user can change nothing, as
    a ConfigMap, a mount that is read only, and /etc are. What a user clones they can write."""
    folder = path.parent
    if os.name != "posix" or folder.stat().st_uid != 0:
        return False
    return not any(os.access(one, os.W_OK) for one in (path, folder))


def _content(name: str, root: Path) -> str:
    """The hash of a program in the project, or where the command runs; nothing of what is installed elsewhere, which
    another hand keeps."""
    place, colon, _ = name.rpartition(":")
    if not colon:
        names = [name]
    else:  # file.py:function, or module:function
        top = place.partition(".")[0]
        names = [place] if place.endswith(".py") else [top, f"{top}.py"]
    own = (Path.cwd(), root)
    for path in (folder / Path(one).expanduser() for folder in own for one in names):
        lies = (path.resolve(), Path(os.path.abspath(path)))  # noqa: PTH100 - links count as where they are and lead
        if path.exists() and any(one.is_relative_to(folder.resolve()) for folder in own for one in lies):
            return f" (sha256 {_hash(path)})"
    return ""


def _hash(path: Path) -> str:
    """Of a file, or of all files of a folder with their names. One that cannot be read can't be run either."""
    found = hashlib.sha256()
    inside = sorted(path.rglob("*")) if path.is_dir() else [path]
    for file in inside:
        if file.is_file() and "__pycache__" not in file.parts:
            found.update(file.relative_to(path).as_posix().encode() + b"\0")
            with contextlib.suppress(OSError), file.open("rb") as content:
                found.update(hashlib.file_digest(content, "sha256").digest())
    return found.hexdigest()
