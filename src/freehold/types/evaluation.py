"""Tasks, scores, comparisons."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, ClassVar, Literal

import msgspec

from freehold.types.deferral import SignalName
from freehold.types.record import Record, StoredRecord
from freehold.types.trace import Usage


class Task(Record, frozen=True, kw_only=True):
    """What counts as right, fixed before any candidate's score is seen.

    `margin` is the largest drop the owner accepts, on the score's scale; `alpha` is one-sided.
    `options` belong to the scorer (labels and aliases, JSON fields, tolerance …).
    """

    name: str
    scorer: str
    margin: float = 0.02
    alpha: float = 0.025
    group_by: str | None = None
    slices: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    max_tokens: int = 256
    temperature: float = 0.0


class Score(Record, frozen=True, kw_only=True):
    """How good one answer is. Higher is better, in [0, 1] unless the scorer says otherwise.

    `value` is None when the answer could not be scored, by no fault of the answer; `reason` then says why.
    An answer in the wrong form (invalid JSON, no label) scores 0 with `format_ok` false.
    """

    value: float | None
    reason: str | None = None
    format_ok: bool = True
    parts: dict[str, float] = {}


class EvalResult(Record, frozen=True, kw_only=True):
    """One model's answer to one sample, and its score."""

    sample_id: str
    model: str
    output: str | None
    score: Score
    ttft_ms: float | None = None
    total_ms: float | None = None
    usage: Usage | None = None
    error: str | None = None
    signals: dict[SignalName, float] = {}
    """How sure the model was of its answer; empty where nothing is known of that."""


VerdictOutcome = Literal["promote", "hold", "reject"]


class SliceResult(Record, frozen=True, kw_only=True):
    """One declared slice of a comparison."""

    name: str
    n: int
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    p_harm: float | None
    p_harm_adjusted: float | None
    harmed: bool
    note: str | None = None
    a_only: int | None = None
    b_only: int | None = None
    margin: float | None = None
    """The drop above which this slice counts as harmed."""


class PairedResult(Record, frozen=True, kw_only=True):
    """What `stats.compare` makes of two columns of scores, without names and an id.

    Differences are candidate minus incumbent, positive when the candidate is better. A number that cannot be
    computed is None. Where human labels corrected a judge, the difference and its interval are the corrected ones,
    there are no means, and `intervals` (``as_judged``) have the judge's own. `reasons` are codes, the deciding one
    first; `freehold.verdict` has their sentences, and those of `notes`.
    """

    n: int
    n_items: int
    n_groups: int | None
    unscored: dict[str, int]
    incumbent_mean: float | None
    candidate_mean: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    level: float
    method: str
    margin: float
    alpha: float
    p_noninferiority: float | None
    p_exact: float | None
    p_reject: float | None = None
    a_only: int | None
    """Pairs only the incumbent got right (losses); None where scores are not binary."""
    b_only: int | None
    """Pairs only the candidate got right (wins)."""
    smallest_detectable: float | None
    needed_n: int | None
    needed_n_assumes: Literal["equal", "as_seen"] | None = None
    """How good the candidate is taken to be for `needed_n`: as the incumbent, or as far behind as seen."""
    needed_n_if_slightly_worse: int | None = None
    """The same for one that is worse by a quarter of the margin."""
    verdict: VerdictOutcome
    reasons: tuple[str, ...]
    slices: tuple[SliceResult, ...] = ()
    notes: tuple[str, ...] = ()
    intervals: dict[str, tuple[float, float]] = {}
    """All limits that were computed, by method; the widest of those that count are `ci_low`, `ci_high`.
    ``independent`` would be those of the items taken as independent, and does not count."""
    design_effect: float | None = None
    lower_worst: float | None = None
    """Lower limit when every unscored pair counts as lost, as it does for a promote; None without unscored pairs."""
    self_noise: float | None = None
    unmeasured: float = 0.0
    """Share of items whose right answer is the incumbent's own single one: what it loses against itself is unknown."""
    power_ceiling: float | None = None
    """Probability that a perfect clone of the incumbent, with its noise, would be promoted at this n."""
    clone_n: int | None = None
    """Pairs from which on such a clone would be promoted four times of five."""
    error_ratio: float | None = None
    """How many times the incumbent's errors the margin allows; None where it makes none."""
    binary: bool = False
    all_items: int | None = None
    """How many items there are with those that do not count, where a unit has more of them than count."""
    all_difference: float | None = None
    """The mean difference over all of these."""

    @property
    def promoted(self) -> bool:
        """Whether the candidate passed."""
        return self.verdict == "promote"

    def summary(self) -> str:
        """The verdict and the figures it rests on, in points where scores are from 0 to 1."""
        if self.difference is None or self.ci_low is None or self.ci_high is None:
            return f"{self.verdict}: no difference can be computed, n = {self.n:,}"
        unit, points = (100, " points") if self.margin < 1 else (1, "")
        low, mean, high = (unit * one for one in (self.ci_low, self.difference, self.ci_high))
        scores = (self.incumbent_mean, self.candidate_mean)
        said = " → ".join(f"{unit * one:.1f}" for one in scores if one is not None)
        return (
            f"{self.verdict}: {said}, {mean:+.1f}{points} "
            f"[{low:+.1f}, {high:+.1f}], margin {unit * self.margin:g}, n = {self.n:,}"
        )


class KnownLooks(Record, frozen=True, kw_only=True):
    """What a user's ledger of looks knows of one, whatever folder they were taken in.

    It holds `looks` lines and `head` is the beginning of the hash of the last. `elsewhere` earlier looks that the store
    does not know were at some of these items, the first `first_at`; the one that shared most at about `share` of them,
    within `error` at 95 %. `relabelled` ones, of this store too, had other right answers to most of those.
    """

    looks: int = 0
    head: str = ""
    elsewhere: int = 0
    relabelled: int = 0
    share: float = 0.0
    error: float = 0.0
    first_at: datetime | None = None
    trouble: str | None = None
    """Why it is not known, or not all of it."""

    def notes(self) -> Iterator[str]:
        """What a person who reads the result must know of it."""
        if self.elsewhere:
            looks = (
                "1 earlier evaluation" if self.elsewhere == 1 else f"{self.elsewhere:,} earlier evaluations"
            )
            error = f" (± {100 * self.error:.0f} points)" if self.error else ""
            yield (
                f"This machine knows of {looks} of about {self.share:.0%}{error} of these items, in other folders or "
                f"in a store that is gone, the first on {self.first_at:%Y-%m-%d}. What they spent is not counted here."
            )
        if self.relabelled:
            looks = (
                "1 earlier evaluation was"
                if self.relabelled == 1
                else f"{self.relabelled:,} earlier evaluations were"
            )
            yield f"{looks} of the same questions with other right answers: not counted as evaluations of these items."
        if self.trouble is not None:
            yield f"Whether these items were evaluated in other folders is not known for certain: {self.trouble}."


class LookCount(Record, frozen=True, kw_only=True):
    """Which look at its items a comparison is, over all that share items with it, directly or through others.

    `shared` of its `items` were looked at before. `first_at` and `first_evaluation` are of the first look, None where
    this is it. `alpha` is what this look may err, one-sided,
    `alpha_spent` what the looks before it were allowed; beyond the plan a look may not promote.
    """

    number: int
    planned: int
    items: int
    shared: int
    first_at: datetime | None
    first_evaluation: str | None
    alpha: float
    alpha_spent: float
    may_promote: bool
    part: float = 1.0
    gone: int = 0
    """Items of the looks before that are not among these. Each counts as lost."""
    removed: int = 0
    """As many more whose traces were forgotten, or older than what is kept. They count as lost where a promote would
    not hold then, and nowhere else."""
    informs: bool = False
    """The look was planned for a mixture, and this comparison is of the candidate alone."""
    known: KnownLooks | None = None
    """What is known beyond the store; None without a store."""

    @property
    def text(self) -> str:
        """Which of how many, and the state of the user's ledger then: it can be held against the ledger later."""
        text = f"{self.number} of {self.planned} planned"
        if self.known is None or not self.known.looks:
            return text
        return f"{text}; evaluations this machine knows of: {self.known.looks:,}, up to {self.known.head}"


class Comparison(PairedResult, StoredRecord, frozen=True, kw_only=True):
    """A result with its names: candidate minus incumbent on the same items of a task."""

    kind: ClassVar[str] = "comparison"

    id: str
    task: str
    incumbent: str
    candidate: str
    incumbent_format_failures: int = 0
    candidate_format_failures: int = 0
    made_from: tuple[str, ...] = ()
    version: str = ""
    look: LookCount | None = None
    """Which evaluation of these items this is; None where looks are not counted."""
    period: tuple[date, date] | None = None
    """The first and last day on which the items were asked, as far as it is known."""

    def summary(self) -> str:
        """As of the figures alone, and whether these items were evaluated too often to promote."""
        seen = self.look
        spent = (
            "" if seen is None or seen.may_promote else f"; evaluation {seen.number}, {seen.planned} planned"
        )
        return super().summary() + spent

    def promise(self, who: str) -> str:
        """What a promote says, and no more: of requests like these, on average, against the recorded answers, by a
        procedure that errs at a stated rate. `who` is what was compared with the incumbent."""
        points = "point" if self.margin == 0.01 else "points"
        unit = f"{points} of agreement with the recorded answers" if self.unmeasured else points
        seen = 0.0 if self.ci_low is None else 100 * self.ci_low
        shown = f"at least {seen:.1f} better" if seen > 0 else f"at most {-seen:.1f} worse"
        when = "" if self.period is None else f" ({_days(*self.period)})"
        part = 1.0 if self.look is None else self.look.part  # whichever of several is promoted
        return (
            f"On requests like these {self.n:,}{when}, {who} is at most {100 * self.margin:g} {unit} worse on average "
            f"than {'they are themselves' if self.unmeasured else 'the recorded answers'}, by this sample {shown}; a "
            f"procedure that says this wrongly does so in at most {100 * self.alpha / part:.3g}% of cases."
        )

    @classmethod
    def of(cls, result: PairedResult, *, notes: tuple[str, ...] = (), **names: Any) -> Comparison:
        """A result with the fields it lacks (`names`); `notes` are put before the result's own."""
        return cls(**msgspec.structs.asdict(result) | {"notes": (*notes, *result.notes)}, **names)


def _days(first: date, last: date) -> str:
    """`1–30 Nov 2026`, `28 Oct – 3 Nov 2026`."""
    ends = f"{last.day} {last:%b %Y}"
    if first == last:
        return ends
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}–{ends}"
    year = "" if first.year == last.year else f" {first.year}"
    return f"{first.day} {first:%b}{year} – {ends}"


class PowerRow(Record, frozen=True, kw_only=True):
    """Items needed under one assumption. `power` is what `n` gives; `power_at_n` what was asked about gives."""

    discordance: float | None
    true_difference: float
    n: int
    n_normal: int | None
    power: float
    exact: bool
    power_at_n: float | None = None


class PowerPlan(Record, frozen=True, kw_only=True):
    """A plan made before anything is scored. `zero_loss_n` suffices only if not one pair is discordant."""

    margin: float
    alpha: float
    power: float
    design_effect: float
    n: int | None
    zero_loss_n: int | None
    rows: tuple[PowerRow, ...]
    sentence: str = ""
    """The usual row in words: 5 % discordance, where it was not said."""
    notes: tuple[str, ...] = ()

    def summary(self) -> str:
        """The plan in a sentence."""
        return self.sentence or f"with not one discordant pair, {self.zero_loss_n} items"
