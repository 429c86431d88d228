import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select
from tests.store.examples import trace as example
from tests.store.search.copies import copied

from freehold.store import open_store
from freehold.store.check import check
from freehold.store.erase import erase_traces, scrub
from freehold.store.search import search, traffic
from freehold.store.tables import trace_blocks
from freehold.types.trace import TraceQuery


def trace(number, **changes):
    return example(number, **{"id": f"t{number}", **changes})


def found(store, **query):
    return [one.id for one in search(store.database, TraceQuery(**query)).traces]


def secret(number, **changes):
    said = {"messages": [{"role": "user", "content": f"xylophone{number} please"}]}
    return trace(number, request=said, source="gateway", **changes)


def test_several_that_write_at_once_fill_blocks_one_after_another(url):
    with open_store(url) as store:

        def work(base):
            with open_store(url) as own:
                for number in range(base, base + 200, 5):
                    own.add_traces(secret(one) for one in range(number, number + 5))

        with ThreadPoolExecutor(3) as pool:
            for done in [pool.submit(work, base) for base in (0, 1000, 2000)]:
                done.result(60)
        assert len(search(store.database, TraceQuery(text="please", most=3000)).traces) == 600
        with store.database.reading() as connection:
            query = select(trace_blocks.c.traces).where(trace_blocks.c.closed)
            assert set(connection.execute(query).scalars()) == {16}
        first = trace(0).at
        assert traffic(store.database, since=first, until=trace(3000).at).incumbent.requests == 600


WRITER = """
import sys
from tests.store.examples import trace
from freehold.store import open_store
with open_store(sys.argv[1]) as store:
    for number in range(int(sys.argv[2]), 100_000, 7):
        store.add_traces(trace(one, id=f"t{one}") for one in range(number, number + 7))
        print(number + 7, flush=True)
"""


@pytest.mark.process
def test_a_writer_that_is_killed_leaves_whole_batches_that_are_found_by_all_ways(url):
    drawn, stored = random.Random(13), 0
    for _ in range(4):
        script = [sys.executable, "-c", WRITER, url, str(stored)]
        with subprocess.Popen(script, stdout=subprocess.PIPE) as writer:
            told = [int(writer.stdout.readline()) for _ in range(drawn.randint(3, 9))]
            time.sleep(drawn.uniform(0, 0.03))
            writer.kill()
            told += map(int, writer.stdout.read().splitlines())
        with open_store(url) as store:
            store.try_to_add()  # waits for a server that is still about the last batch
            here = [one.id for one in store.traces()]
            assert here == [f"t{number}" for number in range(len(here))]
            assert len(here) - told[-1] in (0, 7) and store.count_traces() == len(here)
            assert set(store.get_traces(here)) == set(here)
            said = search(store.database, TraceQuery(text="paket", most=9999)).traces
            assert len(said) == len(here)
        assert check(url).healthy
        stored = len(here)


def test_a_trace_that_is_gone_leaves_the_others_their_places(store):
    store.add_traces(secret(number) for number in range(40))
    places = {one.id: place for place, one in store.traces_after(0)}
    assert erase_traces(store.database, ["t0", "t20", "t39"]) == 3
    assert {one.id: place for place, one in store.traces_after(0)} == {
        id: place for id, place in places.items() if id not in ("t0", "t20", "t39")
    }
    assert found(store, text="xylophone20") == [] and found(store, text="xylophone21") == ["t21"]
    store.add_traces([secret(50)])
    assert [place for place, _ in store.traces_after(39)] == [41]


def test_what_was_erased_leaves_not_a_byte_in_the_index(tmp_path):
    file = tmp_path / "s.sqlite"
    with open_store(f"sqlite:///{file}") as store:
        said = {"messages": [{"role": "user", "content": "quartz"}]}
        store.add_traces(secret(number) for number in range(300))
        store.add_traces([trace(300, request=said), *(secret(number) for number in range(301, 320))])
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


@pytest.mark.parametrize("how", ["backup", "restored"])
def test_a_copy_of_a_store_is_searched_as_well(store, url, tmp_path, how):
    store.add_traces(secret(number) for number in range(20))
    address = copied(store, url, tmp_path, how)
    with open_store(address) as other:
        assert len(found(other, text="please", most=100)) == 20
        assert found(other, text="xylophone7") == [secret(7).id]
        # What was counted is not counted again by the index that was made again.
        counted = traffic(other.database, since=trace(0).at, until=trace(30).at)
        assert counted.incumbent.requests == 20
