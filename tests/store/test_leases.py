from datetime import UTC, datetime, timedelta

from freehold.store import leases

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
