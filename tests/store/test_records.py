from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import ClassVar

import msgspec
import pytest
from sqlalchemy import select
from tests.store.examples import NOON, Note

from freehold.errors import RevisionError, StoreError
from freehold.store import bodies, open_store
from freehold.store.tables import from_micros, steps
from freehold.types.record import StoredRecord
from freehold.types.route import ApiKey


class Other(StoredRecord, frozen=True, kw_only=True):
    kind: ClassVar[str] = "other"
    key_field: ClassVar[str] = "name"

    name: str
    text: str


class LaterNote(StoredRecord, frozen=True, kw_only=True):
    kind: ClassVar[str] = "note"

    id: str
    pages: int


def test_records_come_back_as_they_went_in(store):
    store.put(Note(text="first"), made_from=["x", "y"])
    store.put(Note(id="b", text="second"))
    store.put(Other(name="a", text="elsewhere"))
    assert store.get(Note, "a") == Note(text="first")
    assert store.get(Other, "a") == Other(name="a", text="elsewhere")
    assert store.get(Note, "c") is None
    assert store.sources(Note, "a") == ("x", "y")
    assert store.records(Note) == [Note(text="first"), Note(id="b", text="second")]
    assert store.latest(Note) == Note(id="b", text="second")


def test_a_record_put_again_replaces_and_becomes_the_latest(store):
    store.put(Note(text="first"))
    store.put(Note(id="b", text="second"))
    store.put(Note(text="changed"))
    assert store.latest(Note) == Note(text="changed")
    assert len(store.records(Note)) == 2
    assert store.delete(Note, "a") and not store.delete(Note, "a")


def test_a_stored_record_of_another_shape_is_an_error_with_a_way_out(store):
    store.put(Note(text="first"))
    with pytest.raises(StoreError, match="not what this version") as error:
        store.get(LaterNote, "a")
    assert error.value.hint


def test_steps_remember_what_they_were_made_from(store):
    assert store.step_result("train", "h1", Note) is None
    store.finish_step("train", "h1", Note(text="first"), NOON)
    store.finish_step("train", "h2", Note(text="second"), NOON)
    assert store.step_result("train", "h2", Note) == Note(text="second")
    assert store.step_result("train", "h1", Note) is None
    assert store.step_result("other", "h2", Note) is None
    assert (store.step_finished_at("train"), store.step_finished_at("other")) == (NOON, None)
    with store.database.reading() as connection:
        row = connection.execute(select(steps)).one()
    assert (row.name, row.inputs_hash, from_micros(row.finished_at)) == ("train", "h2", NOON)
    outputs = bodies.unseal(row.outputs, "steps", "train", "h2", row.finished_at)
    assert msgspec.json.decode(outputs) == {"record": "h2"}


def each_with_its_own(url, work):
    """What `work(store, number)` raised in three threads at once, each with a store of its own."""

    def run(number):
        with open_store(url) as mine:
            try:
                work(mine, number)
            except StoreError as error:
                return error
        return None

    with ThreadPoolExecutor(3) as pool:
        return [error for error in pool.map(run, range(3)) if error is not None]


def test_several_that_put_one_record_at_once_wait_for_each_other(url, store):
    """As the recorders of two gateways do with the clock of retention."""

    def work(mine, number):
        for count in range(20):
            mine.put(Note(id="one", text=f"{number} {count}"))
            mine.finish_step("one", "hash", Note(id="one", text="step"), NOON)

    assert each_with_its_own(url, work) == []
    assert store.get(Note, "one").text.endswith(" 19")


def test_of_several_new_keys_of_one_name_made_at_once_one_is_in_force(url, store):
    for number in range(10):
        made = Barrier(3)

        def work(mine, thread, name=f"key-{number}", made=made):
            made.wait(30)
            key = ApiKey(name=name, hash=str(thread))
            mine.put_key(key, "key.add", who="ada", at=NOON, detail={}, new=True)

        errors = each_with_its_own(url, work)
        assert [type(error) for error in errors] == [RevisionError] * 2
