import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.store.examples import Note
from tests.store.released import RELEASED, ROUTE, TRACES, plant

from freehold.errors import StoreError
from freehold.store import default_url, open_store, schema


def test_a_newer_schema_is_left_alone(tmp_path):
    with open_store(default_url(tmp_path)):
        pass
    holder = sqlite3.connect(tmp_path / "freehold.sqlite3")
    holder.execute("UPDATE alembic_version SET version_num = '9999'")
    holder.commit()
    holder.close()
    with pytest.raises(StoreError, match="schema 9999, this freehold knows up to") as error:
        open_store(default_url(tmp_path))
    assert "upgrade" in (error.value.hint or "")


def test_the_newest_migration_is_the_one_the_code_names():
    numbers = sorted(path.name[:4] for path in (schema.MIGRATIONS / "versions").glob("[0-9]*.py"))
    assert numbers[-1] == schema.NEWEST
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]


@pytest.mark.parametrize("version", RELEASED)
def test_every_released_schema_comes_forward_with_its_data(tmp_path, monkeypatch, version):
    plant(tmp_path / "freehold.sqlite3", version, monkeypatch)
    with open_store(default_url(tmp_path)) as store:
        with store.database.reading() as connection:
            assert schema.version(connection) == schema.NEWEST
        assert list(store.traces()) == TRACES and store.traces_bytes() > 0
        assert store.get(Note, "a").text == "first" and store.sources(Note, "a") == ("traces:x",)
        assert store.step_result("import", "h", Note) is not None
        assert store.routes() == [ROUTE] and store.routes_revision() == 2
        assert [change.who for change in store.route_history("s")] == ["ada"]


@pytest.mark.parametrize("version", RELEASED)
def test_a_kill_in_the_middle_leaves_the_old_schema_whole(tmp_path, monkeypatch, version):
    """The process is killed after the last migration has run and before it is committed."""
    path = tmp_path / "freehold.sqlite3"
    plant(path, version, monkeypatch)
    script = """
        import os, signal, sys
        from freehold.store import open_store, schema
        upgrade = schema.upgrade
        def killed(connection, where):
            upgrade(connection, where)
            connection.exec_driver_sql("PRAGMA cache_spill=1")
            os.kill(os.getpid(), signal.SIGKILL)
        schema.upgrade = killed
        open_store(sys.argv[1])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), default_url(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (version,)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    with open_store(default_url(tmp_path)) as store:
        assert list(store.traces()) == TRACES
