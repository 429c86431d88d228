"""The messages between the processes of a gateway, as they are on the wire."""

from decimal import Decimal

import msgspec
from tests.gateway.capture.exchanges import captured

from freehold.gateway.config import ApiKey
from freehold.gateway.messages import CapturedExchange, NumberedCharge, TableMessage, UsageReport, UsageTotals
from freehold.gateway.spending import Charge
from freehold.types.route import Route, Target


def there_and_back(message, codec):
    return codec.decode(codec.encode(message), type=type(message))


def test_an_exchange_travels_as_bytes_untouched():
    exchange = msgspec.structs.replace(captured(), response=b"\x00\xff data: {broken", ttft_ms=1.5)
    assert there_and_back(exchange, msgspec.msgpack) == exchange
    assert isinstance(msgspec.msgpack.decode(msgspec.msgpack.encode(exchange)), list), "without field names"
    assert CapturedExchange.__struct_fields__[0] == "id"


def test_usage_and_money_keep_their_digits():
    report = UsageReport(7, {"key:a": (1, 20)})
    assert there_and_back(report, msgspec.msgpack) == report
    bill = NumberedCharge("worker", 3, 17, Charge(["key:a"], "e", "m", 9, 0, 3))
    assert there_and_back(bill, msgspec.msgpack) == bill
    totals = UsageTotals(
        day="2026-11-26",
        spent=[("key:a", Decimal("0.000000123456789"), Decimal("12.10"))],
        gateways=3,
        rank=2,
    )
    assert there_and_back(totals, msgspec.msgpack) == totals


def test_a_table_has_routes_and_keys():
    route = Route(name="r", model="m", incumbent=Target(endpoint="e"))
    table = TableMessage(routes=(route,), keys=(ApiKey(name="a", hash="h"),), revision=4)
    assert there_and_back(table, msgspec.json) == table
