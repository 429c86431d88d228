from decimal import Decimal

from freehold.store.usage import Use, add_spending, add_use


def test_windows_add_up_and_old_ones_are_forgotten(store):
    add_use(store.database, 7, {"key:a": Use(2, 20)})
    totals = add_use(store.database, 7, {"key:a": Use(1, 5), "route:r": Use(1, 0)})
    assert totals == {("key:a", 7): Use(3, 25), ("route:r", 7): Use(1, 0)}
    assert add_use(store.database, 8, {})["key:a", 7] == Use(3, 25)
    assert add_use(store.database, 9, {}) == {}


def test_money_is_exact_and_counted_by_day_and_month(store):
    cents = Decimal("0.000000125")
    for _ in range(3):
        add_spending(store.database, "2026-03-01", {"route:a": cents, "key:b": Decimal(1)})
    totals = add_spending(store.database, "2026-03-02", {"route:a": Decimal("0.5")})
    assert totals["route:a"] == (Decimal("0.5"), Decimal("0.500000375"))
    assert totals["key:b"] == (Decimal(0), Decimal(3))
    april = add_spending(store.database, "2026-04-01", {"route:a": Decimal("1e-12")})
    assert april == {"route:a": (Decimal("1e-9"), Decimal("1e-9"))}, "rounded up, never away"
