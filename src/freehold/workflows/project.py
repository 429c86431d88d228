"""The user's project: its `freehold.toml`, its state folder, its store."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from freehold import files
from freehold.catalog.vendors import with_addresses
from freehold.errors import ConfigError
from freehold.settings import Settings
from freehold.settings import load as load_settings
from freehold.types.config import AppConfig, ProjectConfig
from freehold.types.config_file import parse, usable_name
from freehold.workflows.trust import check_trusted

log = logging.getLogger(__name__)
CONFIG_NAME = "freehold.toml"


@dataclass(frozen=True, slots=True)
class Project:
    """Where a project lives and what it says. `root` is the folder of `freehold.toml` (or the current one)."""

    root: Path
    config: ProjectConfig
    settings: Settings
    config_path: Path | None

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
        from freehold.store.database import (
            file_url,  # late: the command line needs this module before any store
        )

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


def open_project(config: Path | None = None, *, must_exist: bool = False, looks: bool = False) -> Project:
    """Open the project around `config` (default: `freehold.toml` here or in a folder above).

    Without a file a project with defaults is returned, named after the folder, unless `must_exist`. A file that was
    found, not named, must be the caller's own or root's. The search ends at the home folder, at the root of a
    repository, and where another file system begins. What the file has freehold run, read and call must have been
    agreed to, unless the caller only `looks`: at the file, the store and processes of this machine.
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
        return without_file(current_folder(), settings)
    if not path.is_file():  # a pipe would be waited for without end
        raise ConfigError(f"{path}: not a file")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not valid UTF-8") from None
    read = with_addresses(parse(text, path=str(path)))
    _check_scorer(read.task.scorer, path)
    if not looks:
        check_trusted(read, path, settings)
    return Project(path.resolve().parent, read, settings, path)


def _check_scorer(name: str, path: Path) -> None:
    from freehold.evals.scorers import SCORERS, unknown  # late: every command opens a project

    if name not in SCORERS:
        error = unknown(name)
        raise ConfigError(f"{path}: task.scorer: {error.message}", hint=error.hint)


def without_file(folder: Path, settings: Settings | None = None) -> Project:
    """The project that a folder without a `freehold.toml` is: defaults, named after the folder."""
    config = ProjectConfig(app=AppConfig(name=usable_name(folder.name)))
    return Project(folder, config, settings or load_settings(), None)


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
