from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from threading import Barrier

from freehold.store import open_store
from freehold.store.usage import BilledCost, Use, add_use, book, spent

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
