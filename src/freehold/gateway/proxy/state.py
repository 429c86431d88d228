"""What a worker process holds: the routes in force, the connections, the circuit breakers, the counters."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from freehold.gateway.capture.spool import DROPS, OUTCOMES, Spool, digest_of
from freehold.gateway.config import RECORDER_SOCKET, GatewayConfig
from freehold.gateway.http.certificate import ServerCertificate
from freehold.gateway.http.health import CircuitBreaker, HealthChecks, SpokenApis
from freehold.gateway.http.memory import MemoryBudget
from freehold.gateway.http.upstreams import Upstreams
from freehold.gateway.limits.keys import KeyRing
from freehold.gateway.limits.ledger import SpendLedger
from freehold.gateway.limits.limiter import Limiter
from freehold.gateway.messages import (
    MESSAGE_HEAD,
    RING_FILE,
    TABLE,
    TOTALS,
    NumberedCharge,
    TableMessage,
    UsageTotals,
)
from freehold.gateway.proxy.preparer import Preparer
from freehold.gateway.proxy.reading import AnswerChecker, BodyReader
from freehold.gateway.proxy.routing import RouteTable
from freehold.gateway.proxy.rules import Rules
from freehold.gateway.spending import Charge
from freehold.gateway.telemetry.meters import Meters
from freehold.gateway.telemetry.request_log import Exporter, LogExporter, Reporter, SpanExporter
from freehold.types.route import Route
from freehold.wire.hosts import HostPolicy

log = logging.getLogger("freehold.gateway")
_FOREIGN_HOSTS_MAX = 20
_WAYS_BACK_EVERY_S = 10.0
_RECONNECT_EVERY_S = 0.5


class WorkerState:
    """Everything the hot path reaches for. `table` and `keys` are replaced whole when something changes.

    `run_folder` is shared by the processes of one gateway.
    """

    def __init__(self, config: GatewayConfig, run_folder: Path) -> None:
        self.config = config
        self.run_folder = run_folder
        self.started_at = int(time.time())
        self.config_since_s = time.time()
        self.rollbacks: dict[str, int] = {}
        """Rollbacks of each route since the store was made."""
        self._stored_routes: tuple[Route, ...] = ()
        self.table = self._new_table()
        self.hosts = HostPolicy(config.hosts, listens=config.host)
        self.memory = MemoryBudget(config.body_memory_bytes)
        self.reader = BodyReader()
        self.checker = AnswerChecker()
        # A client that asks before the keys are known is not let in, whether there will be keys or not.
        self.keys = KeyRing(
            config.api_keys, required=config.keys_required, waiting=config.store_url is not None
        )
        self.ring_known = asyncio.Event()
        self.on_revoked: Callable[[], None] | None = None
        """Told where a key has ended: what it has under way ends with it."""
        self._read_ring()
        self.meters = Meters()
        self.preparer = Preparer(self.reader, self.meters)
        self.rules = Rules()
        self.upstreams = Upstreams(config, self.memory)
        self.spoken = SpokenApis(self.upstreams)
        self.health = HealthChecks(self.upstreams, self.preparer.trouble)
        self.limiter = Limiter(run_folder)
        self.certificate: ServerCertificate | None = None
        """What clients are shown, where they connect over TLS."""
        self.spool: Spool | None = None
        if config.store_url is not None:
            self.spool = Spool(
                config.spool_in(run_folder),
                digest_of(config.store_url),
                digest_of(str(run_folder)),
                max_items=config.capture_queue,
                max_bytes=config.capture_queue_bytes,
            )
            self.meters.owner = self.spool.id
        self.telling = Reporter(_exporters(config))
        self.reporter = self.telling if config.log_requests or config.otel else None
        """What is told of requests; None where nothing is, so that they need not be summed up."""
        self.hears_recorder = False
        self._bills = self._released = 0
        self._reserved: deque[tuple[Sequence[str], int]] = deque()
        self.ledger = SpendLedger(run_folder, self.meters.owner)
        self.contexts: dict[str, int] = {}
        self.list_prices: dict[tuple[object, ...], tuple[float, tuple[float, float] | None]] = {}
        self._unkept: deque[bytes] = deque()
        self.draw = random.Random().random
        self._foreign_hosts: set[str] = set()
        self._breakers: dict[str, CircuitBreaker] = {}
        self._ways_back_checked_s = 0.0

    async def check_failing(self) -> None:
        """Have health checks say how the endpoints are that kept failing, and now and then those that a promoted
        candidate's requests could go back to."""
        now_s = time.monotonic()
        if now_s >= self._ways_back_checked_s + _WAYS_BACK_EVERY_S:
            self._ways_back_checked_s = now_s
            back = {one.incumbent.endpoint for one in self.table.all_routes() if one.state == "promoted"}
            await self.health.all(self.table.endpoints[name] for name in back if name in self.table.endpoints)
        due = {name: one for name, one in self._breakers.items() if one.wants_check(now_s)}
        found = await self.health.all(
            self.table.endpoints[name] for name in due if name in self.table.endpoints
        )
        for name, breaker in due.items():
            breaker.judge(time.monotonic(), answers=name not in found or found[name].answers)

    def log_foreign_host(self, host: str) -> None:
        """Tell the operator of a refused host name and the way to allow it: once for each, and of few."""
        if host not in self._foreign_hosts and len(self._foreign_hosts) < _FOREIGN_HOSTS_MAX:
            self._foreign_hosts.add(host)
            log.warning(
                "refused a request for the host %r; if that is this gateway, say so: --allow-host or [serve] hosts",
                host[:200],
            )

    def breaker(self, endpoint: str) -> CircuitBreaker:
        """The circuit breaker of an endpoint."""
        breaker = self._breakers.get(endpoint)
        if breaker is None:
            breaker = self._breakers[endpoint] = CircuitBreaker(
                endpoint, failures=self.config.breaker_failures, pause_s=self.config.breaker_pause_s
            )
        return breaker

    def update_config(self, config: GatewayConfig) -> None:
        """Take over what a configuration that came while the gateway ran has of `live.TAKEN_OVER`."""
        self.config = config
        self.config_since_s = time.time()
        self.hosts = HostPolicy(config.hosts, listens=config.host)
        self.table = self._new_table()

    def write_meters(self) -> None:
        """Leave this worker's numbers in the run folder."""
        if self.spool is not None:
            stored, *lost = self.spool.settled
            self.meters.set("freehold_traces_captured", self.spool.captured)
            self.meters.set("freehold_traces_stored", stored)
            for why, count in zip(OUTCOMES[1:], lost, strict=True):
                self.meters.set("freehold_traces_lost", count, why)
            for why, count in zip(DROPS, self.spool.dropped, strict=True):
                self.meters.set("freehold_traces_dropped", count, why)
        if self.reporter is not None:
            self.meters.set("freehold_requests_untold", self.reporter.dropped)
        self.meters.held_bytes = self.memory.used_bytes
        self.meters.answers = self.health.known()
        self.meters.open_breakers = tuple(
            name for name, breaker in self._breakers.items() if breaker.open_since_s is not None
        )
        self.meters.set("freehold_uploads_evicted", self.memory.evictions)
        # A full disk must not stop traffic; the numbers are simply older then.
        with contextlib.suppress(OSError):
            self.meters.write(self.run_folder)

    def bill(self, charge: Charge, names: Sequence[str] = (), nano: int = 0) -> None:
        """Keep what an answer cost; when this returns, the worker may die.

        `nano` billionths of a dollar stay reserved for `names` until it is booked.
        """
        if self.spool is None:
            return
        self._reserved.append((names, nano))
        self._bills += 1
        bill = NumberedCharge(self.spool.id, self._bills, int(time.time() * 1000), charge, nano)
        self._unkept.append(msgspec.msgpack.encode(bill))
        self.keep_bills()

    def keep_bills(self) -> None:
        """Write bills to the spool; while the disk is full they wait in memory, for money must not be forgotten. Of
        those that are in the store, and in what the ledger says was spent, nothing is reserved any more."""
        spool = self.spool
        while spool is not None and self._unkept and spool.charge(self._unkept[0]):
            self._unkept.popleft()
        if spool is not None:
            spool.write_waiting()
        while spool is not None and self._released < spool.booked:
            names, nano = self._reserved.popleft()
            self._released += 1
            spool.note_released(self._released)
            if nano:
                self.ledger.change(names, -nano)

    async def follow_recorder(self) -> None:
        """Take over what the recorder sends: what all gateways used of limits, or routes and keys."""
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(str(self.run_folder / RECORDER_SOCKET))
                self.hears_recorder = True
                try:
                    while True:
                        size, tag = MESSAGE_HEAD.unpack(await reader.readexactly(MESSAGE_HEAD.size))
                        payload = await reader.readexactly(size)
                        if tag == TOTALS:
                            self.limiter.learn(msgspec.msgpack.decode(payload, type=UsageTotals))
                        elif tag == TABLE:
                            self._take_over(msgspec.json.decode(payload, type=TableMessage))
                finally:
                    self.hears_recorder = False
                    writer.close()
            except (OSError, asyncio.IncompleteReadError):
                pass  # it is starting, or is being started again
            except Exception:
                log.exception("what the recorder sends cannot be read")
            await asyncio.sleep(_RECONNECT_EVERY_S)

    def _read_ring(self) -> None:
        """Begin with the last ring the recorder has seen, where one is left: it may be stuck by now."""
        if self.config.store_url is None:
            self.ring_known.set()
            return
        try:
            data = (self.run_folder / RING_FILE).read_bytes()
            self._take_over(msgspec.json.decode(data, type=TableMessage))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            log.warning("the keys left by the recorder cannot be read, so they are waited for: %s", error)

    def _take_over(self, message: TableMessage) -> None:
        if message.problem is None:
            self._stored_routes = message.routes
            self.rollbacks = message.rollbacks
            self.table = self._new_table()
        before = self.keys
        self.keys = KeyRing(
            (*self.config.api_keys, *message.keys),
            message.labels,
            required=message.required or self.config.keys_required,
            problem=message.problem,
        )
        if self.on_revoked is not None and message.problem is None and self.keys.lacks_some_of(before):
            self.on_revoked()
        self.ring_known.set()

    def _new_table(self) -> RouteTable:
        config = self.config
        routes = merged_routes(config, self._stored_routes)
        return RouteTable(
            routes, config.endpoints, default_model=config.default_model, others_to=config.others_to
        )


def _exporters(config: GatewayConfig) -> list[Exporter]:
    exporters: list[Exporter] = [LogExporter()] if config.log_requests else []
    if config.otel:
        exporters.append(SpanExporter())
    return exporters


def merged_routes(config: GatewayConfig, stored: Iterable[Route]) -> list[Route]:
    """The routes in force: those of the store, and those of the configuration that the store has no change of."""
    stored = list(stored)
    names = {route.name for route in stored}
    known = {endpoint.name for endpoint in config.endpoints}
    usable = [route for route in stored if route.incumbent.endpoint in known]
    return [*usable, *(route for route in config.routes if route.name not in names)]
