"""Routes: which endpoint answers which requests."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from freehold.types.record import Record

RouteState = Literal["incumbent", "shadow", "canary", "promoted", "rolled_back"]


class Target(Record, frozen=True, kw_only=True):
    """An endpoint by name, and the model name to ask it for (None: the name the client sent)."""

    endpoint: str
    model: str | None = None


class Route(Record, frozen=True, kw_only=True):
    """What a client asks for by `model` goes to `incumbent`, `candidate`, or both.

    `canary_share` is the share of assignment keys sent to the candidate in state ``canary``;
    `shadow_share` the share of requests mirrored in state ``shadow`` (and ``canary``).
    `sticky` names what makes one assignment key: ``user``, ``header:NAME`` or ``conversation``.
    """

    name: str
    model: str
    incumbent: Target
    candidate: Target | None = None
    state: RouteState = "incumbent"
    canary_share: float = 0.0
    shadow_share: float = 0.0
    sticky: str = "conversation"
    match_headers: dict[str, str] = {}
    options: dict[str, Any] = {}
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
