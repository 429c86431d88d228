"""An import leaves what the file holds now, whatever was there before."""

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.examples import trace

from freehold.store import open_store
from freehold.store.versions import FileRow, bring_in
from freehold.types.record import content_id

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
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
