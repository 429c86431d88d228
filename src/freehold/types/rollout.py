"""A rollout: one attempt to move a route's traffic to its candidate."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from freehold.types.evaluation import Task
from freehold.types.record import Record

RolloutState = Literal["shadow", "canary", "paused", "promoted", "rolled_back"]
LIVE_STATES: tuple[RolloutState, ...] = ("shadow", "canary", "paused")
"""A rollout in one of these is not over."""


class RolloutTerms(Record, frozen=True, kw_only=True):
    """What a rollout is held to, fixed when it begins."""

    task: Task
    stages: tuple[float, ...]
    """Shares of the traffic the candidate gets, rising."""
    shadow_share: float
    """Share of the requests that are mirrored to the candidate."""
    max_p95_ms: float | None = None
    requests_per_user: int = 5
    """Requests of one user that count as one unit of the tests."""
    window_s: float = 120.0
    """After how long a unit with fewer requests is closed."""


class Rollout(RolloutTerms, frozen=True, kw_only=True):
    """One attempt to move one route. A fix and another try is a new rollout, with new error budgets."""

    id: str
    route: str
    state: RolloutState
    stage: int = -1
    """Place in `stages`; -1 while only mirrored."""
    paused_in: Literal["shadow", "canary"] | None = None
    """What was going on when it was paused."""
    started_at: datetime
    stage_began_at: datetime
    verdict_id: str | None = None
    number: int = 1
    """How many rollouts this route has had, this one included."""
    why: str = ""

    @property
    def is_live(self) -> bool:
        """Whether it is not over yet."""
        return self.state in LIVE_STATES
