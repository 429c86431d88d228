"""A mixture of candidate and incumbent: what was found of it on the selection split, and proven on held-out samples."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import ClassVar

from freehold.types.deferral import DeferralRule, SignalName
from freehold.types.evaluation import Comparison, VerdictOutcome
from freehold.types.record import Record, StoredRecord


class MixturePoint(Record, frozen=True, kw_only=True):
    """The mixture at one threshold, on the selection split.

    `difference` is its mean score minus the incumbent's (negative: worse), `low` and `high` its band at the curve's
    level, one threshold at a time.
    """

    threshold: float
    share: float
    difference: float
    low: float
    high: float


class ShareStep(Record, frozen=True, kw_only=True):
    """One share of the fixed sequence, on the held-out samples.

    `share` is what the candidate answers of them, `difference` the mixture's with its interval, `here` that of what the
    candidate answers alone (None: it answers nothing), `expected` the mixture's by the selection split.
    """

    threshold: float
    share: float
    expected: float
    difference: float | None
    low: float | None
    high: float | None
    here: float | None
    verdict: VerdictOutcome


class MixtureCurve(Record, frozen=True, kw_only=True):
    """What deciding by one signal gives over all shares, on `n` scored selection samples.

    `auroc` is the probability that an answer as good as the incumbent's has the higher signal than one that is not
    (ties count half; None where all are alike).
    """

    signal: SignalName
    n: int = 0
    auroc: float | None = None
    points: tuple[MixturePoint, ...]
    """At the thresholds that are tested, by rising share; the last one answers all that carries the signal."""
    level: float
    whole: float
    """Mean difference to the incumbent where the candidate answers everything."""
    refused: str | None = None
    """Why no threshold can be tried, in words."""
    rest: float = 0.0
    """Mean difference to the incumbent where the candidate answers nothing: 0, or the upper model's own."""

    def by_lot(self, share: float) -> float:
        """The difference of a mixture that answers as large a share here, drawn by lot."""
        return self.rest + share * (self.whole - self.rest)


class MixtureCost(Record, frozen=True, kw_only=True):
    """Dollars for 1,000 requests: all by the incumbent, and by the mixture, in which what a tier was asked is paid
    whether it was sure or not. None is not known; `why` says where each is from, or the way to know it."""

    incumbent_usd: Decimal | None
    mixture_usd: Decimal | None
    requests_per_month: Decimal | None = None
    why: tuple[str, ...] = ()

    @property
    def saved_per_month(self) -> Decimal | None:
        """What the mixture saves a month against today's bill; below 0 where it costs more."""
        if self.incumbent_usd is None or self.mixture_usd is None or self.requests_per_month is None:
            return None
        saved = (self.incumbent_usd - self.mixture_usd) * self.requests_per_month / 1000
        return saved.quantize(Decimal("0.01"))


class Mixture(StoredRecord, frozen=True, kw_only=True):
    """Mixtures of rising share, looked at once on the held-out samples.

    `curves` are all ways and signals that were measured on the `selection_samples` of the selection split. `rule` is
    the one in force: before the look that of the smallest share, after it that of the share that was taken of those
    proven (None: nothing could be planned, or the candidate was proven alone and that was taken). `comparison` is the
    usual paired verdict on the held-out samples, the taken mixture's scores in place of the candidate's; where nothing
    was proven that of the smallest share.
    """

    kind: ClassVar[str] = "mixture"

    id: str
    candidate: str
    incumbent: str
    upper: str | None = None
    """The model of one's own that answers what the candidate is not sure of, in the incumbent's place."""
    dataset_id: str
    margin: float
    alpha: float = 0.025
    label: str | None = None
    """The candidate as its project names it, with its method."""
    selection_samples: int = 0
    curves: tuple[MixtureCurve, ...]
    best: int | None = None
    """The place among `curves` of the one that `rule` is from."""
    rule: DeferralRule | None
    path_id: str | None = None
    """Content id of the sequence that the look is planned for: its rule and all thresholds."""
    tested: tuple[ShareStep, ...] = ()
    """The shares that were tested, in their order: all promoted but perhaps the last."""
    wanted: float | None = None
    """The most that the owner wants the candidate to answer, of what is proven (None: by what each share costs)."""
    alone: bool = False
    """Whether all of them were promoted, and the candidate alone after them."""
    comparison: Comparison | None = None
    share: float | None = None
    share_low: float | None = None
    share_high: float | None = None
    """Share of held-out requests that the candidate answered, with its interval."""
    cost: MixtureCost | None = None
    incumbent_until: date | None = None
    """When the incumbent is shut down, where that is known: a mixture needs it alive."""
    made_from: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    refused: str | None = None
    """Why none was made, in words."""
    way_out: str | None = None
    """What to do about that."""

    @property
    def outcome(self) -> VerdictOutcome | None:
        """What the one look said; None where there was none."""
        return None if self.comparison is None else self.comparison.verdict

    @property
    def curve(self) -> MixtureCurve | None:
        """The curve that `rule` is from; the first where none could be taken, None without any."""
        return self.curves[self.best or 0] if self.curves else None

    @property
    def proven(self) -> tuple[ShareStep, ...]:
        """The shares that were proven, all at once: any of them may be taken."""
        return tuple(one for one in self.tested if one.verdict == "promote")

    @property
    def is_proven(self) -> bool:
        """Whether traffic may move to it, and not to the candidate alone."""
        return self.rule is not None and self.outcome == "promote"

    @property
    def sentence(self) -> str:
        """What came out, for people."""
        comparison, share = self.comparison, self.share
        if comparison is None or share is None:
            return f"No fallback was proven: {self.refused or 'none was evaluated'}."
        points = f"{100 * self.margin:g} point{'' if self.margin == 0.01 else 's'}"
        who = self.candidate.partition(":")[0].rpartition("/")[2]
        if self.is_proven:
            rest = "" if self.upper is None else f", and {self.incumbent} is not needed"
            low, high = (100 * (share if one is None else one) for one in (self.share_low, self.share_high))
            return (
                f"{comparison.promise(f'{who}, with {self.upper or self.incumbent} as fallback,')} {who} answered "
                f"{100 * share:.0f}% ({low:.0f} to {high:.0f}) itself{rest}."
            )
        if self.alone:
            return f"Every share was proven, all requests included: {who} needs no fallback."
        if comparison.verdict == "reject":
            return f"With the fallback it is shown to be worse than the incumbent by more than {points}."
        if "slice_harm" in comparison.reasons:
            return "With the fallback a declared slice is harmed, so it is not promoted, however good its mean is."
        return f"That it stays within {points} of the incumbent with the fallback was not proven held out."
