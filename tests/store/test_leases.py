"""Leases and usage in a store, with several that ask at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier

from freehold.store import leases, open_store
from freehold.store.shares import BilledCost, Use, add_use, book, spent

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


NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_windows_add_up_and_old_ones_are_forgotten(store):
    add_use(store.database, 7, {"key:a": Use(2, 20)})
    totals = add_use(store.database, 7, {"key:a": Use(1, 5), "route:r": Use(1, 0)})
    assert totals == {("key:a", 7): Use(3, 25), ("route:r", 7): Use(1, 0)}
    assert add_use(store.database, 8, {})["key:a", 7] == Use(3, 25)
    assert add_use(store.database, 9, {}) == {}


def test_money_is_exact_and_counted_by_day_and_month(store):
    cents = Decimal("0.000000125")
    bills = [BilledCost("w", number, "2026-03-01", ["route:a"], cents) for number in (1, 2, 3)]
    bills.append(BilledCost("w", 4, "2026-03-01", ["key:b"], Decimal(3)))
    bills.append(BilledCost("w", 5, "2026-03-02", ["route:a"], Decimal("0.5")))
    assert book(store.database, bills, at=NOW) == bills
    totals = spent(store.database, "2026-03-02", "2026-03")
    assert totals["route:a"] == (Decimal("0.5"), Decimal("0.500000375"))
    assert totals["key:b"] == (Decimal(0), Decimal(3))
    book(store.database, [BilledCost("w", 6, "2026-04-01", ["route:a"], Decimal("1e-12"))], at=NOW)
    april = spent(store.database, "2026-04-01", "2026-04")
    assert april == {"route:a": (Decimal("1e-9"), Decimal("1e-9"))}, "rounded up, never away"


def test_a_bill_is_booked_once_however_often_it_comes(store):
    first = BilledCost("w", 1, "2026-03-01", ["key:a"], Decimal(1))
    second = BilledCost("w", 2, "2026-03-01", ["key:a"], Decimal(1))
    other = BilledCost("v", 1, "2026-03-01", ["key:a"], Decimal(1))
    assert book(store.database, [first, first], at=NOW) == [first]
    assert book(store.database, [first, second, other], at=NOW) == [second, other]
    assert book(store.database, [second], at=NOW) == []
    assert spent(store.database, "2026-03-01", "2026-03")["key:a"].day_usd == Decimal(3)


def test_gateways_that_count_the_first_of_a_name_at_once_all_count(url, store):
    for round_ in range(10):
        start = Barrier(3)

        def work(number, round_=round_, start=start):
            with open_store(url) as mine:
                bill = BilledCost(
                    f"w{round_}-{number}", 1, f"2026-03-{round_ + 1:02}", ("a", "b"), Decimal(1)
                )
                names = ("a", "b", "c") if number % 2 else ("c", "b", "a")
                start.wait(30)
                add_use(mine.database, 100 + round_, {name: Use(1, 5) for name in names})
                return book(mine.database, [bill], at=NOW)

        with ThreadPoolExecutor(3) as pool:
            assert all(pool.map(work, range(3)))
        used = add_use(store.database, 100 + round_, {})
        assert {used[name, 100 + round_] for name in "abc"} == {Use(3, 15)}
        assert spent(store.database, f"2026-03-{round_ + 1:02}", "2026-03")["a"].day_usd == 3
