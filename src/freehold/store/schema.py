"""Bring a database to the newest schema: numbered Alembic migrations, run when the store is opened."""

from __future__ import annotations

import logging
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from freehold.errors import StoreError
from freehold.store.tables import one_at_a_time

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
# The revision number of the newest file in migrations/versions; a test holds the two together.
NEWEST = "0011"
_ADVISORY_LOCK = 0x66726565686F6C64  # "freehold"


def upgrade(connection: Connection, where: str) -> None:
    """Run what is missing, inside the caller's transaction, which must hold the write lock on SQLite.

    Raises `StoreError` when a newer freehold has been here.
    """
    one_at_a_time(connection, _ADVISORY_LOCK)
    found = version(connection)
    if found == NEWEST:
        return
    check_not_newer(connection, where)
    log.info("migrating %s from schema %s to %s", where, found or "none", NEWEST)
    # Alembic takes a fifth of a second to import; most opens find nothing to do.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def check_not_newer(connection: Connection, where: str) -> None:
    """Raises `StoreError` when a newer freehold has been here: its tables may mean something else by now."""
    found = version(connection)
    if found is not None and found > NEWEST:
        raise StoreError(
            f"the store at {where} has schema {found}, this freehold knows up to {NEWEST}",
            hint="pip install --upgrade freehold",
        )


def version(connection: Connection) -> str | None:
    """The schema's number, None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
