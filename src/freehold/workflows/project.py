"""The user's project: its `freehold.toml`, its state folder, its store; and whether it may run, read and call what the
file says: a folder may be a stranger's.

What was agreed to lies in one file among the user's own state, by the hash of the list (`types.config.reach`). A list
that is part of one that was agreed to is trusted; `freehold trust`, a terminal, or FREEHOLD_TRUST agree.

Covered: a clone, an archive, a pull that changes the list or a program in the folder. Not covered: modules that a
scorer of the project's own imports; who may write this user's files.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from freehold import files
from freehold.catalog.vendors import with_addresses
from freehold.errors import ConfigError, UntrustedError
from freehold.settings import Settings
from freehold.settings import load as load_settings
from freehold.types.config import AppConfig, ProjectConfig
from freehold.types.config_file import parse, reach, usable_name
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


log = logging.getLogger(__name__)
CONFIG_NAME = "freehold.toml"


@dataclass(frozen=True, slots=True)
class Project:
    """Where a project lives and what it says. `root` is the folder of `freehold.toml` (or the current one)."""

    root: Path
    config: ProjectConfig
    settings: Settings
    config_path: Path | None
    changes: tuple[str, ...] = ()
    """What `config` was told otherwise than the file says it (``task.margin=0.03``), by this run's command line."""

    @property
    def state(self) -> Path:
        """The state folder, made on first use together with a `.gitignore` that keeps it out of git.

        Raises `StorageError` when it cannot be made.
        """
        folder = self.settings.state or self.root / ".freehold"
        with files.writing(
            f"{folder}: state folder cannot be made",
            hint="choose another place with FREEHOLD_STATE, or check who owns the folder",
        ):
            if not folder.exists():
                folder.mkdir(mode=0o700, parents=True)
                (folder / ".gitignore").write_text("*\n")
        return folder

    @property
    def store_url(self) -> str:
        """SQLAlchemy URL of the store: FREEHOLD_DATABASE_URL, else SQLite in the state folder."""
        from freehold.store.database import file_url

        return self.settings.database_url or file_url((self.state / "freehold.sqlite").absolute())

    @property
    def reading_url(self) -> str:
        """`store_url`, for a command that only reads: an empty store in memory where there is none, so that a question
        leaves no folder behind."""
        folder = self.settings.state or self.root / ".freehold"
        own = self.settings.database_url is not None
        return self.store_url if own or (folder / "freehold.sqlite").exists() else "sqlite://"

    @property
    def gateway_url(self) -> str:
        """Where this project's gateway is looked for when no address is given."""
        scheme = "http" if self.config.serve.tls_cert is None else "https"
        return f"{scheme}://{self.settings.host}:{self.config.serve.port or self.settings.port}"

    @property
    def keys_file(self) -> Path:
        """Where it is kept, outside the store, that keys are required."""
        return self.state / "keys.json"

    def path(self, name: str) -> Path:
        """A path from `freehold.toml`, which is relative to that file."""
        return self.root / Path(name).expanduser()

    def also_under(self, hosts: Iterable[str]) -> Project:
        """The project with more names that its gateway answers to."""
        serve = msgspec.structs.replace(self.config.serve, hosts=(*self.config.serve.hosts, *hosts))
        return replace(self, config=msgspec.structs.replace(self.config, serve=serve))


def open_project(
    config: Path | None = None,
    *,
    must_exist: bool = False,
    looks: bool = False,
    changes: tuple[str, ...] = (),
) -> Project:
    """Open the project around `config` (default: `freehold.toml` here or in a folder above).

    Without a file a project with defaults is returned, named after the folder, unless `must_exist`. A file that was
    found, not named, must be the caller's own or root's. The search ends at the home folder, at the root of a
    repository, and where another file system begins. What the file has freehold run, read and call must have been
    agreed to, unless the caller only `looks`: at the file, the store and processes of this machine. The file is checked
    as it is, then with the caller's own `changes`.
    Raises `ConfigError` for a file that is missing, unreadable or wrong, `UntrustedError` for one not agreed to.
    """
    settings = load_settings()
    path = config
    if path is None and (path := _find(current_folder())) is not None:
        _check_trusted(path)
        if path.parent != current_folder():
            log.warning("the project is that of %s", path)
    if path is not None and path.is_dir():
        path = path / CONFIG_NAME
    if path is None or not path.exists():
        if must_exist or config is not None:
            raise ConfigError(
                f"{path or CONFIG_NAME}: no such file",
                hint="freehold init TRAFFIC writes one; or name it: --config FILE",
            )
        return without_file(current_folder(), settings, changes)
    if not path.is_file():  # a pipe would be waited for without end
        raise ConfigError(f"{path}: not a file")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not valid UTF-8") from None
    read = with_addresses(parse(text, path=str(path)))
    if not looks:
        check_trusted(read, path, settings)
    if changes:
        read = with_addresses(parse(text, changes=changes))
    _check_scorer(read.task.scorer, "--set" if changes else str(path))
    return Project(path.resolve().parent, read, settings, path, changes)


def _check_scorer(name: str, path: str) -> None:
    from freehold.evals.scorers import SCORERS, unknown

    if name not in SCORERS:
        error = unknown(name)
        raise ConfigError(f"{path}: task.scorer: {error.message}", hint=error.hint)


def without_file(folder: Path, settings: Settings | None = None, changes: tuple[str, ...] = ()) -> Project:
    """The project that a folder without a `freehold.toml` is: defaults, named after the folder, with `changes`."""
    config = ProjectConfig(app=AppConfig(name=usable_name(folder.name)))
    if changes:
        name = msgspec.json.encode(config.app.name).decode()
        config = with_addresses(parse("", changes=(f"app.name={name}", *changes)))
        _check_scorer(config.task.scorer, "--set")
    return Project(folder, config, settings or load_settings(), None, changes)


def current_folder() -> Path:
    """Where the command runs. Raises `ConfigError` where that folder is gone."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise ConfigError("the current folder has been deleted", hint="cd to the project's folder") from None


def _find(folder: Path) -> Path | None:
    device = folder.stat().st_dev
    for candidate in (folder, *folder.parents):
        if candidate.stat().st_dev != device:
            return None
        if (candidate / CONFIG_NAME).is_file():
            return candidate / CONFIG_NAME
        if candidate == Path.home() or (candidate / ".git").exists():
            return None
    return None


def _check_trusted(path: Path) -> None:
    """Raises `ConfigError` for a file that another user owns, or that another may write."""
    if os.name != "posix":
        return
    status = path.stat()
    why = None
    if status.st_uid not in (os.geteuid(), 0):
        why = f"it belongs to the user {_user(status.st_uid)}"
    elif status.st_mode & 0o002 or (status.st_mode & 0o020 and not _is_own_group(status.st_gid)):
        why = "others may write it"
    if why is not None:
        raise ConfigError(
            f"{path} is not used: {why}, and a project's file names programs that are run",
            hint=f"if you trust it, name it: --config {path}",
        )


def _is_own_group(group: int) -> bool:
    """Whether a group is of one user, as where each has a group of the same number."""
    return group == os.getegid() == os.geteuid()


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def now() -> datetime:
    """The current time in UTC, to the millisecond."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def file_state(path: Path | str | None) -> tuple[int, int] | None:
    """Time of change and size of a file, by which a change is seen; None for one that is not there: it may be being
    written again."""
    try:
        stat = None if path is None else Path(path).stat()
    except OSError:
        return None
    return None if stat is None else (stat.st_mtime_ns, stat.st_size)
