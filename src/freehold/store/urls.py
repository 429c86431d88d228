"""Where the database is."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from freehold import files
from freehold.errors import ConfigError
from freehold.visible import without_password

DATABASE_FILE = "freehold.sqlite3"


def default_url(state: Path) -> str:
    """The URL of the SQLite file in a project's state folder."""
    return file_url(state / DATABASE_FILE)


def file_url(file: Path) -> str:
    """The URL of a SQLite file, whatever its path has in it: a question mark would end it, and ``%20`` be a space."""
    return "sqlite:///" + str(file).replace("%", "%25").replace("?", "%3F")


def parsed(url: str) -> URL:
    """A URL with the driver freehold uses filled in.

    Raises `ConfigError` for something that is not a database URL, or a database freehold does not support.
    """
    try:
        result = make_url(url)
    except ArgumentError:
        raise ConfigError(
            f"{without_password(url)!r} is not a database URL",
            hint="write sqlite:///path/to/freehold.sqlite3 or postgresql://user@host/name",
        ) from None
    match result.get_backend_name():
        case "sqlite":
            if result.host or result.username or result.port:
                raise ConfigError(
                    f"{without_password(url)!r} names no file",
                    hint="write three slashes before a path, sqlite:///path/to/freehold.sqlite3, and four where it "
                    "begins at the root",
                )
            path = files.path_in_url(url.partition(":///")[2].partition("?")[0])
            return result.set(drivername="sqlite", database=path or None)
        case "postgresql" | "postgres":
            return result.set(drivername="postgresql+psycopg")
        case other:
            raise ConfigError(
                f"freehold does not store in {other}", hint="write a sqlite:/// or a postgresql:// URL"
            )


def store_file(url: str) -> Path | None:
    """The file of an SQLite store; None for other databases and for one in memory. Raises `ConfigError`."""
    where = parsed(url)
    return Path(where.database) if where.get_backend_name() == "sqlite" and where.database else None
