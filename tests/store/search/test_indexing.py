from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.store.examples import trace as example
from tests.store.search.copies import copied

from freehold.store import open_store
from freehold.store.care.check import check
from freehold.store.care.erase import erase_traces, scrub
from freehold.store.search import indexing
from freehold.store.search.finding import search
from freehold.store.search.traffic import traffic
from freehold.types.trace_search import TraceQuery


def trace(number, **changes):
    return example(number, **{"id": f"t{number}", **changes})


def found(store, **query):
    return [one.id for one in search(store.database, TraceQuery(**query)).traces]


def secret(number, **changes):
    said = {"messages": [{"role": "user", "content": f"xylophone{number} please"}]}
    return trace(number, request=said, source="gateway", **changes)


def test_batches_go_on_where_the_last_one_ended(store):
    store.add_traces(trace(number) for number in range(25))
    assert indexing.unindexed(store.database) == 25
    assert indexing.index_traces(store.database, most=10) == 10
    told = []
    assert indexing.catch_up(store.database, tell=told.append)
    assert told == [15] and indexing.index_traces(store.database) == 0
    assert len(found(store, text="paket")) == 25


def test_several_that_index_at_once_index_each_trace_once(url):
    with open_store(url) as store:
        store.add_traces(secret(number) for number in range(2000))

        def work():
            with open_store(url) as own:
                while indexing.index_traces(own.database, most=100):
                    pass

        with ThreadPoolExecutor(3) as pool:
            for done in [pool.submit(work) for _ in range(3)]:
                done.result(60)
        assert len(search(store.database, TraceQuery(text="please", most=3000)).traces) == 2000
        first = trace(0).at
        assert traffic(store.database, since=first, until=trace(2000).at).incumbent.requests == 2000


def test_a_trace_that_goes_while_it_is_read_is_not_indexed(store, monkeypatch):
    store.add_traces(secret(number) for number in range(3))
    gone = secret(1).id
    words_of = indexing.words_of

    def meanwhile(seq, one):
        if one.id == gone:
            erase_traces(store.database, [gone])
        return words_of(seq, one)

    monkeypatch.setattr(indexing, "words_of", meanwhile)
    indexing.catch_up(store.database)
    assert found(store, text="xylophone1") == [] and len(found(store, text="please")) == 2


def test_what_was_erased_leaves_not_a_byte_in_the_index(tmp_path):
    file = tmp_path / "s.sqlite"
    with open_store(f"sqlite:///{file}") as store:
        said = {"messages": [{"role": "user", "content": "quartz"}]}
        store.add_traces([secret(number) for number in range(300)] + [trace(300, request=said)])
        indexing.catch_up(store.database)
        assert b"quartz" in words_in(store)
        erase_traces(store.database, ["t300"])
        assert found(store, text="quartz") == [] and b"quartz" in words_in(store)
        assert scrub(store.database)
        assert b"quartz" not in words_in(store) and b"quartz" not in file.read_bytes()
        assert len(found(store, text="please")) == 50 and found(store, text="xylophone5") == ["t5"]
    assert check(f"sqlite:///{file}").healthy


def words_in(store):
    """The pages of the index of words, as they lie in the file."""
    with store.database.reading() as connection:
        return b"".join(connection.exec_driver_sql("SELECT block FROM trace_words_data").scalars())


def test_a_damaged_trace_is_passed_over(store):
    from sqlalchemy import update

    from freehold.store.tables import traces

    store.add_traces(trace(number) for number in range(3))
    with store.database.writing() as connection:
        connection.execute(update(traces).where(traces.c.id == trace(1).id).values(body=b"\x01broken"))
    assert indexing.catch_up(store.database)
    assert len(found(store)) == 2


def test_a_trace_that_the_index_refuses_is_passed_over_and_named(store, monkeypatch, caplog):
    store.add_traces([example(n, id=str(n)) for n in range(40)])
    facets_of = indexing.facets_of
    wrong = lambda seq, trace: {**facets_of(seq, trace), "status": 1 << 70 if trace.id == "17" else 200}  # noqa: E731
    monkeypatch.setattr(indexing, "facets_of", wrong)
    assert indexing.catch_up(store.database) and indexing.unindexed(store.database) == 0
    found = search(store.database, TraceQuery(most=100)).traces
    assert {one.id for one in found} == {str(n) for n in range(40)} - {"17"}
    assert caplog.text.count("the index refuses trace 17") == 1


@pytest.mark.parametrize("how", ["backup", "restored", "salvaged"])
def test_a_copy_of_a_store_is_searched_as_well(store, url, tmp_path, how):
    store.add_traces(secret(number) for number in range(20))
    indexing.catch_up(store.database)
    address = copied(store, url, tmp_path, how)
    with open_store(address) as other:
        assert len(found(other, text="please", most=100)) == 20
        assert found(other, text="xylophone7") == [secret(7).id]
        # What was counted is not counted again by the index that was made again.
        counted = traffic(other.database, since=trace(0).at, until=trace(30).at)
        assert counted.incumbent.requests == 20
