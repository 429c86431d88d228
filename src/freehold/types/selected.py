"""How one of several candidates came to be taken: what each did on the selection split, its cost, and the rule."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from freehold.types.deferral import SignalName
from freehold.types.evaluated import LatencySummary
from freehold.types.record import Record
from freehold.types.selection import Selection

CostBasis = Literal["measured_here", "price", "unknown"]
"""Where a cost is from: the speed measured here and what such a machine costs, or the endpoint's price."""
Against = Literal["incumbent", "right"]
"""What scores are compared with: the incumbent's own on the same samples, or what is right, where it has none."""


class RequestCost(Record, frozen=True, kw_only=True):
    """What a candidate's requests cost. `why` says in words what that rests on."""

    usd_per_1000: Decimal | None
    basis: CostBasis
    why: str
    machine_hour: str | None = None
    """Where it was measured here: what an hour of this machine was taken to cost, and why."""


class SelectionScores(Record, frozen=True, kw_only=True):
    """What a candidate did on the first samples of the selection split, kept when they have been asked.

    `differences` are its scores minus the incumbent's, on the scale from `lo` to `hi`, None where one of them has
    none; `groups` name each sample's independent unit. `seconds_per_request` is the machine's time for one, with
    others answered at once.
    """

    of: int
    """Samples of the whole split."""
    differences: tuple[float | None, ...]
    groups: tuple[str | None, ...]
    against: Against
    lo: float = 0.0
    hi: float = 1.0
    mean: float | None
    incumbent_mean: float | None
    latency: LatencySummary
    seconds_per_request: float | None
    signals: dict[SignalName, tuple[float | None, ...]] = {}
    """How sure the candidate was of each answer, by every signal that any of them carries; None where one lacks it."""


class SelectionResult(Record, frozen=True, kw_only=True):
    """A candidate's row: what it did on `n` of the split's `of` samples, which choose and prove nothing."""

    n: int
    of: int
    mean: float | None
    incumbent_mean: float | None
    against: Against
    difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    needed: float | None = None
    """The difference from which on the held-out samples would say promote, if they came out likewise."""
    chance: float | None = None
    """Probability that they do, as far as these samples tell."""
    passes: bool = False
    part: float = 0.0
    """Part of the look's alpha that its proof had; 0 where it was not looked at."""
    stopped: str | None = None
    """Why it was not asked all of the split; None where it was."""
    latency: LatencySummary | None = None
    cost: RequestCost | None = None


class CandidateChoice(Record, frozen=True, kw_only=True):
    """How one of several candidates was chosen. `rule` was fixed before the first was asked."""

    rule: str
    stop: Literal["first", "all"]
    split_samples: int
    tried: int
    selection: Selection | None
    """What the rule found; None where nothing could be measured, so that the first that was made went on."""
    chosen: str | None
    """The label of the candidate that was taken after the proof; None where none could be made."""
    why: str
    overlapping: bool = False
    """Whether intervals overlap, so that the ranking is not evidence."""

    @property
    def sentence(self) -> str:
        """`why` as a sentence; a model's id at its beginning keeps its spelling."""
        named = "/" in self.why.partition(" ")[0]
        return f"{self.why if named else self.why[:1].upper() + self.why[1:]}."
