from freehold.store import counting


def test_a_count_only_grows(store):
    with store.database.writing() as connection:
        assert counting.current(connection, "x") == 0
        assert [counting.raised(connection, "x") for _ in range(3)] == [1, 2, 3]
        assert counting.current(connection, "x") == 3
