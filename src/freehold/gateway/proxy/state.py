"""What a worker process holds: the table in force, the pool, the breakers, the counters, the spool."""

from __future__ import annotations

import random

from freehold.gateway.capture.spool import Spool
from freehold.gateway.config import GatewayConfig
from freehold.gateway.http.upstreams import Breaker, Upstreams
from freehold.gateway.limits.keys import KeyRing
from freehold.gateway.limits.limiter import Limiter
from freehold.gateway.proxy.routing import RouteTable
from freehold.gateway.telemetry.meters import Meters
from freehold.gateway.telemetry.request_log import Teller


class WorkerState:
    """Everything the hot path reaches for. `table` and `keys` are replaced whole when something changes."""

    def __init__(self, config: GatewayConfig, table: RouteTable, spool: Spool | None) -> None:
        self.config = config
        self.table = table
        self.keys = KeyRing(config.api_keys, waiting=config.keys_in_store)
        self.upstreams = Upstreams(config)
        self.meters = Meters()
        self.spool = spool
        self.limiter = Limiter()
        self.teller: Teller | None = None
        self.draw = random.Random().random
        self._breakers: dict[str, Breaker] = {}

    def unreached(self) -> list[str]:
        """Endpoints that are given a pause because they could not be reached."""
        return [name for name, one in self._breakers.items() if one.opened_until and one.unreached]

    def breaker(self, endpoint: str) -> Breaker:
        found = self._breakers.get(endpoint)
        if found is None:
            found = self._breakers[endpoint] = Breaker(
                self.config.breaker_failures, self.config.breaker_pause_s
            )
        return found
