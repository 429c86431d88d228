"""Records, imported files, routes, rollouts and keys in a store."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from tests.store.examples import NOON, Note, trace

from freehold.errors import RevisionError, StoreError
from freehold.store import damage, open_store, rollouts
from freehold.store.rollouts import WindowRow
from freehold.store.routes import forget_keys, stored_keys
from freehold.store.tables import from_micros, steps
from freehold.store.traces import FileRow, bring_in
from freehold.types.record import StoredRecord, content_id
from freehold.types.route import ApiKey, Route, Target


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
    outputs = damage.unseal(row.outputs, "steps", "train", "h2", row.finished_at)
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
            mine.put(key, if_was=lambda other: other is None)

        errors = each_with_its_own(url, work)
        assert [type(error) for error in errors] == [RevisionError] * 2


AT = datetime(2026, 11, 26, tzinfo=UTC)


def rows_of(contents, origin="import:a.csv"):
    """A row for each (name, content); the key is of the name and of how often it was met."""
    met = {}
    for line, (name, content) in enumerate(contents, 1):
        met[name] = met.get(name, 0) + 1
        key = content_id([origin, name, met[name]])
        yield FileRow(
            key, trace(line, id=content_id([name, content]), source=f"{origin}#{line}", model=content)
        )


def bring(store, contents, origin="import:a.csv", **more):
    return tuple(bring_in(store.database, origin, rows_of(contents, origin), at=AT, **more))


def held(store, origin="import:a.csv"):
    return sorted(one.model for one in store.traces(source_prefix=f"{origin}#"))


def test_new_replaced_unchanged_and_gone(store):
    assert bring(store, [("p", "1"), ("q", "2")]) == (2, 0, 0, 0)
    before = store.traces_state()
    assert bring(store, [("p", "1"), ("q", "2")]) == (0, 0, 2, 0) and store.traces_state() == before
    assert bring(store, [("p", "9"), ("q", "2"), ("r", "3")]) == (1, 1, 1, 0)
    assert bring(store, [("q", "2")]) == (0, 0, 1, 2)
    assert held(store) == ["2"] and store.traces_state() != before
    assert store.count_traces(replaced=True) == 4, "earlier versions can be looked up"
    assert store.get_trace(content_id(["p", "9"])) is not None


NAMES = st.sampled_from("pqr")
FILES = st.lists(st.lists(st.tuples(NAMES, st.sampled_from("123")), max_size=7), min_size=1, max_size=4)


@given(FILES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_file_held_before_the_store_holds_what_it_holds_now(tmp_path, files):
    with open_store(f"sqlite:///{tmp_path}/{content_id(files)}.sqlite3") as store:
        for number, contents in enumerate(files):
            bring(store, contents)
            assert held(store) == sorted(content for _, content in set(contents)), number
            new, replaced, _, gone = bring(store, contents)
            assert (new, replaced, gone) == (0, 0, 0), "the same file again changes nothing"


def test_what_two_files_hold_is_kept_once(store):
    bring(store, [("p", "1")])
    assert bring(store, [("p", "1"), ("q", "2")], "import:b.csv") == (1, 0, 1, 0)
    assert store.count_traces() == 2
    assert bring(store, [("q", "2")], "import:b.csv") == (0, 0, 1, 0)
    assert held(store) == ["1"]


def test_a_folder_holds_its_files(store):
    bring(store, [("p", "1")], "import:logs/one.csv")
    bring(store, [("p", "2")], "import:logs/two.csv")
    bring(store, [("p", "3")], "import:logs_2/one.csv")
    assert bring_in(store.database, "import:logs", rows_of([("p", "1")], "import:logs/one.csv"), at=AT) == (
        0,
        0,
        1,
        1,
    )
    assert [one.model for one in store.traces()] == ["1", "3"]


def test_a_file_that_breaks_off_loses_nothing(store):
    bring(store, [("p", "1"), ("q", "2")])

    def broken():
        yield from rows_of([("p", "7")])
        raise ValueError("the disk is gone")

    with pytest.raises(ValueError, match="the disk is gone"):
        bring_in(store.database, "import:a.csv", broken(), at=AT)
    assert held(store) == ["1", "2"]
    assert bring(store, [("p", "7"), ("q", "2")]) == (0, 1, 1, 0)


def test_a_copied_store_names_the_places_of_its_copy(tmp_path):
    """As a project's folder is copied: what lay beside the store lies beside the copy."""
    first, second = tmp_path / "first ü", tmp_path / "second"
    first.mkdir()
    inside, outside = f"{first}/encoders/a", f"{tmp_path}/weights/b"
    with open_store(f"sqlite:///{first}/store.sqlite3") as store:
        for id, text in (("in", inside), ("out", outside), ("near", f"{first}-too/a")):
            store.put(Note(id=id, text=text))
        store.finish_step("train", "hash", Note(id="s", text=inside), NOON)
        assert store.get(Note, "in").text == inside
    shutil.copytree(first, second)
    with open_store(f"sqlite:///{second}/store.sqlite3") as store:
        assert {one.id: one.text for one in store.records(Note)} == {
            "in": f"{second}/encoders/a", "out": outside, "near": f"{first}-too/a",
        }  # fmt: skip
        assert store.step_result("train", "hash", Note).text == f"{second}/encoders/a"
        (raw,) = store.of_id("in")
        assert msgspec.json.decode(raw.body)["text"] == f"{second}/encoders/a"


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
    with pytest.raises(RevisionError, match="it was changed meanwhile"):
        store.save_route(saved, who="bo", at=NOON, expected_revision=saved.revision)
    assert len(store.route_history("support")) == 2


def test_a_route_that_is_none_is_an_error_whatever_its_rule(store):
    route = Route(name="support", model="gpt-4o", incumbent=Target(endpoint="openai"), state="odd")
    store.save_route(route, who="ada", at=NOON)
    with pytest.raises(StoreError, match="not what this version of freehold reads"):
        store.routes()


def row(unit, seq, *, kind="arm", closed=False, body=b"{}"):
    return WindowRow(kind, unit, seq, closed, body)


def learn(store, version, windows=(), state=b"s"):
    return rollouts.learn(store.database, "r", known_version=version, state=state, windows=windows)


def test_a_look_that_came_second_writes_nothing(store):
    assert rollouts.state_of(store.database, "r") == (0, None)
    assert learn(store, 0, [row("ada", 1)], b"first")
    assert not learn(store, 0, [row("bob", 2)], b"second")
    assert rollouts.state_of(store.database, "r") == (1, b"first")
    assert [one.unit for one in rollouts.open_windows(store.database, "r")] == ["ada"]
    assert learn(store, 1, [row("bob", 2)]) and not learn(store, 1)


def test_windows_keep_their_place_when_written_anew(store):
    learn(store, 0, [row("bob", 2), row("ada", 1), row("ada", 3, kind="pair")])
    learn(store, 1, [row("ada", 9, closed=True, body=b"done")])
    found = rollouts.windows_of(store.database, "r", ["ada", "nobody"])
    assert [(one.seq, one.kind, one.closed) for one in found] == [(1, "arm", True), (3, "pair", False)]
    assert [one.unit for one in rollouts.open_windows(store.database, "r")] == ["bob", "ada"]
    assert rollouts.closed_windows(store.database, "r", "arm") == [b"done"]
    assert rollouts.windows_of(store.database, "other", ["ada"]) == []


def test_many_units_are_asked_for_in_pieces(store):
    learn(store, 0, [row(f"u{n}", n) for n in range(900)])
    assert len(rollouts.windows_of(store.database, "r", [f"u{n}" for n in range(900)])) == 900


def test_changes_of_keys_are_counted_and_the_identity_stays(store, url):
    first = stored_keys(store.database)
    assert len(first.store_id) == 32 and (first.changes, first.keys, first.forgotten) == (0, (), False)
    store.put(ApiKey(name="a", hash="1"))
    store.put(ApiKey(name="a", hash="2"))
    assert not store.delete(ApiKey, "unknown")
    assert store.delete(ApiKey, "a")
    with open_store(url) as again:
        found = stored_keys(again.database)
    assert (found.store_id, found.changes, found.forgotten) == (first.store_id, 3, False)


def test_forgetting_all_keys_is_told_from_losing_them(store):
    for name in "ab":
        store.put(ApiKey(name=name, hash=name))
    assert forget_keys(store.database, who="ada", at=datetime.now(UTC)) == 2
    found = stored_keys(store.database)
    assert (found.changes, found.keys, found.forgotten) == (3, (), True)
    store.put(ApiKey(name="c", hash="c"))
    assert not stored_keys(store.database).forgotten
    store.delete(ApiKey, "c")
    assert not stored_keys(store.database).forgotten, "an old word does not count for what came later"
