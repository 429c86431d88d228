"""Gateways on one store never hold more of a limit together than it is."""

import random
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from freehold.store import shares as usage
from freehold.store.shares import ShareRounds, Wanted

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
