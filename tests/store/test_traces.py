"""A store: its tables, its schema, what it is opened as, and the traces in it."""

from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import delete, update
from tests.store.examples import NOON, trace

from freehold.errors import StoreError
from freehold.store import open_store
from freehold.store.check import check
from freehold.store.database import default_url
from freehold.store.erase import erase_traces
from freehold.store.search import search
from freehold.store.tables import store_facts
from freehold.types.evaluated import ItemLook, LookRemoval
from freehold.types.identity import trace_key
from freehold.types.trace import TraceQuery


def test_a_new_store_has_exactly_the_tables_the_code_knows(store):
    from sqlalchemy import inspect

    from freehold.store.tables import metadata

    with store.database.reading() as connection:
        inspector = inspect(connection)
        names = {name for name in inspector.get_table_names() if not name.startswith("trace_words")}
        assert names == set(metadata.tables)
        for table in metadata.tables.values():
            there = {column["name"]: column["nullable"] for column in inspector.get_columns(table.name)}
            assert there == {column.name: column.nullable for column in table.columns}
            assert {index["name"] for index in inspector.get_indexes(table.name)} >= {
                index.name for index in table.indexes
            }


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
    from freehold.store.routes import stored_keys

    ids = set()
    for name in ("a", "b"):
        with open_store(default_url(tmp_path / name)) as store:
            ids.add(stored_keys(store.database).store_id)
    assert len(ids) == 2 and "" not in ids


def test_traces_survive_the_round_trip_and_are_kept_once(store):
    wanted = [trace(number) for number in range(1201)]
    assert store.add_traces(iter(wanted)) == 1201
    assert store.add_traces([*wanted[:3], trace(5000)]) == 1
    found = list(store.traces())
    assert found[:1201] == wanted
    assert store.count_traces() == 1202
    assert store.get_trace(wanted[7].id) == wanted[7]
    assert store.get_trace("nobody") is None


def test_only_complete_traces_come_unless_asked(store):
    store.add_traces(
        [trace(1), trace(2, completeness="client_aborted"), trace(3, completeness="upstream_cut")]
    )
    assert [found.at.second for found in store.traces()] == [1]
    assert store.count_traces(complete_only=False) == 3


def test_traces_are_filtered(store):
    store.add_traces(
        [
            trace(1, route="support", source="gateway"),
            trace(2, source="import:100%_of.jsonl#1"),
            trace(3, source="import:1000of.jsonl#1", model="m", parent_id="p"),
        ]
    )
    seconds = lambda **wanted: [found.at.second for found in store.traces(**wanted)]  # noqa: E731
    assert seconds(route="support") == [1]
    assert seconds(source_prefix="import:100%_of") == [2]
    assert seconds(model="m") == seconds(parent_id="p") == [3]
    assert seconds(since=NOON + timedelta(seconds=2)) == [2, 3]
    assert seconds(route=None, source_prefix=None) == [1, 2, 3]


def test_a_trace_can_be_written_anew_and_old_ones_forgotten(store):
    second = trace(2)
    store.add_traces([trace(1), second])
    before = store.traces_state()
    assert store.replace_trace(msgspec.structs.replace(second, gold="lost"))
    assert store.traces_state()[:2] == before[:2] and store.traces_state() != before
    assert not store.replace_trace(trace(3))
    assert [found.gold for found in store.traces()] == [None, "lost"]
    assert store.delete_traces(before=NOON + timedelta(seconds=2)) == 1
    assert store.count_traces() == 1


def test_the_oldest_traces_go_until_the_rest_fits(store):
    store.add_traces(trace(number, id=str(number)) for number in range(160))
    size = store.traces_bytes()
    assert size > 0 and store.shrink_traces(size) == 0
    gone = store.shrink_traces(size // 2)
    assert 64 <= gone <= 96 and store.traces_bytes() <= size // 2
    assert [one.id for one in store.traces()] == [str(number) for number in range(gone, 160)]
    assert store.shrink_traces(0) == 160 - gone and store.traces_bytes() == 0


def test_what_was_looked_at_and_removed_is_known_however_it_left(store):
    store.add_traces(trace(number, id=str(number)) for number in range(10))
    look = {"at": NOON, "dataset_id": "d", "incumbent": "a", "candidate": "b", "alpha": 0.025}
    store.delete_traces(before=NOON + timedelta(seconds=1))
    assert store.records(LookRemoval) == [], "nothing was looked at"
    store.put(
        ItemLook(id="e", traces=b"".join(trace_key(str(n)) for n in (1, 4, 8)) + trace_key(None), **look)
    )
    assert store.delete_traces(before=NOON + timedelta(seconds=3)) == 2
    assert erase_traces(store.database, ["4", "5"]) == 2
    store.shrink_traces(0)
    assert [one.traces for one in store.records(LookRemoval)] == [trace_key(id) for id in "148"]


def test_traces_are_read_on_from_a_place_and_from_the_end(store):
    store.add_traces([trace(1, id="a"), trace(2, id="b", parent_id="a"), trace(3, id="c")])
    first = store.traces_after(0, most=2)
    assert [one.id for _, one in first] == ["a", "b"]
    assert [one.id for _, one in store.traces_after(first[-1][0])] == ["c"]
    assert [one.id for one in store.latest_traces(2)] == ["c", "b"]
    assert [one.id for one in store.latest_traces(5, own_only=True)] == ["c", "a"]
    assert [one.id for one in store.find_traces("b")] == ["b"] and store.find_traces("%") == []
    assert list(store.get_traces(["c", "nobody", "a", "c"])) == ["a", "c"]


def test_some_traces_stand_for_all_of_them(store):
    store.add_traces(trace(number) for number in range(600))
    whole, some = store.spread_traces(600), store.spread_traces(100)
    assert len(whole.traces) == whole.of == some.of == 600
    assert 30 <= len(some.traces) <= 200
    assert whole.days == some.days == pytest.approx(599 / 86_400)
    assert max(one.at for one in some.traces) - min(one.at for one in some.traces) > timedelta(seconds=300)


def test_a_zero_byte_in_a_name_keeps_no_trace_out(store):
    """PostgreSQL takes none in a text: one request with it kept everything behind it out."""
    odd = trace(
        2,
        source="gateway",
        model="a\0b",
        route="r\0",
        parent_id="p\0",
        user="u\0",
        conversation_id="c\0",
        upstream_id="x\0",
        request={"messages": [{"role": "user", "content": "zero \0 byte"}], "user": "u\0"},
    )
    store.add_traces([trace(1), odd, trace(3)])
    assert list(store.traces())[1] == odd and [one.model for one in store.traces(model="a\0b")] == ["a\0b"]
    page = search(store.database, TraceQuery(user="u\0", model="a\0b"))
    assert [one.id for one in page.traces] == [odd.id]
    assert check(store.url).healthy
