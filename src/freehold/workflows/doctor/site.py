"""What a check of the doctor is given to look at: where the project is, and its store, which is only read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from freehold.errors import ConfigError, FreeholdError, StoreError
from freehold.settings import Settings
from freehold.store.database import file_url, parsed
from freehold.store.records import decoded
from freehold.types.config import ProjectConfig
from freehold.types.record import StoredRecord

LOCK_SECONDS = 0.3
R = TypeVar("R", bound=StoredRecord)


@dataclass(frozen=True, slots=True)
class Site:
    """Where the doctor looks. Nothing is made there: `state` may be missing.

    With a broken `freehold.toml` or environment, `config` is None or `settings` the defaults, and `problems` says why.
    """

    root: Path
    config_path: Path | None
    config: ProjectConfig | None
    settings: Settings
    now: datetime
    problems: tuple[ConfigError, ...] = ()

    @property
    def state(self) -> Path:
        """The state folder, which is not made."""
        return self.settings.state or self.root / ".freehold"

    @property
    def store_url(self) -> str:
        """As `Project.store_url`."""
        return self.settings.database_url or file_url((self.state / "freehold.sqlite").absolute())

    @property
    def port(self) -> int:
        """Where the gateway listens."""
        return (self.config.serve.port if self.config else None) or self.settings.port

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of the store, read without changing it; none where there is no store, or no such table yet.

        Raises `StoreError` with what the database said.
        """
        try:
            url = parsed(self.store_url)
        except FreeholdError:
            raise StoreError("the store's address is not one of a database") from None
        try:
            if url.get_backend_name() != "sqlite":
                engine = create_engine(url, connect_args={"connect_timeout": 2})
                with engine.connect() as server:
                    return [tuple(row) for row in server.execute(text(query)).all()]
            path = Path(url.database or "")
            if not path.exists():
                return []
            with closing(open_file(path)) as connection:
                return connection.execute(query).fetchall()
        except ImportError:
            raise StoreError("the extra 'postgres' is not installed") from None
        except (sqlite3.Error, OSError, SQLAlchemyError) as error:
            said = str(getattr(error, "orig", None) or error).strip().splitlines()[0][:200]
            if "no such table" in said or "does not exist" in said:
                return []
            raise StoreError(said) from None

    def records(self, kind: type[R]) -> list[R]:
        """The store's records of a kind. Raises `StoreError`."""
        rows = self.rows(f"SELECT id, body FROM records WHERE kind = '{kind.kind}'")  # noqa: S608 (a class's own name)
        return [decoded(body, kind, kind.kind, "records", f"{kind.kind}/{id}") for id, body in rows]


def open_file(path: Path) -> sqlite3.Connection:
    """A SQLite file to read. On a file system that cannot be written, where no one writes either, also without
    the index of its log."""
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=LOCK_SECONDS)
    try:
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        if "unable to open" not in str(error) and "readonly" not in str(error):
            raise
        return sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)
    except sqlite3.Error:
        connection.close()
        raise
    return connection
