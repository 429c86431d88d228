"""Gateways on one store never hold more of a limit together than it is."""

import random
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from freehold.store import open_store, shares, usage
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


@pytest.mark.parametrize("seed", range(3))
def test_what_a_gateway_remembers_changes_no_answer(tmp_path, monkeypatch, seed):
    """Two stores are told the same: in one of them gateways remember what they read, in the other they read all.

    Uses and refusals, limits that come and go, bills, gateways that fall silent, start again or come late, clocks that
    are set, transactions that fail."""
    draw = random.Random(seed)
    names = [f"key:{number}" for number in range(5)]
    owners = ["a", "b", "c"]
    told = {owner: {} for owner in owners}
    clock_s = dict.fromkeys(owners, 0.0)
    now_s = 0.0
    monkeypatch.setattr(shares.time, "monotonic", lambda: now_s)
    with (
        open_store(f"sqlite:///{tmp_path / 'one.sqlite'}") as one,
        open_store(f"sqlite:///{tmp_path / 'two.sqlite'}") as two,
    ):
        remembering = {owner: ShareRounds(owner) for owner in owners}
        granted_some = 0
        for turn in range(120):
            now_s += draw.choice((0.25, 0.25, 0.25, 0.25, 3.0, 20.0 if draw.random() < 0.2 else 0.25))
            if turn % 30 == 0:
                alive = draw.sample(owners, 2 if turn < 90 else 3)
            owner = draw.choice(alive)
            if draw.random() < 0.03:
                clock_s[owner] += draw.choice((-300.0, -1.0, -0.3, 40.0))
            if draw.random() < 0.03:
                remembering[owner] = ShareRounds(owner)  # its recorder was started again
            if draw.random() < 0.1:
                bill = usage.BilledCost("w", turn, "2026-11-29", [draw.choice(names)], Decimal(7) / 10**9)
                for store in (one, two):
                    usage.book(store.database, [bill], at=NOON)
            at = NOON + timedelta(seconds=now_s + clock_s[owner])
            wants, caps = [], {}
            for name in names:
                for kind, limit in (("requests", 60), ("nano_usd", 0)):
                    held = told[owner].get((name, kind))
                    used = draw.choice((0, 0, draw.randint(0, held or 9)))
                    wants.append(Wanted(name, kind, limit, held, used, draw.random() < 0.2))
                    caps[name] = (draw.choice((500, 400)), None)
            others = [other for other in alive if other != owner]
            answers = [
                round_of(store.database, others, wants, at=at, seconds=66, caps=caps)
                for store, round_of in (
                    (one, remembering[owner].exchange),
                    (two, ShareRounds(owner).exchange),
                )
            ]
            assert answers[0] == answers[1], turn
            assert rows(one) == rows(two), turn
            told[owner] = {} if answers[0] is None else answers[0].shares
            granted_some += sum(told[owner].values()) > 0
            if others and draw.random() < 0.05:
                with pytest.raises(ZeroDivisionError):
                    remembering[owner].exchange(one.database, others, failing(wants), at=at, seconds=66)
        assert granted_some > 30


def rows(store):
    with store.database.reading() as connection:
        return sorted(connection.exec_driver_sql("SELECT * FROM limit_shares").all())


def failing(wants):
    """A transaction that ends in the middle."""
    yield wants[0]._replace(used=999)
    raise ZeroDivisionError
