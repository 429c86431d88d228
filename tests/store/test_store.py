import threading

from tests.store.examples import Note, trace

from freehold.errors import StoreError
from freehold.store import open_store


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
