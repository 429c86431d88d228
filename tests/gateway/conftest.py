"""A fake upstream on loopback for all of the gateway's tests, and clients that are closed."""

import os
import secrets

import pytest
import sqlalchemy
from tests.gateway.asking import _close_clients  # noqa: F401
from tests.gateway.loopback import _upstream, shared, upstream  # noqa: F401


@pytest.fixture
def database():
    """A database of its own on the server of ``FREEHOLD_TEST_POSTGRES_URL``."""
    server = os.environ.get("FREEHOLD_TEST_POSTGRES_URL")
    if not server:
        pytest.skip("FREEHOLD_TEST_POSTGRES_URL names no PostgreSQL server")
    name = f"freehold_test_{secrets.token_hex(6)}"
    admin = sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    yield sqlalchemy.make_url(server).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(sqlalchemy.text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()
