import threading
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import msgspec
import pytest
from sqlalchemy import select

from freehold.errors import StoreError
from freehold.store import open_store
from freehold.store.tables import from_micros, records, steps
from freehold.types.record import StoredRecord, event_id
from freehold.types.route import Route, Target
from freehold.types.trace import Trace, Usage

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


class Note(StoredRecord, frozen=True, kw_only=True):
    kind: ClassVar[str] = "note"

    id: str = "a"
    text: str


class Other(StoredRecord, frozen=True, kw_only=True):
    kind: ClassVar[str] = "other"
    key_field: ClassVar[str] = "name"

    name: str
    text: str


class LaterNote(StoredRecord, frozen=True, kw_only=True):
    kind: ClassVar[str] = "note"

    id: str
    pages: int


def trace(number: int, **changes) -> Trace:
    values = {
        "id": event_id(1_700_000_000_000 + number),
        "at": NOON + timedelta(seconds=number),
        "source": f"import:inbox.jsonl#{number}",
        "model": "gpt-4o",
        "request": {"messages": [{"role": "user", "content": f"Wo ist Paket {number}? 📦"}]},
        "response": {"choices": [{"message": {"role": "assistant", "content": "unterwegs"}}]},
        "usage": Usage(prompt_tokens=9, completion_tokens=2),
        **changes,
    }
    return Trace(**values)


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


def test_a_watch_tells_of_what_anybody_wrote_and_of_nothing_else(store):
    watch = store.database.watch()
    assert watch.has_news()
    if store.database.dialect == "sqlite":
        assert not watch.has_news()
    store.records(Note)
    if store.database.dialect == "sqlite":
        assert not watch.has_news(), "reading is no news"
    store.put(Note(text="from this process"))
    assert watch.has_news()
    with open_store(store.url) as other:
        other.put(Note(id="b", text="from elsewhere"))
    assert watch.has_news()
    watch.forget()
    assert watch.has_news()
    watch.close()


def test_a_stored_record_of_another_shape_is_an_error_with_a_way_out(store):
    store.put(Note(text="first"))
    with pytest.raises(StoreError, match="not what this version") as error:
        store.get(LaterNote, "a")
    assert error.value.hint


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
    assert store.replace_trace(msgspec.structs.replace(second, gold="lost"))
    assert not store.replace_trace(trace(3))
    assert [found.gold for found in store.traces()] == [None, "lost"]
    assert store.delete_traces(before=NOON + timedelta(seconds=2)) == 1
    assert store.count_traces() == 1


def test_a_route_has_a_history_and_every_change_moves_the_revision(store):
    assert store.routes() == [] and store.routes_revision() == 0
    route = Route(name="support", model="gpt-4o", incumbent=Target(endpoint="openai"))
    saved = store.save_route(route, who="ada", at=NOON, why="set up")
    shadowed = msgspec.structs.replace(saved, state="shadow")
    store.save_route(shadowed, who="bo", at=NOON + timedelta(hours=1), verdict_id="v1")
    assert [found.state for found in store.routes()] == ["shadow"]
    assert store.routes_revision() == 2
    assert store.delete_route("support", who="ada", at=NOON + timedelta(hours=2), why="moved")
    assert not store.delete_route("support", who="ada", at=NOON)
    assert store.routes() == [] and store.routes_revision() == 3
    history = store.route_history("support")
    assert [(change.who, change.why, change.verdict_id, change.revision) for change in history] == [
        ("ada", "set up", None, 1),
        ("bo", "", "v1", 2),
        ("ada", "moved", None, 3),
    ]
    assert history[1].route is not None and history[1].route.state == "shadow" and history[2].route is None


def test_of_two_changes_made_from_one_reading_the_second_is_refused(store):
    route = Route(name="support", model="gpt-4o", incumbent=Target(endpoint="openai"))
    saved = store.save_route(route, who="ada", at=NOON, expected_revision=0)
    store.save_route(saved, who="ada", at=NOON, expected_revision=saved.revision)
    with pytest.raises(StoreError, match="somebody changed it"):
        store.save_route(saved, who="bo", at=NOON, expected_revision=saved.revision)
    assert len(store.route_history("support")) == 2


def test_steps_remember_what_they_were_made_from(store):
    assert store.step_result("train", "h1", Note) is None
    store.finish_step("train", "h1", Note(text="first"), NOON)
    store.finish_step("train", "h2", Note(text="second"), NOON)
    assert store.step_result("train", "h2", Note) == Note(text="second")
    assert store.step_result("train", "h1", Note) is None
    assert store.step_result("other", "h2", Note) is None
    with store.database.reading() as connection:
        row = connection.execute(select(steps)).one()
    assert (row.name, row.inputs_hash, from_micros(row.finished_at)) == ("train", "h2", NOON)
    assert msgspec.json.decode(row.outputs) == {"record": "h2"}


def test_rows_are_those_of_released_versions(store):
    """Kinds and keys are in databases out there: a renamed class or field must not change them."""
    store.put(Other(name="a", text="x"), made_from=["y"])
    store.finish_step("train", "h1", Note(text="first"), NOON)
    with store.database.reading() as connection:
        rows = connection.execute(select(records.c.kind, records.c.id, records.c.made_from)).all()
    assert [tuple(row) for row in rows] == [("other", "a", b'["y"]'), ("step:train", "h1", b"[]")]


def test_threads_and_stores_share_a_database(url):
    with open_store(url) as first, open_store(url) as second:
        errors = []

        def work(store, base):
            try:
                for number in range(10):
                    store.add_traces(trace(base + number * 7 + part) for part in range(7))
                    store.put(Note(id=f"{base}-{number}", text="x"))
            except StoreError as error:
                errors.append(error)

        threads = [
            threading.Thread(target=work, args=(store, base))
            for base, store in enumerate([first, first, second, second])
            for base in [base * 1000]
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert first.count_traces() == 280 and len(second.records(Note)) == 40


def test_the_oldest_traces_go_until_the_rest_fits(store):
    store.add_traces(trace(number, id=str(number)) for number in range(10))
    size = store.traces_bytes()
    assert size > 0 and store.shrink_traces(size) == 0
    gone = store.shrink_traces(size // 2)
    assert 4 <= gone <= 6 and store.traces_bytes() <= size // 2
    assert [one.id for one in store.traces()] == [str(number) for number in range(gone, 10)]
    assert store.shrink_traces(0) == 10 - gone and store.traces_bytes() == 0


def test_traces_are_read_on_from_a_place_and_from_the_end(store):
    store.add_traces([trace(1, id="a"), trace(2, id="b", parent_id="a"), trace(3, id="c")])
    first = store.traces_after(0, most=2)
    assert [one.id for _, one in first] == ["a", "b"]
    assert [one.id for _, one in store.traces_after(first[-1][0])] == ["c"]
    assert [one.id for one in store.latest_traces(2)] == ["c", "b"]
    assert [one.id for one in store.latest_traces(5, own_only=True)] == ["c", "a"]
    assert [one.id for one in store.find_traces("b")] == ["b"] and store.find_traces("%") == []
    assert list(store.get_traces(["c", "nobody", "a", "c"])) == ["a", "c"]
