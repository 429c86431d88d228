from datetime import UTC, datetime
from decimal import Decimal

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
