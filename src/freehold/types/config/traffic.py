"""The tables of `freehold.toml` about traffic: endpoints, routes, capture, rollout, watch."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta

from freehold.types.config.table import AtLeastOne, NotNegative, Positive, Table
from freehold.types.endpoint import CloudCredentials
from freehold.types.route import CacheTerms, Limits, RouteState, Target

RetentionDays = Annotated[float, Meta(gt=0, le=36_500, description="above 0, up to 36,500 (100 years)")]
RetentionMib = Annotated[float, Meta(gt=0, le=2**40, description="above 0")]
CaptureMode = Literal["off", "raw", "patterns", "pii"]


class PriceConfig(Table, frozen=True, kw_only=True):
    """What an endpoint charges, in dollars per million tokens, where its maker's list price does not hold."""

    prompt: Decimal
    """Prompt tokens."""
    completion: Decimal
    """Completion tokens."""
    cached_prompt: Decimal | None = None
    """Prompt tokens the maker had in its cache (default: as `prompt`)."""
    cache_write: Decimal | None = None
    """Prompt tokens the maker put into its cache (default: as `prompt`)."""


class EndpointConfig(Table, frozen=True, kw_only=True):
    """`[[endpoints]]`: APIs that routes may name, besides `incumbent` (from `[incumbent]`) and `local` (what
    `freehold up` serves)."""

    name: str
    """How routes call it."""
    base_url: str = ""
    """Address of its API, as its documentation gives it to clients; a host alone means `/v1` there."""
    preset: str | None = None
    """A vendor whose base URL, API and key header are known, as in `[incumbent]`."""
    api: Literal["openai", "anthropic", "ollama"] = "openai"
    """What it speaks."""
    api_key_env: str | None = None
    """Name of the environment variable that holds its key, never the key."""
    credentials: CloudCredentials | None = None
    """`aws`, `google` or `azure`, as in `[incumbent]`."""
    forward_client_key: bool = False
    """Send it the keys and the organisation and project headers that clients send: to this host, and only where
    `api_key_env` names no key of its own and the gateway asks for none. Otherwise only `incumbent` gets them."""
    models: tuple[str, ...] = ()
    """Model names it serves, reachable by those names without a route. Empty: it answers only what a route sends it;
    `["*"]`: any name that nothing else answers to."""
    context_tokens: int | None = None
    """Tokens of its context, question and answer together."""
    price: PriceConfig | None = None
    """`{ prompt = 2.5, completion = 10 }`: dollars per million tokens, where the list price does not hold."""


class RouteConfig(Table, frozen=True, kw_only=True):
    """`[[routes]]`: who answers for a model's name. Read when the gateway starts and whenever the file is saved; what
    was changed since by `freehold routes` or a rollout stays until the route's own lines change."""

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
    headers: dict[str, str] = {}
    """Only requests with these headers."""
    keys: tuple[str, ...] = ()
    """Only requests with these API keys (their names)."""
    fallback: tuple[Target, ...] = ()
    """Whom to ask when the others cannot be reached."""
    first_byte_ms: float | None = None
    """An endpoint that has sent no byte by then is passed over for the next target (504 where there is none)."""
    limits: Limits = Limits()
    """`{ requests_per_minute, tokens_per_minute, concurrency, wait_ms, usd_per_day, usd_per_month }`."""
    cache: CacheTerms | None = None
    """`{ seconds = 3600, shared = false }`: exact repeats of requests without chance (temperature 0, or a
    seed) and without tools get the answer of the first again. Left out: every request is asked."""


class CaptureConfig(Table, frozen=True, kw_only=True):
    """`[capture]`: which traces the gateway keeps, and for how long."""

    mode: CaptureMode = "off"
    """`off`, `raw` (as they are), `patterns` (e-mail addresses, cards, phone numbers … replaced) or `pii` (a library
    looks for names as well)."""
    opt_out: bool = False
    """A client may leave a request out, by the header `x-freehold-capture: off`."""
    retention_days: RetentionDays | None = None
    """Older traces are forgotten. Left out: traces are kept for ever."""
    retention_mib: RetentionMib | None = None
    """The oldest traces are forgotten beyond this size."""


class RolloutConfig(Table, frozen=True, kw_only=True):
    """`[rollout]`: how traffic is shifted."""

    shadow: float = 0.2
    """Share of requests mirrored to the candidate."""
    canary: tuple[float, ...] = (0.01, 0.1, 0.5)
    """Shares of traffic, one stage after another."""
    max_p95_ms: float | None = None
    """Slowest 95th percentile accepted, in milliseconds."""
    errors_below: Annotated[float, Meta(gt=0, lt=1, description="between 0 and 1 (0.02 is 2 %)")] = 0.02
    """Share of the candidate's requests that may fail, and of its answers that may break their schema: above it the
    rollout goes back, and promotion waits until each is shown to be below."""
    users_a_stage: AtLeastOne = 50
    """Users to be seen in a stage before the next one is allowed."""
    hours_a_stage: NotNegative = 24.0
    """Hours that a stage lasts at least: traffic of the night is not that of the day."""


class WatchConfig(Table, frozen=True, kw_only=True):
    """`[watch]`: looking after a candidate that was promoted."""

    every_hours: Positive = 168.0
    """How often it is checked again."""
    budget_usd: Decimal = Decimal(1)
    """Most that one check of 50 requests may cost; fewer are asked when it does not suffice."""
    on_alarm: Literal["auto", "report", "shadow", "rollback"] = "auto"
    """What happens on an alarm besides telling: `auto` lets the incumbent answer everything of a mixture, and moves
    nothing of a candidate that answers alone; `report` moves nothing."""
    webhook_env: str | None = None
    """Name of the environment variable with an address that gets each alarm as JSON."""
