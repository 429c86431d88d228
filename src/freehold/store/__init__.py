"""The database: SQLite by default, PostgreSQL by URL. Writes what it is given: no clock, no own ids."""

from freehold.store.database import default_url
from freehold.store.store import Store, open_store

__all__ = ["Store", "default_url", "open_store"]
