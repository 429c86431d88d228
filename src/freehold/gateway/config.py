"""The configuration of a gateway, sent to its processes as JSON, and which parts of it one that runs takes over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold import files
from freehold.errors import ConfigError, did_you_mean
from freehold.types.config import CaptureMode, PriceConfig
from freehold.types.deferral import DeferralRule, Tier
from freehold.types.endpoint import Endpoint
from freehold.types.record import Record
from freehold.types.route import ApiKey, Route, Target
from freehold.wire.hosts import check_host_names

Capture = CaptureMode
RETENTION_DAYS_MAX = 36_500
CONFIG_FILE = "config.json"
"""In the run folder: the configuration that replaced the first one while the gateway ran."""
RECORDER_SOCKET = "recorder.sock"
"""There, too: where workers reach the recorder."""


class TlsFiles(Record, frozen=True, kw_only=True):
    """Paths of a certificate chain and its private key, both in PEM."""

    certificate: str
    key: str


class GatewayConfig(Record, frozen=True, kw_only=True):
    """How a gateway is set up.

    `capture` is ``off`` until it is chosen: ``raw`` keeps traces as they are, ``patterns`` first replaces
    what looks like a person's data, ``pii`` asks a library for names as well. `routes` are there from the
    start; a route of the same name in the store takes their place. Where there was never a key (`api_keys` here or in
    the store) every client that reaches the port may ask, unless `keys_required`. `keys_file` keeps that there was one,
    outside the store (default: next to an SQLite store). A `default_model` answers requests that name none.
    With `tls` clients connect over TLS only.
    `body_memory_bytes` bounds what a worker holds of all requests and answers at once.
    Requests are answered under the machine's own names and `hosts` (see `freehold.wire.hosts`).
    What no route, endpoint or page here answers is passed on to the endpoint `others_to`, where one is named.
    The endpoints `without_key` may lack the environment variable of their key: they answer nothing and are never ready.
    Spans (`otel`) go where OpenTelemetry's own variables say. `drain_s` is what answers under way get to finish.
    `attributions` are texts that models' licences ask to be shown, by base model. `spool_folder` holds what was
    answered and is not in the store yet; without one it is next to a SQLite store, else in the run folder.
    """

    endpoints: tuple[Endpoint, ...]
    others_to: str | None = None
    without_key: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8420
    tls: TlsFiles | None = None
    hosts: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    store_url: str | None = None
    spool_folder: str | None = None
    capture: Capture = "off"
    capture_opt_out: bool = False
    capture_queue: int = 10_000
    capture_queue_bytes: int = 64 * 1024 * 1024
    workers: int = 1
    api_keys: tuple[ApiKey, ...] = ()
    keys_required: bool = False
    keys_file: str | None = None
    prices: dict[str, PriceConfig] = {}
    default_model: str | None = None
    attributions: dict[str, str] = {}
    max_body_bytes: int = 64 * 1024 * 1024
    body_memory_bytes: int = 192 * 1024 * 1024
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 600.0
    drain_s: float = 30.0
    retries: int = 2
    breaker_failures: int = 5
    breaker_pause_s: float = 5.0
    shadow_concurrency: int = 8
    retention_days: float | None = None
    retention_bytes: int | None = None
    log_requests: bool = False
    otel: bool = False

    def spool_in(self, run_folder: Path) -> Path:
        """The folder of the workers' spools."""
        if self.spool_folder is not None:
            return Path(self.spool_folder)
        kind, _, path = (self.store_url or "").partition(":///")
        if kind.startswith("sqlite") and path and path != ":memory:":
            return Path(files.path_in_url(path.partition("?")[0])).parent / "spool"
        return run_folder / "spool"

    def charges(self, endpoint_name: str) -> bool:
        """Whether an endpoint costs money per token: a remote one whose stated price is not zero."""
        price = self.prices.get(endpoint_name)
        if price is not None and not (price.prompt or price.completion):
            return False
        return any(
            endpoint.name == endpoint_name and endpoint.engine_kind.is_rented for endpoint in self.endpoints
        )

    @property
    def largest_body_bytes(self) -> int:
        """The longest body that is accepted: one that could never find room is refused for good."""
        return min(self.max_body_bytes, self.body_memory_bytes // 4 * 3)

    def __post_init__(self) -> None:
        names = [endpoint.name for endpoint in self.endpoints]
        if len(set(names)) != len(names):
            raise ConfigError(f"two endpoints have one name: {', '.join(sorted(names))}")
        if self.others_to is not None and self.others_to not in names:
            raise ConfigError(
                f"others are passed on to the endpoint {self.others_to}, which is not configured"
            )
        check_host_names(self.hosts)
        for endpoint in self.endpoints:
            if not endpoint.base_url.startswith(("http://", "https://")):
                raise ConfigError(
                    f"endpoint {endpoint.name}: {endpoint.base_url!r} is not an http:// or https:// address"
                )
        for route in self.routes:
            check_route(route, names)
            check_rule(route, self.endpoints)
        if self.body_memory_bytes < 4 * 1024 * 1024:
            raise ConfigError(
                f"a worker may hold {self.body_memory_bytes} bytes of requests, expected 4 MiB or more",
                hint="FREEHOLD_BODY_MEMORY_MIB says how many MiB; 192 is the default",
            )
        for name, most in (("retention_days", RETENTION_DAYS_MAX), ("retention_bytes", 2**60)):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= most:
                raise ConfigError(
                    f"{name} is {value:g}, expected 0 to {most:g}",
                    hint="leave it out to keep traces for ever",
                )
        if self.capture != "off" and self.store_url is None:
            raise ConfigError("capture needs a store", hint="give the store's URL, or set capture to off")


def check_route(route: Route, endpoint_names: list[str]) -> None:
    """Raises `ConfigError` for a route that names an unknown endpoint or has impossible values."""
    if not route.name or not route.model:
        raise ConfigError(
            f"route {route.name or '(no name)'} needs a name and the model that clients ask for",
            hint="* stands for any model",
        )
    for target in (route.incumbent, route.candidate, *route.fallback):
        if target is not None and target.endpoint not in endpoint_names:
            raise ConfigError(
                f"route {route.name} names the endpoint {target.endpoint}, which is not configured",
                hint=did_you_mean(
                    target.endpoint, endpoint_names, f"configured here: {', '.join(endpoint_names) or 'none'}"
                ),
            )
    if route.candidate is None and route.state in ("shadow", "canary", "promoted"):
        raise ConfigError(f"route {route.name} is in state {route.state} but has no candidate")
    for name, share in (("canary_share", route.canary_share), ("shadow_share", route.shadow_share)):
        if not 0 <= share <= 1:
            raise ConfigError(f"route {route.name}: {name} is {share}, expected 0 to 1")
    if problem := route.limits.problem:
        raise ConfigError(f"route {route.name}: {problem}")
    if route.first_byte_ms is not None and not 1 <= route.first_byte_ms <= 3_600_000:
        raise ConfigError(
            f"route {route.name}: first_byte_ms is {route.first_byte_ms}, expected 1 to 3,600,000"
        )
    if route.deferral is not None:
        if route.candidate is None:
            raise ConfigError(f"route {route.name} has a rule of deferral but no candidate")
        if (unsound := route.deferral.problem) is not None:
            raise ConfigError(
                f"route {route.name}: its rule of deferral cannot be used: {unsound}",
                hint="freehold defer plan makes one",
            )
    if route.sticky not in ("user", "conversation") and not route.sticky.startswith("header:"):
        raise ConfigError(
            f"route {route.name}: sticky is {route.sticky!r}", hint="write user, conversation or header:NAME"
        )


def check_rule(route: Route, endpoints: Iterable[Endpoint]) -> None:
    """Raises `ConfigError`, naming both, for a rule that was proven for another model than one that is served."""
    known = {one.name: one for one in endpoints}
    if route.deferral is None or route.candidate is None or route.candidate.endpoint not in known:
        return
    if (other := other_tier(route.deferral, route.candidate, route.model, known)) is not None:
        raise ConfigError(
            f"route {route.name}: {other}",
            hint="freehold defer plan proves a rule for the candidate that is served now",
        )


def other_tier(
    rule: DeferralRule, candidate: Target, model: str, endpoints: Mapping[str, Endpoint]
) -> str | None:
    """That a rule was proven for another model than a tier's, naming both; None where it was not. The route's
    `candidate` is asked for by the name `model` where it names none."""
    for tier in rule.tiers:
        endpoint = endpoints.get(tier.endpoint or candidate.endpoint)
        if tier.identity is None or endpoint is None:
            other = other_address(rule, tier, None if endpoint is None else endpoint.base_url)
            if other is not None:
                return other
            continue
        name = (candidate.model or model) if tier is rule.candidate else tier.model
        if (served := endpoint.candidate_id(name)) != tier.identity:
            return (
                f"the rule of deferral {rule.id} was proven for {tier.model} (candidate {tier.identity}), and "
                f"{name} at the endpoint {endpoint.name} is another one (candidate {served})"
            )
    return None


def other_address(rule: DeferralRule, tier: Tier, base_url: str | None) -> str | None:
    """That a tier is not where it was asked for the proof, naming both. `base_url` is of the endpoint that it names
    (None: that is not configured)."""
    if base_url is not None and _same_address(base_url, tier.base_url or ""):
        return None
    found = "is not configured" if base_url is None else f"is at {base_url}"
    return (
        f"the rule of deferral {rule.id} was proven with {tier.model} at {tier.base_url}, and the endpoint "
        f"{tier.endpoint} {found}"
    )


def _same_address(one: str, other: str) -> bool:
    return one.rstrip("/").removesuffix("/v1") == other.rstrip("/").removesuffix("/v1")


def check_apart(route: Route, others: Iterable[Route]) -> None:
    """Raises `ConfigError` where another route answers the same requests: one of them would never be reached."""
    for other in others:
        if (
            other.name != route.name
            and (other.model, other.match_headers) == (route.model, route.match_headers)
            and set(other.match_keys) == set(route.match_keys)
        ):
            raise ConfigError(
                f"route {route.name} would be asked for the same requests as the route {other.name}: {route.model}",
                hint=f"use {other.name} instead, narrow one of them by a header or key, or remove one",
            )


def to_json(config: GatewayConfig) -> bytes:
    return msgspec.json.encode(config)


def from_json(data: bytes) -> GatewayConfig:
    return msgspec.json.decode(data, type=GatewayConfig)


def in_force(run_folder: Path, started: GatewayConfig) -> GatewayConfig:
    """The configuration that replaced the one of the start while the gateway ran; else that one."""
    try:
        return from_json((run_folder / CONFIG_FILE).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return started


TAKEN_OVER = frozenset(
    (
        "endpoints",
        "others_to",
        "without_key",
        "hosts",
        "capture",
        "capture_opt_out",
        "prices",
        "default_model",
        "attributions",
        "retention_days",
        "retention_bytes",
        "drain_s",
    )
)
"""Fields that workers and recorder take over within a second of being told."""
_WORDS_KEPT: dict[Capture, int] = {"off": 0, "pii": 1, "patterns": 2, "raw": 3}


class LiveChange(NamedTuple):
    """What a running gateway is to be set to, the names of the fields that this changes, and of those that wait."""

    config: GatewayConfig
    taken: tuple[str, ...]
    waiting: tuple[str, ...]


def live_change(running: GatewayConfig, wanted: GatewayConfig, *, kept_least: Capture | None) -> LiveChange:
    """What of `wanted` a gateway takes over while it runs.

    `kept_least` is the mode of capture, other than ``off``, that kept least of people's words since its start (None: it
    kept nothing). A mode that keeps more waits for the next start: what was said while less was promised may still be
    on its way to the store.
    """
    taken: list[str] = []
    waiting: list[str] = []
    for field in GatewayConfig.__struct_fields__:
        if getattr(running, field) == getattr(wanted, field):
            continue
        may = field in TAKEN_OVER
        if field == "capture" and kept_least is not None:
            may = _WORDS_KEPT[wanted.capture] <= _WORDS_KEPT[kept_least]
        (taken if may else waiting).append(field)
    changed = {field: getattr(wanted, field) for field in taken}
    return LiveChange(msgspec.structs.replace(running, **changed), tuple(taken), tuple(waiting))


def keeps_less(one: Capture | None, other: Capture) -> Capture | None:
    """Of two modes of capture the one that keeps less of people's words, ``off`` left aside."""
    if other == "off":
        return one
    return other if one is None or _WORDS_KEPT[other] < _WORDS_KEPT[one] else one
