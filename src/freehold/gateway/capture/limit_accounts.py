"""The recorder's side of limits and money: what this gateway used goes to the store, what it may use comes from there.

Bills of workers become dollars in the store, each booked once. While a gateway is alone on its store nothing is asked
of the store for a rate, and what is left of money is all its own. With others beside it, it holds a share of each limit
(`store.shares`) and writes it where its workers count.
"""

from __future__ import annotations

import logging
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec

from freehold.gateway.capture.spool import SpoolReader
from freehold.gateway.config import GatewayConfig
from freehold.gateway.limits.ledger import NANO, SpendLedger, nano_of
from freehold.gateway.limits.rates import IS_SHARED, REQUESTS, TOKENS, WINDOW_S, SharedRates
from freehold.gateway.messages import NumberedCharge, TableMessage, UsageTotals
from freehold.gateway.spending import Charge, usd_of
from freehold.gateway.telemetry.meters import Meters
from freehold.store import Store, leases
from freehold.store.shares import (
    BilledCost,
    Granted,
    ShareKind,
    ShareRounds,
    Spent,
    Wanted,
    book,
    in_usd,
    spent_nano,
)
from freehold.types.route import Limits

ALIVE_S = 5.0
HELD_S = WINDOW_S + 1 + ALIVE_S
"""For how long a share counts after its gateway was last heard of: until all that it may have let in is out of the
minute, with as much to spare as the machines' clocks may differ."""
_SHORT_FOR_S = 10.0
_KIND = "gateway"
_NO_LIMITS = Limits()
_AT_ONCE = 100  # counters looked at under one lock, which workers wait for
_RATES: tuple[tuple[int, ShareKind], ...] = ((REQUESTS, "requests"), (TOKENS, "tokens"))


class LimitAccounts:
    """`owner` is what other gateways know this one by."""

    def __init__(
        self, config: GatewayConfig, run_folder: Path, billing: Billing, *, owner: str | None = None
    ) -> None:
        self.config = config
        self._run_folder = run_folder
        self._billing = billing
        self._ledger = SpendLedger(run_folder)
        self._rates: SharedRates | None = None
        self._table = TableMessage(routes=())
        self._limits = limits_by_name(config, self._table)
        self._published = False
        self._short_until_s: dict[tuple[str, ShareKind], float] = {}
        # The gateway's, not this process's: a recorder that is started again would be a second gateway beside itself.
        self._owner = owner or f"{socket.gethostname()}:{run_folder.name}"
        self._rounds = ShareRounds(self._owner)
        self._in_usd: dict[str, tuple[tuple[int, int], Spent]] = {}

    def learn(self, store: Store, table: TableMessage) -> None:
        """Before the workers hear of new limits: say what was spent under each, and what may be used."""
        self._table = table
        now = datetime.now(UTC)
        owners = self._alive(store, now) if self._has_limits() else [self._owner]
        self._publish(store, owners, now)

    def share(self, store: Store) -> tuple[UsageTotals, list[SpoolReader]] | None:
        """Book, and say what workers are to know, with the spools of the bills that are booked. None where nothing is
        limited."""
        now = datetime.now(UTC)
        done = self._billing.book(store, at=now)
        if not (self._has_limits() or done):
            return None
        owners = self._alive(store, now)
        spending = self._publish(store, owners, now)
        totals = UsageTotals(
            day=now.strftime("%Y-%m-%d"),
            spent=[(name, *usd) for name, usd in spending.items()],
            unpriced=self._billing.unpriced,
            gateways=len(owners),
            rank=owners.index(self._owner),
        )
        return totals, done

    def take(self, worker: str) -> dict[str, int]:
        """What a worker that is gone had reserved, in nanodollars by name; it is free from now on."""
        return self._ledger.take(worker)

    def leave(self, store: Store) -> None:
        """At the end: the gateway that follows is not beside this one. What this one holds of limits stays held."""
        leases.give_back(store.database, f"{_KIND}:{self._owner}", self._owner)

    def _has_limits(self) -> bool:
        self._limits = limits_by_name(self.config, self._table)
        return bool(self._limits)

    def _alive(self, store: Store, now: datetime) -> list[str]:
        return leases.alive(store.database, _KIND, self._owner, at=now, seconds=ALIVE_S)

    def _publish(self, store: Store, owners: Sequence[str], now: datetime) -> Mapping[str, Spent]:
        day = now.strftime("%Y-%m-%d")
        others = [owner for owner in owners if owner != self._owner]
        granted = self._exchange(store, others, now) if self._takes_part(others) else None
        capped = [name for name, limits in self._limits.items() if limits.caps_spending]
        if granted is not None and capped:
            spending = granted.spent
        else:
            with store.database.reading() as connection:
                spending = spent_nano(connection, day, day[:7])
        self._ledger.publish(capped, spending, at=now)
        self._published = True
        # From here on money is shared or not: the figures are of now.
        self._ledger.beat(shared=granted is not None)
        return self._dollars(spending)

    def _dollars(self, spending: Mapping[str, tuple[int, int]]) -> dict[str, Spent]:
        known = self._in_usd
        for name, nano in spending.items():
            told = known.get(name)
            if told is None or told[0] != nano:
                known[name] = (nano, in_usd(nano))
        return {name: known[name][1] for name in spending}

    def _takes_part(self, others: Sequence[str]) -> bool:
        """Whether limits are shared: others live, or did until now."""
        return bool(others) or (
            any(self._run_folder.glob("rates-*")) and bool(self._opened().words[IS_SHARED])
        )

    def _exchange(self, store: Store, others: Sequence[str], now: datetime) -> Granted | None:
        """Say what is held of each limit, and write down what may be used; None where no other gateway has a part."""
        rates = self._opened()
        rated = [name for name, limits in self._limits.items() if limits.counts_rates]
        if not rates.words[IS_SHARED] and not self._published:
            # It comes to others: its workers have not been told of any limit yet.
            with rates.locked():
                rates.words[IS_SHARED] = True
        was_shared = bool(rates.words[IS_SHARED])
        wants = [*self._wanted_rates(rates, rated), *self._wanted_money(was_shared)]
        caps = {
            name: (nano_or_none(limits.usd_per_day), nano_or_none(limits.usd_per_month))
            for name, limits in self._limits.items()
            if limits.caps_spending
        }
        granted = self._rounds.exchange(store.database, others, wants, at=now, seconds=HELD_S, caps=caps)
        if granted is not None:
            # Most stay as they are: only what changes is written, under the lock that workers wait for.
            changed = {one.name for one in wants if one.held != granted.shares[one.name, one.kind]}
            now_s = time.monotonic()
            for names in self._in_parts(rates, [name for name in rated if name in changed]):
                for name in names:
                    for kind, word in _RATES:
                        rates.counter(name, now_s).set_share(kind, granted.shares.get((name, word), 0))
        for name in caps:
            share = None if granted is None else granted.shares.get((name, "nano_usd"), 0)
            alone = granted is not None and name in granted.alone
            if not (file := self._ledger.file(name)).is_told(share, alone=alone):
                file.set_share(share, alone=alone)
        with rates.locked():
            rates.words[IS_SHARED] = granted is not None
        return granted

    def _wanted_rates(self, rates: SharedRates, names: Sequence[str]) -> list[Wanted]:
        found: list[Wanted] = []
        now_s = time.monotonic()
        is_shared = bool(rates.words[IS_SHARED])
        for part in self._in_parts(rates, names):
            for name in part:
                limits, counter = self._limits[name], rates.counter(name, now_s)
                for kind, word in _RATES:
                    limit = limits.tokens_per_minute if kind else limits.requests_per_minute
                    if limit is not None:
                        held = max(0, counter.share(kind)) if is_shared else None
                        short = self._is_short(name, word, counter.take_short(kind))
                        found.append(Wanted(name, word, limit, held, counter.used(kind), short))
        return found

    def _wanted_money(self, was_shared: bool) -> list[Wanted]:
        found = []
        for name, limits in self._limits.items():
            if limits.caps_spending:
                file = self._ledger.file(name)
                held = (file.share() or 0) if was_shared else None
                short = self._is_short(name, "nano_usd", file.is_short)
                found.append(Wanted(name, "nano_usd", 0, held, file.reserved(), short, file.may_go_alone))
        return found

    def _is_short(self, name: str, kind: ShareKind, short: bool) -> bool:
        """Remembered for a while: a share that came and went with each refusal would cost a refusal each time."""
        if not short and not self._short_until_s:
            return False
        now_s = time.monotonic()
        if short:
            self._short_until_s[name, kind] = now_s + _SHORT_FOR_S
        return self._short_until_s.get((name, kind), 0.0) > now_s

    def _in_parts(self, rates: SharedRates, names: Sequence[str]) -> Iterator[Sequence[str]]:
        for start in range(0, len(names), _AT_ONCE):
            with rates.locked():
                yield names[start : start + _AT_ONCE]

    def _opened(self) -> SharedRates:
        if self._rates is None:
            self._rates = SharedRates(self._run_folder)
        return self._rates


def limits_by_name(config: GatewayConfig, table: TableMessage) -> dict[str, Limits]:
    """The limits of the configuration and of the store, by the names they are counted under; a route of the store
    stands in the place of the configuration's."""
    found: dict[str, Limits] = {}
    told: Iterable[tuple[str, Limits]] = [
        *((f"route:{route.name}", route.limits) for route in (*config.routes, *table.routes)),
        *(
            (f"key:{key.name}", key.limits)
            for key in (*config.api_keys, *table.keys)
            if key.revoked_at is None
        ),
        *((one.account, one.limits) for one in table.labels),
    ]
    for name, limits in told:
        found[name] = limits
    return {name: limits for name, limits in found.items() if limits != _NO_LIMITS}


def nano_or_none(usd: Decimal | None) -> int | None:
    """Nanodollars of a cap."""
    return None if usd is None else nano_of(usd)


log = logging.getLogger("freehold.gateway.recorder")
_BATCH = 1000
_decode = msgspec.msgpack.Decoder(NumberedCharge).decode


class Billing:
    """Bills that wait to be booked, each from a worker's spool."""

    def __init__(
        self, config: GatewayConfig, meters: Meters, *, count: Callable[[Charge], None] = lambda charge: None
    ) -> None:
        self.config = config
        self._count_tokens = count
        self._meters = meters
        self._bills: deque[tuple[SpoolReader, bytes]] = deque()
        self.unpriced: dict[str, str] = {}
        """Names with charges of an unknown price, and the model's name."""

    def add(self, source: SpoolReader, payload: bytes) -> None:
        self._bills.append((source, payload))

    def book(self, store: Store, *, at: datetime) -> list[SpoolReader]:
        """Book what waits; the spools of all that is done with. Raises `StorageError`, and then nothing is lost."""
        done: list[SpoolReader] = []
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

    def book_rest(
        self, store: Store, worker: str, reserved_nano: dict[str, int], billed_nano: dict[str, int]
    ) -> None:
        """Book as spent what a worker had reserved when it was killed, and no bill accounts for."""
        now = datetime.now(UTC)
        costs = []
        for number, (name, nano) in enumerate(sorted(reserved_nano.items()), 1):
            rest = nano - billed_nano.get(name, 0)
            if rest > 0:
                usd = Decimal(rest) / NANO
                log.warning("%s: %.6f USD that a killed worker had reserved are booked as spent", name, usd)
                self._meters.count("freehold_bills", "orphaned")
                costs.append(BilledCost(f"{worker}-rest", number, now.strftime("%Y-%m-%d"), [name], usd))
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
