"""Dollars are given out once, and not at all when it is not known how many are left."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from freehold.gateway.limits import ledger
from freehold.gateway.limits.ledger import NANO, SpendLedger, SpendPublisher, nano_of
from freehold.types.route import Limits
from freehold.wire.errors import ApiError

CAPPED = [("key:a", Limits(usd_per_day=Decimal(1)))]


def published(folder, spent="0", *, shared=False, at=None):
    publisher = SpendPublisher(folder)
    nano = nano_of(Decimal(spent))
    publisher.publish(["key:a"], {"key:a": (nano, nano)}, at=at or datetime.now(UTC))
    publisher.beat(shared=shared)
    return publisher


def refusal(worker, nano=1, capped=CAPPED):
    with pytest.raises(ApiError) as refused:
        worker.reserve(capped, nano)
    return refused.value.status, refused.value.code


def test_what_one_worker_reserved_another_does_not_give_out(tmp_path):
    published(tmp_path, "0.5")
    one, other = SpendLedger(tmp_path, "one"), SpendLedger(tmp_path, "other")
    one.reserve(CAPPED, NANO * 3 // 10)
    assert refusal(other, NANO * 3 // 10) == (429, "spend_cap_reached")
    other.reserve(CAPPED, NANO * 2 // 10)
    one.change(["key:a"], -NANO * 3 // 10)
    other.reserve(CAPPED, NANO * 3 // 10)


def test_who_has_spent_all_of_it_is_told_when_that_ends(tmp_path):
    now = datetime.now(UTC)
    published(tmp_path, "1", at=now)
    with pytest.raises(ApiError, match=r"key a may spend 1 USD a day \(UTC\), and has spent 1\.0") as of_day:
        SpendLedger(tmp_path, "one").reserve(CAPPED, 1)
    with pytest.raises(ApiError, match="1 USD a month") as of_month:
        SpendLedger(tmp_path, "one").reserve([("key:a", Limits(usd_per_month=Decimal(1)))], 1)
    assert 0 < of_day.value.retry_after_s <= 86_400
    assert of_day.value.retry_after_s - 1 < of_month.value.retry_after_s <= 31 * 86_400


def test_the_last_dollars_go_to_one_request_at_a_time(tmp_path):
    published(tmp_path, "0.99")
    one, other = SpendLedger(tmp_path, "one"), SpendLedger(tmp_path, "other")
    one.reserve(CAPPED, 5 * NANO)
    assert refusal(other) == refusal(one) == (429, "spend_cap_reached")
    published(tmp_path, "1.00")
    one.change(["key:a"], -5 * NANO)
    assert refusal(other) == (429, "spend_cap_reached")


def test_a_gateway_beside_others_reserves_its_share_and_nothing_before_it_knows_it(tmp_path):
    publisher = published(tmp_path, shared=True)
    worker = SpendLedger(tmp_path, "one")
    assert refusal(worker) == (429, "spend_cap_reached")
    file = publisher.file("key:a")
    assert file.is_short
    file.set_share(NANO // 2, alone=False)
    assert not file.is_short
    worker.reserve(CAPPED, NANO * 4 // 10)
    assert refusal(worker, NANO * 2 // 10) == (429, "spend_cap_reached")
    worker.change(["key:a"], -NANO * 4 // 10)
    assert refusal(worker, NANO * 6 // 10) == (429, "spend_cap_reached")
    file.set_share(NANO // 2, alone=True)
    worker.reserve(CAPPED, NANO * 6 // 10)
    assert refusal(worker) == (429, "spend_cap_reached"), "one request, while nothing else is running"


def test_an_unknown_or_old_figure_lets_nothing_through(tmp_path, monkeypatch, caplog):
    worker = SpendLedger(tmp_path, "one")
    assert refusal(worker) == (503, "spend_unknown")
    publisher = SpendPublisher(tmp_path)
    publisher.beat()
    assert refusal(worker) == (503, "spend_unknown"), "nothing is known of this name"
    published(tmp_path)
    worker.reserve(CAPPED, 1)
    later = ledger.time.monotonic_ns() + int(1.1e9)
    monkeypatch.setattr(ledger.time, "monotonic_ns", lambda: later)
    assert refusal(worker) == (503, "spend_unknown")
    assert "refused" in caplog.text


def test_a_name_that_is_refused_leaves_nothing_reserved_for_the_others(tmp_path):
    publisher = published(tmp_path)
    publisher.publish(["key:b"], {"key:b": (9 * NANO, 9 * NANO)}, at=datetime.now(UTC))
    worker = SpendLedger(tmp_path, "one")
    both = [*CAPPED, ("key:b", Limits(usd_per_month=Decimal(5)))]
    assert refusal(worker, NANO, both) == (429, "spend_cap_reached")
    worker.reserve(CAPPED, NANO)


def test_the_cell_of_a_worker_that_is_gone_is_taken_and_free(tmp_path):
    publisher = published(tmp_path)
    SpendLedger(tmp_path, "gone").reserve(CAPPED, NANO // 2)
    assert publisher.take("gone") == {"key:a": NANO // 2}
    assert publisher.take("gone") == {}
    SpendLedger(tmp_path, "one").reserve(CAPPED, NANO)
