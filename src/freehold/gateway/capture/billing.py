"""The recorder's side of money: bills of workers become dollars in the store, each booked once."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

import msgspec

from freehold.gateway.capture.leftovers import DeadSpool
from freehold.gateway.config import GatewayConfig
from freehold.gateway.limits.ledger import NANO
from freehold.gateway.messages import NumberedCharge
from freehold.gateway.spending import Charge, usd_of
from freehold.gateway.telemetry.meters import Meters
from freehold.store import Store
from freehold.store.shares import BilledCost, book

log = logging.getLogger("freehold.gateway.recorder")
_BATCH = 1000
_decode = msgspec.msgpack.Decoder(NumberedCharge).decode


class MessageSource(Protocol):
    """Where a message came from, and is acknowledged to: a worker, or the spool of one that is gone."""

    def acknowledge(self, tag: int, outcome: int, count: int) -> None:
        """Done with the oldest `count` of a kind."""


class Billing:
    """Bills that wait to be booked. `add` may be called from another thread than the rest."""

    def __init__(
        self, config: GatewayConfig, meters: Meters, *, count: Callable[[Charge], None] = lambda charge: None
    ) -> None:
        self.config = config
        self._count_tokens = count
        self._meters = meters
        self._bills: deque[tuple[MessageSource, bytes]] = deque()
        self.unpriced: dict[str, str] = {}
        """Names with charges of an unknown price, and the model's name."""

    def add(self, source: MessageSource, payload: bytes) -> None:
        self._bills.append((source, payload))

    def book(self, store: Store, *, at: datetime) -> list[MessageSource]:
        """Book what waits; the sources of all that is done with. Raises `StorageError`, and then nothing is lost."""
        done: list[MessageSource] = []
        while self._bills:
            batch = [self._bills[index] for index in range(min(_BATCH, len(self._bills)))]
            costs, charges = [], []
            for _, payload in batch:
                bill = _read(payload)
                if bill is None:
                    self._meters.count("freehold_bills", "unreadable")
                    continue
                usd = usd_of(bill.charge, self.config, at=at)
                day = datetime.fromtimestamp(bill.at_ms / 1000, UTC).strftime("%Y-%m-%d")
                cost = BilledCost(bill.worker, bill.number, day, bill.charge.names, usd or Decimal(0))
                costs.append(cost)
                charges.append((cost, bill, usd))
            new = {id(cost) for cost in book(store.database, costs, at=at)}
            for cost, bill, usd in charges:
                if id(cost) in new:
                    self._count(bill, usd)
            for source, _ in batch:
                self._bills.popleft()
                done.append(source)
        return done

    def book_rest(self, store: Store, dead: DeadSpool, reserved_nano: dict[str, int]) -> None:
        """Book as spent what a worker had reserved when it was killed, and no bill in its spool accounts for."""
        now = datetime.now(UTC)
        costs = []
        for number, (name, nano) in enumerate(sorted(reserved_nano.items()), 1):
            rest = nano - dead.billed_nano.get(name, 0)
            if rest > 0:
                usd = Decimal(rest) / NANO
                log.warning("%s: %.6f USD that a killed worker had reserved are booked as spent", name, usd)
                self._meters.count("freehold_bills", "orphaned")
                costs.append(BilledCost(f"{dead.id}-rest", number, now.strftime("%Y-%m-%d"), [name], usd))
        if costs:
            book(store.database, costs, at=now)

    def _count(self, bill: NumberedCharge, usd: Decimal | None) -> None:
        """In the metrics; where a price is unknown, names with a cap let nothing more through."""
        charge = bill.charge
        self._count_tokens(charge)
        if charge.implausible:
            self._meters.count("freehold_bills", "implausible")
            log.warning(
                "endpoint %s reports far more tokens than its answer shows; they are billed", charge.endpoint
            )
        if charge.estimated:
            self._meters.count("freehold_bills", "estimated")
        self._meters.count("freehold_bills", "unpriced" if usd is None else "priced")
        for name in charge.names:
            if usd is not None:
                self._meters.count("freehold_spend_usd", name, by=float(usd))
            elif name not in self.unpriced:
                log.warning(
                    "the price of %s is unknown: the spend cap of %s cannot be kept", charge.model, name
                )
                self.unpriced[name] = charge.model


def _read(payload: bytes) -> NumberedCharge | None:
    try:
        return _decode(payload)
    except msgspec.DecodeError:
        log.warning("a bill cannot be read and is not booked")
        return None
