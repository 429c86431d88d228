"""Checksums of what is stored, and one damaged row costs one row, of traces a block of them: the rest goes on."""

import random
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import update
from tests.store.examples import NOON, Note, put, trace

from freehold.errors import StoreError
from freehold.store import rollouts
from freehold.store.damage import SEEN, DamagedBody, pack_lines, read_json, seal, unpack_lines, unseal
from freehold.store.rollouts import WindowRow
from freehold.store.search import search
from freehold.store.tables import metadata
from freehold.types.route import Route, Target
from freehold.types.trace import TraceQuery


def test_a_trace_comes_back_and_takes_less():
    long = trace(1, request={"messages": [{"role": "user", "content": "where is my parcel? " * 500}]})
    lines = [msgspec.json.encode(one) for one in (long, trace(2))]
    packed = pack_lines(lines, 5)
    assert unpack_lines(packed, 5) == lines
    assert len(packed) < 1000
    with pytest.raises(DamagedBody, match="checksum"):
        unpack_lines(packed, 6)


def test_ten_thousand_of_ten_thousand_flipped_bits_in_traces_are_noticed():
    chance = random.Random(3)
    words = ("refund", "my", "order")
    unnoticed = 0
    for _ in range(10_000):
        text = " ".join(chance.choice([*words, str(chance.random())]) for _ in range(60))
        body = bytearray(pack_lines([text.encode()], 1))
        body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
        try:
            unpack_lines(bytes(body), 1)
            unnoticed += 1
        except DamagedBody:
            pass
    assert unnoticed == 0


@pytest.mark.parametrize("content", [b'{"a":"b"}', b"[]", b'"text"', b"0.25", b"null"])
def test_every_single_bit_of_other_bodies_is_noticed(content):
    stored = seal(content, "records", "note/a")
    assert unseal(stored, "records", "note/a") == content
    for place in range(len(stored) * 8):
        body = bytearray(stored)
        body[place // 8] ^= 1 << place % 8
        with pytest.raises(DamagedBody):
            unseal(bytes(body), "records", "note/a")


@pytest.mark.parametrize("stored", [b"", b"\x01\x02", b"\x28\xb5\x2f\xfd broken", "text"])
def test_what_was_never_a_body_is_said_to_be_damaged(stored):
    with pytest.raises(DamagedBody):
        unpack_lines(stored, 1)
    with pytest.raises(DamagedBody):
        read_json(stored, dict, "any")


@pytest.fixture(autouse=True)
def clean():
    SEEN.clear()
    yield
    SEEN.clear()


def flip(store, name, at=-3, column="body", **where):
    """One bit of a stored body turns over."""
    table = metadata.tables[name]
    match = [table.c[key] == value for key, value in where.items()]
    with store.database.writing() as connection:
        for row in connection.execute(table.select().where(*match)).all():
            body = bytearray(getattr(row, column))
            body[at] ^= 4
            same = [key == getattr(row, key.name) for key in table.primary_key]
            connection.execute(update(table).where(*same).values({column: bytes(body)}))


def named():
    return [(row.table, row.key) for row in SEEN.rows()]


def test_one_flipped_bit_costs_one_block_of_many_and_says_how_many_traces(store):
    store.add_traces(trace(number, id=f"t{number:03}") for number in range(400))
    flip(store, "trace_blocks", place=113)
    lost = {f"t{number:03}" for number in range(112, 128)}
    assert len(list(store.traces())) == 384
    assert len(store.traces_after(0, most=400)) == 384
    assert len(store.latest_traces(400)) == 384
    assert list(store.get_traces(["t111", "t112"])) == ["t111"]
    assert store.find_traces("t123") == []
    with pytest.raises(StoreError, match="the trace t123 in the store is damaged") as error:
        store.get_trace("t123")
    assert "freehold store check" in error.value.hint
    assert named() == [("trace_blocks", "113 (16 traces)")] and SEEN.count() == 1
    found = search(store.database, TraceQuery(text="paket", most=1000)).traces
    assert {one.id for one in found} == {f"t{number:03}" for number in range(400)} - lost


def test_blocks_of_damaged_traces_are_not_the_end(store):
    store.add_traces(trace(number, id=f"t{number}") for number in range(20))
    flip(store, "trace_blocks", place=1)
    assert [one.id for _, one in store.traces_after(0, most=3)] == ["t16", "t17", "t18"]


def test_a_damaged_block_takes_no_more_and_goes_when_all_of_it_is_too_old(store):
    store.add_traces(trace(number, id=f"t{number}") for number in range(5))
    flip(store, "trace_blocks", place=1)
    store.add_traces(trace(number, id=f"t{number}") for number in range(5, 30))
    assert [one.id for one in store.traces()] == [f"t{number}" for number in range(5, 30)]
    assert store.delete_traces(before=NOON + timedelta(seconds=3)) == 0
    assert store.delete_traces(before=NOON + timedelta(seconds=7)) == 7
    assert store.get_trace("t3") is None and store.add_traces([trace(3, id="t3")]) == 1


def test_a_body_in_another_rows_place_is_noticed(store):
    store.add_traces(trace(number, id=f"t{number}") for number in range(32))
    store.put(Note(id="a", text="one"))
    store.put(Note(id="b", text="two"))
    for name, key, here, there in (("trace_blocks", "place", 1, 17), ("records", "id", "a", "b")):
        table = metadata.tables[name]
        with store.database.writing() as connection:
            other = connection.execute(table.select().where(table.c[key] == here)).one().body
            connection.execute(update(table).where(table.c[key] == there).values(body=other))
    assert [one.id for one in store.traces()] == [f"t{number}" for number in range(16)]
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
    flip(store, "rollout_windows", at=0, unit="b")
    assert len(rollouts.closed_windows(store.database, "r", "pair")) == 2
    assert rollouts.state_of(store.database, "r").body == b"{}"
    flip(store, "rollout_states")
    with pytest.raises(StoreError, match="rollout_states"):
        rollouts.state_of(store.database, "r")
