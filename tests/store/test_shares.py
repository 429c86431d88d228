"""Several that ask one store at once: leases, use, money, and shares of limits that are never more than the limit."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier

import pytest

from freehold.store import leases, open_store
from freehold.store import shares as usage
from freehold.store.shares import BilledCost, ShareRounds, Wanted, book, spent

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def rounds(store, owner, others, wanted, *, at=NOON, **more):
    """One round of a gateway that remembers nothing."""
    return ShareRounds(owner).exchange(store.database, others, [wanted], at=at, seconds=66, **more)


def wanted(held, used=0, *, short=False, limit=60, kind="requests", **more):
    return Wanted("key:a", kind, limit, held, used, short, **more)


def share(told, kind="requests"):
    return told.shares["key:a", kind]


def test_who_is_alone_takes_part_in_nothing(store):
    assert rounds(store, "a", [], wanted(None)) is None


def test_who_comes_waits_until_the_other_has_said_what_it_holds(store):
    assert share(rounds(store, "b", ["a"], wanted(0))) == 0, "a may use all of it"
    assert share(rounds(store, "a", ["b"], wanted(None, 20))) == 30
    assert share(rounds(store, "b", ["a"], wanted(0))) == 0, "a may not have read yet what it may use"
    assert share(rounds(store, "a", ["b"], wanted(30, 25))) == 30
    assert share(rounds(store, "b", ["a"], wanted(0))) == 30


def test_a_share_goes_to_who_needs_it_and_comes_back(store):
    shares = {"a": 30, "b": 30}

    def a_round(owner, used, *, short=False):
        other = "b" if owner == "a" else "a"
        shares[owner] = share(rounds(store, owner, [other], wanted(shares[owner], used, short=short)))

    for _ in range(4):
        a_round("a", shares["a"], short=True)
        a_round("b", 0)
    assert shares["a"] >= 50 and shares["a"] + shares["b"] <= 60
    for used in (53, 40, 20, 10, 10):
        a_round("a", min(used, shares["a"]), short=True)
        a_round("b", shares["b"], short=True)
    assert shares["b"] >= 25, (
        "two that both need it have half each, as soon as what was used is out of the minute"
    )


def test_what_a_dead_gateway_held_stays_held_for_its_minute(store):
    rounds(store, "b", ["a"], wanted(0))
    rounds(store, "a", ["b"], wanted(30, 5))
    rounds(store, "b", ["a"], wanted(0))
    later = NOON + timedelta(seconds=60)
    assert share(rounds(store, "b", [], wanted(30, 30, short=True), at=later)) == 30
    gone = NOON + timedelta(seconds=67)
    assert rounds(store, "b", [], wanted(30, 30, short=True), at=gone) is None, "alone again"


def test_of_money_what_is_booked_is_in_no_share(store):
    caps = {"key:a": (100, 1000)}

    def told(owner, held, used, **more):
        other = "b" if owner == "a" else "a"
        return rounds(store, owner, [other], wanted(held, used, kind="nano_usd", **more), caps=caps)

    told("b", 0, 0)
    told("a", 0, 0)
    assert share(told("b", 0, 0), "nano_usd") == 50
    bill = usage.BilledCost("w", 1, "2026-11-29", ["key:a"], Decimal(80) / 10**9)
    usage.book(store.database, [bill], at=NOON)
    assert share(told("a", 0, 0, short=True), "nano_usd") == 0, "80 are spent, and b holds 50"
    told("b", 0, 0)
    assert share(told("a", 0, 0, short=True), "nano_usd") == 18, "b keeps a fourth of an even share"


def test_beyond_its_share_one_gateway_at_a_time_lets_one_request_in(store):
    caps = {"key:a": (100, None)}

    def told(owner, *, used=0, alone=False):
        other = "b" if owner == "a" else "a"
        one = wanted(0, used, kind="nano_usd", short=True, alone=alone)
        return "key:a" in rounds(store, owner, [other], one, caps=caps).alone

    assert not told("a"), "b has not said yet what it does"
    assert told("b") and not told("a")
    assert told("b", used=500, alone=True) and not told("a"), "b's request is running"
    rounds(store, "b", ["a"], wanted(0, 0, kind="nano_usd"), caps=caps)
    assert told("a")


@pytest.mark.parametrize("seed", range(3))
def test_many_gateways_at_once_never_pass_the_limit(store, seed):
    """Threads that come, use what they may, and are short now and then; checked after each step by what they may
    use."""
    limit, steps, lock = 97, 25, threading.Lock()
    may_use = {f"g{number}": 0 for number in range(4)}
    used = dict.fromkeys(may_use, 0)
    worst = []

    def live(owner):
        draw = random.Random(f"{seed}{owner}")
        others = [other for other in may_use if other != owner]
        for _ in range(steps):
            with lock:
                # Uses up to its share; what was used is out of the minute after a while.
                used[owner] = draw.randint(0, max(used[owner] // 2, may_use[owner]))
                held = may_use[owner]
            told = rounds(
                store, owner, others, wanted(held, used[owner], short=draw.random() < 0.5, limit=limit)
            )
            with lock:
                may_use[owner] = share(told)
                worst.append(sum(max(may_use[one], used[one]) for one in may_use))

    for owner in may_use:  # all are there before the first use
        rounds(store, owner, [other for other in may_use if other != owner], wanted(0, limit=limit))
    threads = [threading.Thread(target=live, args=(owner,)) for owner in may_use]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(worst) <= limit and max(worst) > limit // 2


def test_a_limit_that_is_gone_is_held_no_longer(store):
    rounds(store, "a", ["b"], wanted(None, 20))
    assert share(rounds(store, "b", ["a"], wanted(0))) == 0, "a may use all of it"
    ShareRounds("a").exchange(store.database, ["b"], [], at=NOON, seconds=66)
    assert share(rounds(store, "b", ["a"], wanted(0))) == 30


LEASED_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def later(seconds):
    return LEASED_AT + timedelta(seconds=seconds)


def test_one_owner_at_a_time_until_it_is_given_back_or_runs_out(store):
    take = lambda owner, at: leases.take(store.database, "watch", owner, at=at, seconds=10)  # noqa: E731
    assert take("a", LEASED_AT) and not take("b", later(5)) and take("a", later(5))
    assert not take("b", later(14)) and take("b", later(15)) and not take("a", later(16))
    leases.give_back(store.database, "watch", "a")
    assert not take("a", later(16)), "only the owner can give it back"
    leases.give_back(store.database, "watch", "b")
    assert take("a", later(16))


def test_who_is_alive(store):
    alive = lambda owner, at: leases.alive(store.database, "gateway", owner, at=at, seconds=3)  # noqa: E731
    assert alive("a", LEASED_AT) == ["a"] and alive("b", later(1)) == ["a", "b"]
    assert alive("b", later(3.5)) == ["b"]


def test_what_one_owner_holds_goes_to_one_other(store):
    swap = lambda owner, former: leases.take_from(  # noqa: E731
        store.database, "migration", owner, former, at=LEASED_AT, seconds=10
    )
    assert not swap("b", "a") and leases.held(store.database, "migration") is None
    leases.take(store.database, "migration", "a", at=LEASED_AT, seconds=10)
    assert swap("b", "a") and not swap("c", "a")
    assert leases.held(store.database, "migration") == ("b", later(10))


def test_of_many_that_find_it_free_at_once_one_gets_it(store):
    with ThreadPoolExecutor(8) as pool:
        for number in range(5):
            start = Barrier(8)

            def take(owner, name=f"lock {number}", start=start):
                start.wait()
                return leases.take(store.database, name, f"owner {owner}", at=LEASED_AT, seconds=10)

            assert sum(pool.map(take, range(8))) == 1


def test_of_several_that_find_a_lease_over_one_takes_it(url, store):
    for number in range(10):
        name, start = f"look-{number}", Barrier(3)
        assert leases.take(store.database, name, "former", at=LEASED_AT, seconds=1)

        def work(owner, name=name, start=start):
            with open_store(url) as mine:
                start.wait(30)
                return leases.take(
                    mine.database, name, owner, at=LEASED_AT + timedelta(seconds=5), seconds=60
                )

        with ThreadPoolExecutor(3) as pool:
            took = dict(zip("abc", pool.map(work, "abc"), strict=True))
        assert sum(took.values()) == 1 and took[leases.holder(store.database, name)]


NOW = datetime(2026, 3, 1, tzinfo=UTC)


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
                start.wait(30)
                return book(mine.database, [bill], at=NOW)

        with ThreadPoolExecutor(3) as pool:
            assert all(pool.map(work, range(3)))
        assert spent(store.database, f"2026-03-{round_ + 1:02}", "2026-03")["a"].day_usd == 3
