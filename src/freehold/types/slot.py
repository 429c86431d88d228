"""Generations of a route's own model beside one another: where each is held, and the last change from one to the next.

What is to be held is read from these and the routes alone: after a kill at whatever moment the next process goes on
from what the store says.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from freehold.types.deferral import DeferralRule
from freehold.types.endpoint import ServePlan
from freehold.types.record import Record, StoredRecord
from freehold.types.route import Route, Target

SwapState = Literal["watched", "kept", "rolled_back"]
"""The generation before is held, to go back to; it is let go; the route went back to it."""


class ServedSlot(StoredRecord, frozen=True, kw_only=True):
    """One generation of a route's model that `freehold up` is to hold, under the name of an endpoint
    (`freehold.types.endpoint.SLOTS`). `number` counts a route's generations; the one that `freehold migrate` chose has
    no slot."""

    kind: ClassVar[str] = "served_slot"
    key_field: ClassVar[str] = "endpoint"

    endpoint: str
    route: str
    number: int
    plan: ServePlan
    offered_at: datetime
    trouble: str | None = None
    """Why its engine could not be started, or not be brought back."""


class CandidateSide(Record, frozen=True, kw_only=True):
    """What answers on the candidate's side of a route: always both together."""

    target: Target
    rule: DeferralRule | None = None


class Swap(StoredRecord, frozen=True, kw_only=True):
    """A route's last change of generation, to the one with this `number`."""

    kind: ClassVar[str] = "swap"
    key_field: ClassVar[str] = "route"

    route: str
    number: int
    at: datetime
    before: CandidateSide
    after: CandidateSide
    state: SwapState = "watched"
    ended_at: datetime | None = None
    why: str = ""

    def is_watched_on(self, route: Route | None) -> bool:
        """Whether its route is watched since: not once the route was moved to something else."""
        return self.state == "watched" and route is not None and route.candidate == self.after.target
