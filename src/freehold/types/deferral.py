"""Deferral: the candidate answers where it is sure, the incumbent answers the rest. What is executed, and recorded."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, get_args

import msgspec

from freehold.types.record import Record, StoredRecord, content_id

DeferralWay = Literal["router", "cascade"]
"""Who answers is decided from the request alone (`router`), or from the candidate's own answer (`cascade`)."""
AnswerSignalName = Literal[
    "probability",
    "mean_logprob",
    "min_logprob",
    "field_min_logprob",
]
"""Those that a single answer carries."""
ANSWER_SIGNALS: tuple[AnswerSignalName, ...] = get_args(AnswerSignalName)
SignalName = Literal[AnswerSignalName, "router"]
"""What is known of how sure an answer is; higher is surer, always.

`probability`: an encoder's calibrated one, of all fields together. `mean_logprob` and `min_logprob`: over the
answer's own tokens (natural logarithms). `field_min_logprob`: of the least likely of a JSON object's values, its tokens
together. `router`: foretold from the request."""


class Calibration(Record, frozen=True, kw_only=True):
    """From a signal to the probability that the candidate's answer is as good as the incumbent's.

    Linear between the points (`raw[i]`, `probability[i]`), level beyond both ends; both ascend. An isotonic fit is
    given by its steps' corners, a logistic one by a grid of points.
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
                low, high = raw[at - 1], raw[at]
                part = 1.0 if high == low else (value - low) / (high - low)
                return probability[at - 1] + part * (probability[at] - probability[at - 1])
        return probability[-1]


class RouterFiles(Record, frozen=True, kw_only=True):
    """Where a learned router lies, and the hash it must have."""

    path: str
    sha256: str


class UpperModel(Record, frozen=True, kw_only=True):
    """A larger model of one's own, which answers what the candidate is not sure of, in the incumbent's place."""

    endpoint: str
    """Its name among the endpoints."""
    model: str
    base_url: str
    """Where it was asked for the proof. What answers at another address may be another model."""

    @property
    def title(self) -> str:
        """As `[defer] upper` names it."""
        return f"{self.endpoint}/{self.model}"


class DeferralRule(StoredRecord, frozen=True, kw_only=True):
    """Who answers. Proven as a whole for one candidate: for another `candidate_id` it is refused.

    `id` is the content id of everything that decides.
    """

    kind: ClassVar[str] = "deferral_rule"

    id: str
    way: DeferralWay
    signal: SignalName
    calibration: Calibration
    threshold: float
    """The candidate answers from this calibrated probability on; 1 or above: never but at certainty."""
    candidate: str
    """The model it was proven for, as it is served."""
    candidate_id: str
    """Content id of what answers under that name: weights, adapter, preparation, engine's decisive options."""
    incumbent: str
    upper: UpperModel | None = None
    """Who answers what the candidate is not sure of (None: the incumbent). Where it fails, and whatever was no part of
    the proof, the incumbent answers."""
    router: RouterFiles | None = None
    always_incumbent: tuple[dict[str, str], ...] = ()
    """Requests that are never the candidate's: metadata, header (``header:NAME``) or ``key`` that must all match."""
    never_defer_out: tuple[dict[str, str], ...] = ()
    """Requests that are never the incumbent's, sure or not: what they say may not leave the house."""
    incumbent_down: Literal["error", "candidate"] = "error"
    """What an unsure answer's client gets while the incumbent cannot be reached: an error, or the candidate's answer
    with a header that says so."""
    wait_ms: float = 10_000.0
    """How long the candidate may take before the incumbent is asked."""
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
    def is_on_safe_side(self) -> bool:
        """Whether no answer is sure enough: the incumbent answers everything that may leave the house."""
        return self.threshold > 1

    def on_safe_side(self) -> DeferralRule:
        """The rule by which no answer is sure enough. It comes back only by a new verdict, with a rule of its own."""
        return self.at(_NEVER)

    def at(self, threshold: float) -> DeferralRule:
        """The rule with another threshold, under the id that gives it."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__ if name != "id"}
        return DeferralRule.of(**{**fields, "threshold": threshold})

    @property
    def problem(self) -> str | None:
        """Why nothing can be decided by it, in words; None where it is sound. It takes a hash, so ask once."""
        if self.id != _id_of(self):
            return f"it was changed after it was proven: its id is {self.id}, and its content has another"
        calibration = self.calibration
        values = (*calibration.raw, *calibration.probability)
        if not values or len(calibration.raw) != len(calibration.probability):
            return "its calibration has no points, or not as many probabilities as signals"
        if not all(map(math.isfinite, values)) or not all(0 <= p <= 1 for p in calibration.probability):
            return "its calibration holds numbers that are not probabilities"
        if any(list(points) != sorted(points) for points in (calibration.raw, calibration.probability)):
            return "its calibration does not ascend"
        if not math.isfinite(self.threshold) or self.threshold < 0:
            return f"its threshold is {self.threshold:g}, expected a probability"
        if not math.isfinite(self.wait_ms) or self.wait_ms <= 0:
            return f"its wait_ms is {self.wait_ms:g}, expected a time above 0"
        if self.way == "router" and self.router is None:
            return "it decides by a router, and names none"
        return None


_NEVER = 2.0
"""A threshold that no probability reaches."""


def _id_of(rule: DeferralRule) -> str:
    """The content id of what decides; a threshold moved to the safe side by `of` has another."""
    router = rule.router
    plain = msgspec.structs.replace(
        rule,
        id="",
        mixture_id=None,
        router=None if router is None else msgspec.structs.replace(router, path=""),
    )
    return content_id(plain)


DeferralReason = Literal[
    "sure",
    "unsure",
    "always_incumbent",
    "stays_here",
    "no_signal",
    "candidate_failed",
    "candidate_slow",
    "not_decidable",
    "incumbent_down",
    "other_version",
    "unreadable",
]
"""Why who answered did: the candidate was ``sure``, answered for an ``incumbent_down``, or the request ``stays_here``
because it may not leave the house; everything else means the incumbent. ``not_decidable``: what is asked of the API is
not what the rule was proven for, or leaves no room for two tries (several choices, tools run at the model's maker).
``other_version``: the rule was proven for another candidate than the one that is served. ``unreadable``: the rule or
its router cannot be read."""


class DeferralDecision(Record, frozen=True, kw_only=True):
    """What was decided for one request; stands in its trace."""

    rule_id: str
    by: Literal["candidate", "upper", "incumbent"]
    why: DeferralReason
    confidence: float | None = None
    """The calibrated probability, where there was one."""
    decided_ms: float | None = None
    """From the request's arrival to the decision, the candidate's own work included in a cascade."""
