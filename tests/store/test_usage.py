from freehold.store.usage import Use, add_use


def test_windows_add_up_and_old_ones_are_forgotten(store):
    add_use(store.database, 7, {"key:a": Use(2, 20)})
    totals = add_use(store.database, 7, {"key:a": Use(1, 5), "route:r": Use(1, 0)})
    assert totals == {("key:a", 7): Use(3, 25), ("route:r", 7): Use(1, 0)}
    assert add_use(store.database, 8, {})["key:a", 7] == Use(3, 25)
    assert add_use(store.database, 9, {}) == {}
