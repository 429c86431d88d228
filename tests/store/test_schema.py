import sqlite3

import pytest

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
