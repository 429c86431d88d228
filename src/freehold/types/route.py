"""Routes: which endpoint answers which requests; keys: who may ask."""

from __future__ import annotations

import math
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal

from freehold.types.deferral import DeferralRule
from freehold.types.record import Record, StoredRecord

Role = Literal["use", "read", "operate", "admin"]
Permission = Literal["ask", "look", "content", "change", "keys"]
PERMISSIONS: dict[Role, frozenset[Permission]] = {
    "use": frozenset({"ask"}),
    "read": frozenset({"look"}),
    "operate": frozenset({"look", "change"}),
    "admin": frozenset({"ask", "look", "content", "change", "keys"}),
}
"""What each role of a key may do: ask models; look at routes, numbers and readiness; read what customers write, in the
console; change routes; manage keys."""
RouteState = Literal["incumbent", "shadow", "canary", "promoted", "rolled_back"]

_LARGEST_LIMITS = {
    "requests_per_minute": 10**12,
    "tokens_per_minute": 10**12,
    "concurrency": 10**9,
    "wait_ms": 3_600_000,
    "usd_per_day": 10**9,
    "usd_per_month": 10**9,
}


class Target(Record, frozen=True, kw_only=True):
    """An endpoint by name, and the model name to ask it for (None: the name the client sent)."""

    endpoint: str
    model: str | None = None


class Limits(Record, frozen=True, kw_only=True):
    """What an API key or a route may use; None means unlimited. Shared by all workers on one store.

    `wait_ms` is how long a request may queue for a free place of `concurrency` before it gets a 429.
    `usd_per_day` and `usd_per_month` (calendar days and months, UTC) cap what is spent at endpoints that cost
    money per token; endpoints of one's own are free and go on answering.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None
    wait_ms: float = 0.0
    usd_per_day: Decimal | None = None
    usd_per_month: Decimal | None = None

    @property
    def problem(self) -> str | None:
        """What is wrong with a limit, if anything: NaN, infinity and what is beyond all measure limit nothing, or end
        in errors where they are compared."""
        for name, most in _LARGEST_LIMITS.items():
            value = getattr(self, name)
            if value is not None and not _is_within(value, most):
                return f"the limit {name} is {str(value)[:40]}, expected 0 to {most:,}"
        return None

    @property
    def counts_tokens(self) -> bool:
        """Whether what an answer used must be known."""
        return self.tokens_per_minute is not None or self.caps_spending

    @property
    def counts_rates(self) -> bool:
        """Whether what is used in a minute must be known."""
        return self.requests_per_minute is not None or self.tokens_per_minute is not None

    @property
    def caps_spending(self) -> bool:
        return self.usd_per_day is not None or self.usd_per_month is not None


def _is_within(value: float | Decimal, most: int) -> bool:
    try:
        return math.isfinite(value) and 0 <= value <= most
    except (ValueError, OverflowError):  # a signalling NaN, an integer of hundreds of digits
        return False


class RouteTerms(Record, frozen=True, kw_only=True):
    """What a route says in `freehold.toml` and in the gateway alike."""

    name: str
    """How commands and metrics call it."""
    model: str
    """Model name clients ask for; `*` is any that no other route names."""
    incumbent: Target = Target(endpoint="incumbent")
    """`{ endpoint = "incumbent", model = "gpt-4o" }`; without `model` the name the client sent."""
    candidate: Target | None = None
    """The same for the candidate."""
    state: RouteState = "incumbent"
    """Who answers. A rollout moves it."""
    canary_share: float = 0.0
    """Share of users answered by the candidate in state `canary`."""
    shadow_share: float = 0.0
    """Share of requests mirrored to the candidate in states `shadow` and `canary`."""
    sticky: str = "conversation"
    """What stays on one side: `user`, `conversation` or `header:NAME`."""
    fallback: tuple[Target, ...] = ()
    """Whom to ask when the others cannot be reached."""
    first_byte_ms: float | None = None
    """An endpoint that has sent no byte by then is passed over for the next target (504 where there is none)."""
    limits: Limits = Limits()
    """`{ requests_per_minute, tokens_per_minute, concurrency, wait_ms, usd_per_day, usd_per_month }`."""


class Route(RouteTerms, frozen=True, kw_only=True):
    """What a client asks for by `model` goes to `incumbent`, `candidate`, or both.

    `match_headers` and `match_keys` (names of API keys) narrow a route; the narrowest match wins.
    With a `deferral` the candidate's side (canary, promoted) is a mixture: the candidate answers what it is sure of,
    the incumbent the rest. In state ``shadow`` the candidate is asked as ever, and what would be decided is recorded.
    """

    match_headers: dict[str, str] = {}
    match_keys: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    deferral: DeferralRule | None = None
    revision: int = 0


class RouteChange(Record, frozen=True, kw_only=True):
    """One line of a route's history. `route` is None where it was removed."""

    name: str
    revision: int
    at: datetime
    who: str
    why: str = ""
    verdict_id: str | None = None
    route: Route | None = None


class RouteDecision(Record, frozen=True, kw_only=True):
    """Where one request goes, and why. `share` is the probability with which it was sent there."""

    route: str
    target: Target
    arm: Literal["incumbent", "candidate"]
    reason: str
    share: float
    shadow: Target | None = None


class FileRoute(StoredRecord, frozen=True, kw_only=True):
    """A route as `freehold.toml` had it when it was last carried over."""

    kind: ClassVar[str] = "file_route"
    unaudited: ClassVar[str | None] = "a copy of the file's line; the route that it changes has its entry"

    route: Route

    @property
    def key(self) -> str:
        return self.route.name


class ApiKey(StoredRecord, frozen=True, kw_only=True):
    """A local key an application must show. Only its hash is kept (see `freehold.gateway.limits.keys`).

    A revoked key stays known, so that revoking the last one does not open the gateway to all. `models` and `routes` are
    those it may use, empty means all. What it uses counts against the limits of its `label` as well.
    """

    kind: ClassVar[str] = "api_key"
    key_field: ClassVar[str] = "name"

    name: str
    hash: str
    limits: Limits = Limits()
    label: str | None = None
    role: Role = "use"
    models: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    made_at: datetime | None = None
    made_by: str = ""
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def may(self, what: Permission) -> bool:
        """Whether its role allows this."""
        return what in PERMISSIONS[self.role]


class LabelLimits(StoredRecord, frozen=True, kw_only=True):
    """What all keys that carry a label may use together: what any of them uses counts against its own limits and
    against these."""

    kind: ClassVar[str] = "label_limits"
    key_field: ClassVar[str] = "label"

    label: str
    limits: Limits = Limits()

    @property
    def account(self) -> str:
        """The name that its use and its dollars are counted under."""
        return f"label:{self.label}"
