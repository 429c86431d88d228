"""Bills become dollars, each once."""

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from freehold.gateway.capture.billing import Billing
from freehold.gateway.config import GatewayConfig
from freehold.gateway.messages import NumberedCharge
from freehold.gateway.spending import Charge
from freehold.gateway.telemetry.meters import Meters
from freehold.store import open_store
from freehold.store.usage import spent
from freehold.types.config import PriceConfig
from freehold.types.endpoint import Endpoint

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def bill(number, *, endpoint="paid", worker="w"):
    charge = Charge(["key:a"], endpoint, "m", 1000, 0, 0)
    return msgspec.msgpack.encode(NumberedCharge(worker, number, int(NOW.timestamp() * 1000), charge))


def test_a_bill_that_is_sent_again_is_booked_once(tmp_path):
    endpoint = Endpoint(name="paid", engine="remote", base_url="http://x")
    prices = {"paid": PriceConfig(prompt=Decimal(1000), completion=Decimal(0))}
    url = f"sqlite:///{tmp_path / 's.sqlite3'}"
    config, meters = GatewayConfig(endpoints=(endpoint,), store_url=url, prices=prices), Meters()
    with open_store(url) as store:
        billing = Billing(config, meters)
        for payload in (bill(1), bill(2), bill(2), bill(1, worker="other"), b"not a bill"):
            billing.add("source", payload)
        assert Counter(billing.book(store, at=NOW)) == {"source": 5}, "all are done with"
        again = Billing(config, meters)  # as after a recorder's death
        again.add("source", bill(2))
        again.add("source", bill(3))
        assert len(again.book(store, at=NOW)) == 2
        assert spent(store.database, "2026-03-01", "2026-03")["key:a"].day_usd == Decimal(4)
    assert meters.counters["freehold_spend_usd", ("key:a",)] == 4.0
    assert meters.counters["freehold_bills", ("unreadable",)] == 1
