from tests.store.examples import NOON, Note, put, trace

from freehold.store.care.rows import SEALED, key_of, pages
from freehold.store.tables import metadata, traces


def test_every_table_with_bodies_is_here():
    binary = {
        table.name
        for table in metadata.tables.values()
        for column in table.columns
        if str(column.type) == "BLOB"
    }
    assert {kind.name for kind in SEALED} == binary


def test_pages_take_every_row_once_whatever_the_key(store):
    store.add_traces(trace(number, id=f"t{number}") for number in range(7))
    with store.database.reading() as connection:
        found = [row.id for page in pages(connection, traces, most=3) for row in page]
        assert found == [f"t{number}" for number in range(7)]
        assert key_of(traces, next(pages(connection, traces))[0]) == (1,)


def test_whole_rows_have_no_problem(store):
    put(store)
    store.put(Note(text="x"), made_from=["a"])
    store.add_traces([trace(1)])
    store.save_route(_route(), who="ada", at=NOON)
    store.delete_route("r", who="ada", at=NOON)
    with store.database.reading() as connection:
        for kind in SEALED:
            for page in pages(connection, kind.table):
                assert [kind.problem(row) for row in page] == [None] * len(page)


def _route():
    from freehold.types.route import Route, Target

    return Route(name="r", model="m", incumbent=Target(endpoint="e"))
