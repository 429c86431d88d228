"""Generations of a promoted model: what each was looked at with, what came out, and which serves."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Literal

from freehold.types.deferral import DeferralRule
from freehold.types.endpoint import ServePlan
from freehold.types.evaluation import VerdictOutcome
from freehold.types.record import Record, StoredRecord

FOLDER = "improve"
"""In the project's state: the steps of a generation under way. It holds what users wrote, and goes when that ends."""
GenerationState = Literal["begun", "looked", "held", "proven", "serves", "rolled_back"]
"""``begun``: its traffic is settled and it is being made. ``looked``: its look at the audited requests is taken, what
came out is not known. ``held``: not proven, the one before goes on. ``proven``: it may serve, and does not yet.
``serves``: traffic was moved to it, by itself or before a later one. ``rolled_back``: it served, and an alarm took the
traffic from it."""


class AgainstEarlier(Record, frozen=True, kw_only=True):
    """A generation with its fallback minus an earlier one with its own, on the same audited requests."""

    number: int
    """The earlier one's."""
    difference: float | None
    low: float | None
    high: float | None
    verdict: VerdictOutcome


class GenerationTraffic(Record, frozen=True, kw_only=True):
    """The requests a generation rests on: those that arrived after the place `after`, up to `upto`.

    `audited` are a random share of all requests, which alone prove. The others teach: `deferred` ones the incumbent
    answered, `corrected` ones people gave the right answer of. `asked` audited requests were put to the incumbent for
    this, for `usd`.
    """

    after: int
    upto: int
    requests: int = 0
    audited: int = 0
    deferred: int = 0
    corrected: int = 0
    asked: int = 0
    usd: Decimal | None = None
    left_out: dict[str, int] = {}


class Generation(StoredRecord, frozen=True, kw_only=True):
    """One generation of a route's candidate. Number 0 is the one that was promoted first: the anchor.

    `alpha` is what its look may err, one-sided; `better_alpha` what a claim that it is better than the one before may.
    Differences are on the task's scale, with their intervals.
    """

    kind: ClassVar[str] = "generation"

    route: str
    number: int
    at: datetime
    state: GenerationState
    label: str
    """The candidate as the project names it, with its method."""
    plan: ServePlan | None = None
    rule: DeferralRule | None = None
    """By which it shares requests with the incumbent; None where it answers all of them."""
    endpoint: str | None = None
    """Where it is served."""
    traffic: GenerationTraffic
    """Of the anchor: the places up to which anything may have been learned or looked at."""
    alpha: float | None = None
    """None of the anchor, which was promoted by a migration."""
    better_alpha: float | None = None
    dataset_id: str | None = None
    mixture_id: str | None = None
    verdict_id: str | None = None
    share: float | None = None
    """Share of the audited requests that it answers here."""
    share_before: float | None = None
    """That of the generation before, on the same requests."""
    difference: float | None = None
    """Minus the incumbent, with the interval."""
    low: float | None = None
    high: float | None = None
    earlier: tuple[AgainstEarlier, ...] = ()
    """Against the one before it, and against the anchor."""
    better: bool = False
    """Whether it is shown to be better than the one before."""
    usd_per_1000: Decimal | None = None
    """What 1,000 requests cost, the incumbent's part included."""
    why: str = ""
    """How it ended, in a sentence."""
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return generation_key(self.route, self.number)


def generation_key(route: str, number: int) -> str:
    """Under which a generation is kept."""
    return f"{route}/{number:05d}"
