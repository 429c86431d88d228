"""One damaged row costs one row: it is left out, named and counted, and the rest goes on."""

import pytest
from sqlalchemy import update
from tests.store.examples import NOON, Note, put, trace

from freehold.errors import StoreError
from freehold.store import rollouts
from freehold.store.damage import SEEN
from freehold.store.rollouts import WindowRow
from freehold.store.tables import metadata
from freehold.types.route import Route, Target


@pytest.fixture(autouse=True)
def clean():
    SEEN.clear()
    yield
    SEEN.clear()


def flip(store, name, place=-3, column="body", **where):
    """One bit of a stored body turns over."""
    table = metadata.tables[name]
    match = [table.c[key] == value for key, value in where.items()]
    with store.database.writing() as connection:
        for row in connection.execute(table.select().where(*match)).all():
            body = bytearray(getattr(row, column))
            body[place] ^= 4
            same = [key == getattr(row, key.name) for key in table.primary_key]
            connection.execute(update(table).where(*same).values({column: bytes(body)}))


def named():
    return [(row.table, row.key) for row in SEEN.rows()]


def test_one_flipped_bit_costs_one_trace_of_many(store):
    store.add_traces(trace(number, id=f"t{number:03}") for number in range(400))
    flip(store, "traces", id="t123")
    assert len(list(store.traces())) == 399
    assert len(store.traces_after(0, most=400)) == 399
    assert len(store.latest_traces(400)) == 399
    assert list(store.get_traces(["t122", "t123"])) == ["t122"]
    assert store.find_traces("t123") == []
    with pytest.raises(StoreError, match="row t123 of traces in the store is damaged") as error:
        store.get_trace("t123")
    assert "freehold store check" in error.value.hint
    assert named() == [("traces", "t123")] and SEEN.count() == 1


def test_a_page_of_damaged_traces_is_not_the_end(store):
    store.add_traces(trace(number, id=f"t{number}") for number in range(9))
    for number in range(2, 8):
        flip(store, "traces", id=f"t{number}")
    assert [one.id for _, one in store.traces_after(0, most=3)] == ["t0", "t1", "t8"]


def test_a_body_in_another_rows_place_is_noticed(store):
    store.add_traces([trace(1, id="a"), trace(2, id="b")])
    store.put(Note(id="a", text="one"))
    store.put(Note(id="b", text="two"))
    for name in ("traces", "records"):
        table = metadata.tables[name]
        with store.database.writing() as connection:
            other = connection.execute(table.select().where(table.c.id == "a")).one().body
            connection.execute(update(table).where(table.c.id == "b").values(body=other))
    assert [one.id for one in store.traces()] == ["a"]
    assert [one.id for one in store.records(Note)] == ["a"]


def test_damaged_records_are_left_out_of_lists_and_an_error_alone(store):
    store.put(Note(id="a", text="one"), made_from=["x"])
    store.put(Note(id="b", text="two"), made_from=["y"])
    flip(store, "records", id="b")
    flip(store, "records", column="made_from", id="a")
    assert [one.id for one in store.records(Note)] == ["a"] and store.count_records(Note) == 2
    for ask in (lambda: store.get(Note, "b"), lambda: store.latest(Note), lambda: store.sources(Note, "a")):
        with pytest.raises(StoreError, match="damaged"):
            ask()


def test_a_step_with_a_damaged_result_runs_again(store):
    put(store)
    flip(store, "records")
    assert store.step_result("import", "hash", Target) is None and SEEN.count() == 1


def test_a_damaged_route_is_read_from_its_history(store):
    route = Route(name="r", model="m", incumbent=Target(endpoint="e"))
    saved = store.save_route(route, who="w", at=NOON)
    flip(store, "routes")
    assert store.routes() == [saved] and named() == [("routes", "r")]
    flip(store, "route_history")
    assert store.routes() == [] and store.route_history("r") == []


def test_a_rollout_goes_on_without_a_damaged_window_and_stops_at_a_damaged_state(store):
    windows = [WindowRow("pair", unit, place, True, b"{}") for place, unit in enumerate("abc")]
    rollouts.learn(store.database, "r", known_version=0, state=b"{}", windows=windows)
    flip(store, "rollout_windows", place=0, unit="b")
    assert len(rollouts.closed_windows(store.database, "r", "pair")) == 2
    assert rollouts.state_of(store.database, "r").body == b"{}"
    flip(store, "rollout_states")
    with pytest.raises(StoreError, match="rollout_states"):
        rollouts.state_of(store.database, "r")
