from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

from freehold.store import leases, open_store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def later(seconds):
    return NOON + timedelta(seconds=seconds)


def test_one_owner_at_a_time_until_it_is_given_back_or_runs_out(store):
    take = lambda owner, at: leases.take(store.database, "watch", owner, at=at, seconds=10)  # noqa: E731
    assert take("a", NOON) and not take("b", later(5)) and take("a", later(5))
    assert not take("b", later(14)) and take("b", later(15)) and not take("a", later(16))
    leases.give_back(store.database, "watch", "a")
    assert not take("a", later(16)), "only the owner can give it back"
    leases.give_back(store.database, "watch", "b")
    assert take("a", later(16))


def test_who_is_alive(store):
    alive = lambda owner, at: leases.alive(store.database, "gateway", owner, at=at, seconds=3)  # noqa: E731
    assert alive("a", NOON) == ["a"] and alive("b", later(1)) == ["a", "b"]
    assert alive("b", later(3.5)) == ["b"]


def test_what_one_owner_holds_goes_to_one_other(store):
    swap = lambda owner, former: leases.take_from(  # noqa: E731
        store.database, "migration", owner, former, at=NOON, seconds=10
    )
    assert not swap("b", "a") and leases.held(store.database, "migration") is None
    leases.take(store.database, "migration", "a", at=NOON, seconds=10)
    assert swap("b", "a") and not swap("c", "a")
    assert leases.held(store.database, "migration") == ("b", later(10))


def test_of_many_that_find_it_free_at_once_one_gets_it(store):
    with ThreadPoolExecutor(8) as pool:
        for number in range(5):
            start = Barrier(8)

            def take(owner, name=f"lock {number}", start=start):
                start.wait()
                return leases.take(store.database, name, f"owner {owner}", at=NOON, seconds=10)

            assert sum(pool.map(take, range(8))) == 1


def test_of_several_that_find_a_lease_over_one_takes_it(url, store):
    for number in range(10):
        name, start = f"look-{number}", Barrier(3)
        assert leases.take(store.database, name, "former", at=NOON, seconds=1)

        def work(owner, name=name, start=start):
            with open_store(url) as mine:
                start.wait(30)
                return leases.take(mine.database, name, owner, at=NOON + timedelta(seconds=5), seconds=60)

        with ThreadPoolExecutor(3) as pool:
            took = dict(zip("abc", pool.map(work, "abc"), strict=True))
        assert sum(took.values()) == 1 and took[leases.holder(store.database, name)]
