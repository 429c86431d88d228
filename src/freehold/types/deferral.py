"""Deferral: tiers of one's own models are asked in turn until one is sure, the incumbent answers the rest."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import msgspec

from freehold.types.record import Record, StoredRecord, content_id

AnswerSignalName = Literal["probability", "mean_logprob", "min_logprob", "field_min_logprob"]
"""Those that a single answer carries."""
SignalName = Literal[AnswerSignalName, "router"]
"""What is known of how sure an answer is; higher is surer, always.

`probability`: an encoder's calibrated one, of all fields together. `mean_logprob` and `min_logprob`: over the
answer's own tokens (natural logarithms). `field_min_logprob`: of the least likely of a JSON object's values, its tokens
together. `router`: foretold from the request, before anyone is asked."""


class Calibration(Record, frozen=True, kw_only=True):
    """From a signal to the probability that the candidate's answer is as good as the incumbent's.

    Linear between the points (`raw[i]`, `probability[i]`), level beyond both ends; both ascend.
    """

    raw: tuple[float, ...]
    probability: tuple[float, ...]

    def __call__(self, value: float) -> float:
        """The probability for a signal's value; NaN is the least sure there is."""
        raw, probability = self.raw, self.probability
        if not value > raw[0]:
            return probability[0]
        for at in range(1, len(raw)):
            if value <= raw[at]:
                part = (value - raw[at - 1]) / (raw[at] - raw[at - 1])
                return probability[at - 1] + part * (probability[at] - probability[at - 1])
        return probability[-1]

    @property
    def problem(self) -> str | None:
        """Why nothing can be read from it, in words."""
        raw, probability = self.raw, self.probability
        if not raw or len(raw) != len(probability):
            return "its calibration has no points, or not as many probabilities as signals"
        if not all(map(math.isfinite, raw)) or not all(0 <= one <= 1 for one in probability):
            return "its calibration holds numbers that are not probabilities"
        if list(raw) != sorted(raw) or list(probability) != sorted(probability):
            return "its calibration does not ascend"
        return None


class RouterFiles(Record, frozen=True, kw_only=True):
    """Where a learned router lies, and the hash it must have."""

    path: str
    sha256: str


class Tier(Record, frozen=True, kw_only=True):
    """One model of one's own, at the route's candidate's endpoint or at a named one.

    With a `signal` it answers where it is sure enough, without one all that comes to it. What answers must be what was
    asked for the proof: by `identity` (content id of weights, adapter, preparation, engine's decisive options), or,
    where that is not known, by its address.
    """

    model: str
    """As it is served."""
    identity: str | None = None
    endpoint: str | None = None
    base_url: str | None = None
    signal: SignalName | None = None
    calibration: Calibration | None = None
    router: RouterFiles | None = None

    @property
    def title(self) -> str:
        """As `[defer] upper` names it."""
        return self.model if self.endpoint is None else f"{self.endpoint}/{self.model}"


_NO_TIER = Tier(model="")


class DeferralRule(StoredRecord, frozen=True, kw_only=True):
    """Who answers: the `tiers` are asked in their order, and the first that is sure answers; the incumbent the rest,
    and what was no part of the proof. Proven as a whole: for another model in a tier it is refused.

    `id` is the content id of everything that decides.
    """

    kind: ClassVar[str] = "deferral_rule"

    id: str
    tiers: tuple[Tier, ...] = ()
    """None in one of before 1 December 2026, by which nothing is decided."""
    threshold: float
    """A tier answers from this calibrated probability on; above 1: never."""
    incumbent: str
    always_incumbent: tuple[dict[str, str], ...] = ()
    """Requests that are never the candidate's: metadata, header (``header:NAME``) or ``key`` that must all match."""
    never_defer_out: tuple[dict[str, str], ...] = ()
    """Requests that are never the incumbent's, sure or not: what they say may not leave the house."""
    wait_ms: float = 10_000.0
    """How long a tier may take before the next is asked."""
    mixture_id: str | None = None
    """The stored mixture with the verdict this rests on."""

    @classmethod
    def of(cls, **fields: Any) -> DeferralRule:
        """A rule with these fields and the id they give it. Where a router lies is not part of the id.

        Raises `msgspec.ValidationError` for fields of another type.
        """
        # As it is read back: a whole number in the place of another would give another id.
        made = msgspec.json.decode(msgspec.json.encode(cls(id="", **fields)), type=cls)
        return msgspec.structs.replace(made, id=_id_of(made))

    @property
    def candidate(self) -> Tier:
        """What the route's candidate is: the last tier that is not asked at an endpoint of its own."""
        return next((one for one in reversed(self.tiers) if one.endpoint is None), _NO_TIER)

    @property
    def upper(self) -> Tier | None:
        """The model of one's own that answers all that no tier is sure of, in the incumbent's place."""
        return self.tiers[-1] if len(self.tiers) > 1 and self.tiers[-1].signal is None else None

    @property
    def way(self) -> Literal["router", "cascade"]:
        """Whether who answers is decided from the request alone, or from the candidate's own answer."""
        return "router" if self.candidate.signal == "router" else "cascade"

    @property
    def is_on_safe_side(self) -> bool:
        """Whether no answer is sure enough: the incumbent answers everything that may leave the house."""
        return self.threshold > 1

    def on_safe_side(self) -> DeferralRule:
        """The rule by which no answer is sure enough. It comes back only by a new verdict, with a rule of its own."""
        return self.at(_NEVER)

    def at(self, threshold: float) -> DeferralRule:
        """The rule with another threshold, under the id that gives it."""
        moved = msgspec.structs.replace(self, threshold=threshold)
        return msgspec.structs.replace(moved, id=_id_of(moved))

    @property
    def problem(self) -> str | None:
        """Why nothing can be decided by it, in words; None where it is sound. It takes a hash, so ask once."""
        if not self.tiers:
            return "it is of an older version, and names no tiers"
        if self.id != _id_of(self):
            return f"it was changed after it was proven: its id is {self.id}, and its content has another"
        if self.tiers[0].signal is None or self.candidate is _NO_TIER:
            return "its first tier has no signal to decide by, or none is the route's candidate"
        for tier in self.tiers:
            if tier.signal is not None and (tier.calibration is None or tier.calibration.problem is not None):
                return tier.calibration.problem if tier.calibration else "it has a signal without calibration"
            if tier.signal == "router" and tier.router is None:
                return "it decides by a router, and names none"
        if not math.isfinite(self.threshold) or self.threshold < 0:
            return f"its threshold is {self.threshold:g}, expected a probability"
        if not math.isfinite(self.wait_ms) or self.wait_ms <= 0:
            return f"its wait_ms is {self.wait_ms:g}, expected a time above 0"
        return None


_NEVER = 2.0
"""A threshold that no probability reaches."""


def _id_of(rule: DeferralRule) -> str:
    """The content id of what decides."""
    tiers = [
        msgspec.structs.replace(one, router=one.router and msgspec.structs.replace(one.router, path=""))
        for one in rule.tiers
    ]
    return content_id(msgspec.structs.replace(rule, id="", mixture_id=None, tiers=tuple(tiers)))


DeferralReason = Literal[
    "sure",
    "unsure",
    "always_incumbent",
    "stays_here",
    "no_signal",
    "candidate_failed",
    "candidate_slow",
    "not_decidable",
    "other_version",
    "unreadable",
]
"""Why who answered did: a tier was ``sure``, or the request ``stays_here`` because it may not leave the house;
everything else means the incumbent. ``not_decidable``: what is asked of the API is not what the rule was proven for, or
leaves no room for two tries (several choices, tools run at the model's maker). ``other_version``: the rule was proven
for another model than one that is served. ``unreadable``: the rule or its router cannot be read."""


class DeferralDecision(Record, frozen=True, kw_only=True):
    """What was decided for one request; stands in its trace."""

    rule_id: str
    by: Literal["candidate", "upper", "incumbent"]
    """``upper``: a tier after the first."""
    why: DeferralReason
    confidence: float | None = None
    """The calibrated probability, where there was one."""
    decided_ms: float | None = None
    """From the request's arrival to the decision, the candidate's own work included in a cascade."""
