"""What is left of limits is given out once, over workers and gateways; nothing where it is not known."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from freehold.gateway.capture.limit_accounts import Billing, LimitAccounts
from freehold.gateway.config import GatewayConfig
from freehold.gateway.limits import ledger
from freehold.gateway.limits.ledger import NANO, SpendLedger, nano_of
from freehold.gateway.limits.limiter import Limiter
from freehold.gateway.messages import TableMessage
from freehold.gateway.telemetry.meters import Meters
from freehold.store import open_store
from freehold.types.endpoint import Endpoint
from freehold.types.route import ApiKey, Limits
from freehold.wire.errors import ApiError

CAPPED = [("key:a", Limits(usd_per_day=Decimal(1)))]


def published(folder, spent="0", *, shared=False, at=None):
    publisher = SpendLedger(folder)
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
    publisher = SpendLedger(tmp_path)
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


CONFIG = GatewayConfig(endpoints=(Endpoint(name="e", engine="remote", base_url="http://127.0.0.1:1"),))
LIMITS = Limits(requests_per_minute=60, usd_per_day=Decimal(1))
TABLE = TableMessage(routes=(), keys=(ApiKey(name="a", hash="h", limits=LIMITS),))


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path / 'store.sqlite'}") as store:
        yield store


class OneGateway:
    """A recorder's accounts and a worker's counters in one run folder."""

    def __init__(self, folder, name):
        folder.mkdir()
        self.accounts = LimitAccounts(CONFIG, folder, Billing(CONFIG, Meters()), owner=name)
        self.worker = Limiter(folder)
        self.money = SpendLedger(folder, name)

    def let_in(self, count):
        """How many of as many requests are let in."""

        async def ask():
            found = 0
            for _ in range(count):
                try:
                    (await self.worker.admit([("key:a", LIMITS)]))()
                except ApiError:
                    continue
                found += 1
            return found

        return asyncio.run(ask())

    def reserve(self, nano):
        try:
            self.money.reserve([("key:a", LIMITS)], nano)
        except ApiError:
            return 0
        return nano


def test_a_gateway_that_is_alone_uses_all_of_it(store, tmp_path):
    one = OneGateway(tmp_path / "one", "one")
    one.accounts.learn(store, TABLE)
    assert one.let_in(100) == 60
    assert one.reserve(NANO // 2) + one.reserve(NANO // 2) == NANO and one.reserve(1) == 0


def test_two_gateways_never_use_more_together(store, tmp_path):
    one, two = (OneGateway(tmp_path / name, name) for name in ("one", "two"))
    one.accounts.learn(store, TABLE)
    used = one.let_in(10)
    spent = one.reserve(NANO // 10)
    two.accounts.learn(store, TABLE)
    assert two.let_in(1) == 0 and two.reserve(1) == 0, "the other has not said what it holds"
    for _ in range(8):
        for gateway, ask in ((one, 40), (two, 3)):
            gateway.accounts.share(store)
            used += gateway.let_in(ask)
            spent += gateway.reserve(NANO // 20)
    assert 45 <= used <= 60 and NANO * 8 // 10 <= spent <= NANO


def test_a_gateway_that_follows_one_that_was_killed_waits_until_that_one_is_gone(store, tmp_path):
    one = OneGateway(tmp_path / "one", "one")
    one.accounts.learn(store, TABLE)
    assert one.let_in(60) == 60
    one.accounts.share(store)
    again = OneGateway(tmp_path / "again", "again")
    again.accounts.learn(store, TABLE)
    again.accounts.share(store)
    assert again.let_in(60) == 0, "the other may live, and has not said what it holds"
    with store.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM leases WHERE owner = 'one'")
    again.accounts.share(store)
    assert again.let_in(60) == 60
