"""How long two gateways on one store take for a round in which they share limits of many keys.

    python benchmarks/gateway/share_rounds.py --names 1000              # table
    python benchmarks/gateway/share_rounds.py --url postgresql://… --json

Each key is limited in requests, in tokens and in dollars, and has spent something on each day of the month. Between two
rounds of a gateway a part of the keys is used (`--active`). What is timed is the recorder's `share`, which also runs
once each quarter of a second in a gateway: milliseconds of wall clock, and of processor time of this process.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from sqlalchemy import insert

from freehold.gateway.capture.limit_accounts import Billing, LimitAccounts
from freehold.gateway.config import GatewayConfig
from freehold.gateway.limits.ledger import SpendLedger
from freehold.gateway.limits.rates import SharedRates
from freehold.gateway.messages import TableMessage
from freehold.gateway.telemetry.meters import Meters
from freehold.store import open_store
from freehold.store.tables import spending
from freehold.types.route import ApiKey, Limits

LIMITS = Limits(requests_per_minute=600, tokens_per_minute=100_000, usd_per_day=Decimal(10))


class OneGateway:
    """A recorder's accounts, and what its workers write in the run folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        config = GatewayConfig(endpoints=())
        self.accounts = LimitAccounts(config, folder, Billing(config, Meters()))
        self.rates = SharedRates(folder)
        self.money = SpendLedger(folder, folder.name)

    def use(self, names: list[str]) -> None:
        """One request of 100 tokens and a hundredth of a cent under each name."""
        for name in names:
            with self.rates.counting() as counted:
                counted(name, time.monotonic()).add(1, 100)
        self.money.change(names, 100_000)


def measured(url: str, folder: Path, names: int, active: float, rounds: int) -> dict[str, float]:
    """Milliseconds a round, of wall clock and of processor time."""
    draw = random.Random(5)
    keys = tuple(ApiKey(name=f"k{number}", hash=f"h{number}", limits=LIMITS) for number in range(names))
    table = TableMessage(routes=(), keys=keys)
    counted = [f"key:{key.name}" for key in keys]
    now = datetime.now(UTC)
    with open_store(url) as store:
        rows = [
            {"name": name, "day": f"{now:%Y-%m}-{day:02}", "nano_usd": 10_000_000}
            for name in counted
            for day in range(1, now.day + 1)
        ]
        with store.database.writing() as connection:
            connection.execute(insert(spending), rows)
        gateways = [OneGateway(folder / name) for name in ("one", "two")]
        for gateway in gateways:
            gateway.accounts.learn(store, table)
        walls, cpus = [], []
        for turn in range(rounds + 6):
            for gateway in gateways:
                gateway.use(draw.sample(counted, int(names * active)))
                began, began_cpu = time.perf_counter(), time.process_time()
                gateway.accounts.share(store)
                if turn >= 6:  # by then each knows what the other holds
                    walls.append((time.perf_counter() - began) * 1000)
                    cpus.append((time.process_time() - began_cpu) * 1000)
    cut = statistics.quantiles(walls, n=20)
    return {
        "p50_ms": statistics.median(walls),
        "p95_ms": cut[-1],
        "cpu_p50_ms": statistics.median(cpus),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--names", type=int, default=1000)
    parser.add_argument("--active", type=float, nargs="*", default=[0.0, 0.1, 1.0], help="parts of the keys")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--url", help="another store than a SQLite file that goes afterwards")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for active in options.active:
        with tempfile.TemporaryDirectory() as folder:
            url = options.url or f"sqlite:///{folder}/store.sqlite"
            found = measured(url, Path(folder), options.names, active, options.rounds)
        rows.append({"names": options.names, "active": active, **found})
    if options.json:
        print(json.dumps(rows))
        return 0
    print(f"{'names':>6} {'in use':>7} {'p50 ms':>8} {'p95 ms':>8} {'CPU p50':>8}")
    for row in rows:
        print(
            f"{row['names']:6} {row['active']:7.0%} {row['p50_ms']:8.1f} {row['p95_ms']:8.1f} {row['cpu_p50_ms']:8.1f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
