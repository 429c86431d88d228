"""What a gateway may use of limits, as its recorder writes it for its workers: alone, beside others, started again."""

import asyncio
from decimal import Decimal

import pytest

from freehold.gateway.capture.limit_accounts import Billing, LimitAccounts
from freehold.gateway.config import GatewayConfig
from freehold.gateway.limits.ledger import NANO, SpendLedger
from freehold.gateway.limits.limiter import Limiter
from freehold.gateway.messages import TableMessage
from freehold.gateway.telemetry.meters import Meters
from freehold.store import open_store
from freehold.types.endpoint import Endpoint
from freehold.types.route import ApiKey, Limits
from freehold.wire.errors import ApiError

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


def test_a_gateway_that_is_started_again_remembers_its_minute(store, tmp_path):
    one = OneGateway(tmp_path / "one", "one")
    one.accounts.learn(store, TABLE)
    assert one.let_in(60) == 60
    one.accounts.share(store)
    with store.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM leases")
    again = OneGateway(tmp_path / "again", "again")
    again.accounts.learn(store, TABLE)
    assert again.let_in(60) <= 2, "but for what the even spread puts out of the minute"


def test_a_gateway_that_follows_one_that_was_killed_remembers_its_minute_when_that_one_is_gone(
    store, tmp_path
):
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
    assert again.let_in(60) <= 2
