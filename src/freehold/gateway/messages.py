"""The messages between the processes of a gateway."""

from __future__ import annotations

import struct
from decimal import Decimal
from typing import Literal

import msgspec

from freehold.gateway.spending import Charge
from freehold.types.deferral import DeferralDecision
from freehold.types.record import Record
from freehold.types.route import ApiKey, LabelLimits, Route
from freehold.types.trace import Completeness

RING_FILE = "ring.json"
"""In the run folder: the last `TableMessage`, for workers that start."""
MESSAGE_HEAD = struct.Struct(">IB")
"""Before what the recorder sends the workers: how long it is, and which of these it is."""
TABLE, TOTALS = 3, 4
ApiKind = Literal["chat", "completions", "embeddings", "responses", "messages", "count_tokens"]


ResponseKind = Literal["openai", "anthropic", "responses"]
"""In which API's words an upstream answered."""


class CapturedExchange(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """From a worker to the recorder: one exchange, as raw bytes, nothing parsed on the way.

    `request` is the body the client sent, `response` what the upstream answered.
    """

    id: str
    at_ms: int
    kind: ApiKind
    model: str
    request: bytes
    response: bytes
    status: int
    streamed: bool
    completeness: Completeness
    route: str | None = None
    endpoint: str | None = None
    decision: str | None = None
    arm: str = "incumbent"
    share: float | None = None
    fallback: str | None = None
    assignment_key: str | None = None
    parent_id: str | None = None
    conversation_id: str | None = None
    user: str | None = None
    response_kind: ResponseKind = "openai"
    content_encoding: str | None = None
    ttft_ms: float | None = None
    total_ms: float | None = None
    api_key: str | None = None
    deferral: DeferralDecision | None = None
    upstream_id: str | None = None


class NumberedCharge(msgspec.Struct, frozen=True, array_like=True):
    """From a worker to the recorder: one charge, numbered by its worker so that it is booked once.

    `reserved_nano_usd` is what the worker holds in the spend ledger for it until it is booked.
    """

    worker: str
    number: int
    at_ms: int
    charge: Charge
    reserved_nano_usd: int = 0


class UsageTotals(msgspec.Struct, frozen=True, array_like=True):
    """From the recorder to the workers: what all gateways spent.

    `spent` rows are name, dollars on `day`, dollars in its month.
    `unpriced` are names with charges of an unknown price, and the model's name. Of `gateways` that are alive
    this one is number `rank`, from 0.
    """

    day: str
    spent: list[tuple[str, Decimal, Decimal]] = []
    unpriced: dict[str, str] = {}
    gateways: int = 1
    rank: int = 0


class TableMessage(Record, frozen=True, kw_only=True):
    """From the recorder to the workers: routes, keys and limits of labels as the store has them, whenever they
    change.

    `required` says that only keys let a client in, even where there are none. With a `problem`, no key can be believed.
    """

    routes: tuple[Route, ...]
    keys: tuple[ApiKey, ...] = ()
    labels: tuple[LabelLimits, ...] = ()
    revision: int = 0
    required: bool = False
    problem: str | None = None
    rollbacks: dict[str, int] = {}
    """Of each route, since the store was made."""


def message_of(tag: int, payload: bytes) -> bytes:
    """What the recorder sends the workers: a `TableMessage` or `UsageTotals`, encoded."""
    return MESSAGE_HEAD.pack(len(payload), tag) + payload
