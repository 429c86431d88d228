import pytest
from sqlalchemy import delete, update

from freehold.errors import StoreError
from freehold.store import default_url, open_store
from freehold.store.tables import store_facts


@pytest.mark.parametrize(
    "change",
    [
        update(store_facts).where(store_facts.c.name == "schema").values(value="9999"),
        delete(store_facts).where(store_facts.c.name == "schema"),
    ],
)
def test_a_store_of_another_version_is_refused_and_left_as_it_is(tmp_path, change):
    with open_store(default_url(tmp_path)) as store, store.database.writing() as connection:
        connection.execute(change)
    before = (tmp_path / "freehold.sqlite3").read_bytes()
    with pytest.raises(StoreError, match="is of another version of freehold") as error:
        open_store(default_url(tmp_path))
    assert "freehold traces export" in error.value.hint and "freehold import" in error.value.hint
    assert (tmp_path / "freehold.sqlite3").read_bytes() == before


def test_each_new_store_has_an_identity_of_its_own(tmp_path):
    from freehold.store.keys import stored_keys

    ids = set()
    for name in ("a", "b"):
        with open_store(default_url(tmp_path / name)) as store:
            ids.add(stored_keys(store.database).store_id)
    assert len(ids) == 2 and "" not in ids
