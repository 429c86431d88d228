"""The same tests over SQLite and, where a server is given, PostgreSQL."""

import contextlib
import os
import secrets

import pytest
import sqlalchemy

from freehold.store import open_store


@contextlib.contextmanager
def postgres():
    """A database of its own on the server of ``FREEHOLD_TEST_POSTGRES_URL``."""
    server = os.environ.get("FREEHOLD_TEST_POSTGRES_URL")
    if not server:
        pytest.skip("FREEHOLD_TEST_POSTGRES_URL names no PostgreSQL server")
    name = f"freehold_test_{secrets.token_hex(6)}"
    admin = sqlalchemy.create_engine(
        sqlalchemy.make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    yield sqlalchemy.make_url(server).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(sqlalchemy.text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'state' / 'freehold.sqlite3'}"
        return
    with postgres() as made:
        yield made


@pytest.fixture
def store(url):
    with open_store(url) as store:
        yield store
