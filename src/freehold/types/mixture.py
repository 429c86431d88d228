"""A mixture of candidate and incumbent: what was found of it on the selection split, and proven on held-out samples."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from freehold.types.deferral import DeferralRule, DeferralWay, SignalName
from freehold.types.evaluation import Comparison
from freehold.types.record import Record, StoredRecord


class MixturePoint(Record, frozen=True, kw_only=True):
    """The mixture at one threshold, on the selection split.

    `difference` is its mean score minus the incumbent's (negative: worse), `low` and `high` its band at the curve's
    level, one threshold at a time. `random` is the difference of a mixture that answers as large a share here, drawn
    by lot.
    """

    threshold: float
    share: float
    difference: float
    low: float
    high: float
    random: float


class ConfidenceQuality(Record, frozen=True, kw_only=True):
    """How well a signal tells right from wrong. Expected calibration error over ten bins of equal count, before
    (None: the signal does not claim to be a probability) and after calibration, the latter on folds that were not
    fitted."""

    signal: SignalName
    n: int
    error_before: float | None
    error_after: float | None
    """None where no answer carries the signal."""
    auroc: float | None
    """Probability that an answer as good as the incumbent's has the higher signal than one that is not; ties count
    half. None where all are alike."""


class MixtureCurve(Record, frozen=True, kw_only=True):
    """What one way of deciding, by one signal, gives over all shares."""

    way: DeferralWay
    signal: SignalName
    quality: ConfidenceQuality
    points: tuple[MixturePoint, ...]
    level: float
    chosen: int | None
    """The place among `points` of the threshold that the rule chose; None where none passes."""
    chance: float | None = None
    """Probability that the held-out samples promote the chosen mixture, as far as the selection split tells."""
    oracle_share: float
    """Largest share that would have been within the margin on these samples, had one known who is right."""
    refused: str | None = None
    """Why none was chosen, in words."""


class Mixture(StoredRecord, frozen=True, kw_only=True):
    """A mixture, looked at once on the held-out samples.

    `curves` are all ways and signals that were measured on the selection split, `rule` the one chosen (None: none
    passed, and nothing was looked at). `comparison` is the usual paired verdict on the held-out samples, the
    mixture's scores in place of the candidate's.
    """

    kind: ClassVar[str] = "mixture"

    id: str
    candidate: str
    incumbent: str
    dataset_id: str
    margin: float
    curves: tuple[MixtureCurve, ...]
    rule: DeferralRule | None
    comparison: Comparison | None = None
    share: float | None = None
    share_low: float | None = None
    share_high: float | None = None
    """Share of held-out requests that never leave the house, with its interval."""
    least_share: float = 0.2
    usd_saved_per_month: Decimal | None = None
    """Against today's bill; a request that was deferred counts as not saved and costs the candidate's work too."""
    made_from: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    refused: str | None = None
    """Why none was made, in words."""
