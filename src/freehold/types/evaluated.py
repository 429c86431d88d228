"""What an evaluation leaves: frozen answers, results, and what was measured on the way."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar, Literal

from freehold.types.dataset import Sample, SplitName
from freehold.types.evaluation import Comparison, EvalResult, Task, VerdictOutcome
from freehold.types.record import Record, StoredRecord

References = Literal["gold", "incumbent", "mixed"]
"""What answers were compared with."""


class Regressions(Record, frozen=True, kw_only=True):
    """Where the candidate lost and won against the incumbent, over all scored pairs.

    `by_cause` counts the lost pairs by what was wrong with the candidate's answer. `by_field` has, for each part of a
    scored answer, how many of `scored` answers had it wrong: candidate, incumbent. `confusions` are what was right and
    what the candidate answered instead, the most frequent first.
    """

    scored: int
    lost: int
    won: int
    by_cause: dict[str, int]
    by_field: dict[str, tuple[int, int]] = {}
    confusions: tuple[tuple[str, str, int], ...] = ()


class LatencySummary(Record, frozen=True, kw_only=True):
    """How fast answers came over `n` requests, `concurrency` of them at once. Milliseconds; None when unknown."""

    n: int
    concurrency: int
    ttft_p50_ms: float | None = None
    ttft_p95_ms: float | None = None
    total_p50_ms: float | None = None
    total_p95_ms: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    wall_seconds: float | None = None


class Disagreement(Record, frozen=True, kw_only=True):
    """A held-out sample that the two models did not score alike on."""

    sample_id: str
    question: str
    reference: str | None
    incumbent_answer: str | None
    candidate_answer: str | None
    incumbent_score: float | None
    candidate_score: float | None
    parts: dict[str, float] = {}
    """The candidate's score by part (JSON field), where the scorer has parts."""
    incumbent_reason: str | None = None
    candidate_reason: str | None = None
    """Why the scorer gave these scores, where it says so."""


class UntrainedBaseline(Record, frozen=True, kw_only=True):
    """What the base model scores without the adapter, on `n` of the held-out samples."""

    n: int
    mean: float | None
    format_failures: int


class Measured(Record, frozen=True, kw_only=True):
    """A model's score by itself, with an interval at `level`. It is not a comparison: it does not rest on pairs.

    `method` is ``wilson`` for scores of 0 and 1, ``t`` else. Absent limits mean too few scored samples.
    """

    n: int
    mean: float | None
    ci_low: float | None
    ci_high: float | None
    level: float
    method: str


class Evaluation(StoredRecord, frozen=True, kw_only=True):
    """One evaluation with everything a report says about it.

    `references` says what the answers were compared with. `results_file` holds every answer and score of
    both models, one JSON line a sample; `disagreements` are the first of those scored differently.
    """

    kind: ClassVar[str] = "evaluation"

    id: str
    task: Task
    dataset_id: str
    incumbent: str
    candidate: str
    endpoint: str
    comparison: Comparison | None
    measured: Measured
    references: References
    latency: LatencySummary
    disagreements: tuple[Disagreement, ...] = ()
    disagreements_total: int = 0
    regressions: Regressions | None = None
    untrained: UntrainedBaseline | None = None
    results_file: str | None = None
    from_cache: int = 0
    incumbent_cost_usd: Decimal | None = None
    """What the incumbent's maker would charge for these requests at the list price, by the candidate's token counts."""
    sandbox: str | None = None
    """What held the user's own scorer: ``bubblewrap``, or ``limits only`` and what was open then; None for others."""

    @property
    def verdict(self) -> VerdictOutcome | None:
        """What the comparison says; None where there was none."""
        return None if self.comparison is None else self.comparison.verdict

    @property
    def promoted(self) -> bool:
        """Whether the candidate passed."""
        return self.verdict == "promote"

    def summary(self) -> str:
        """Who was compared with whom, and what came out."""
        found = "not compared" if self.comparison is None else self.comparison.summary()
        return f"{self.candidate} against {self.incumbent}: {found}"


class EvaluationLine(StoredRecord, frozen=True, kw_only=True):
    """One evaluation in short; kept of two files, whose words are kept nowhere. Scores may be held against each other
    where `dataset_id` and `scorer` are the same."""

    kind: ClassVar[str] = "evaluation_of_files"

    id: str
    at: datetime | None
    """When its items were looked at; None where that was not kept."""
    candidate: str
    incumbent: str
    endpoint: str
    """Where the candidate answered, or ``files``."""
    dataset_id: str
    scorer: str
    n: int
    """Items that were scored."""
    score: float | None
    ci_low: float | None
    ci_high: float | None
    """Limits of the score."""
    difference: float | None
    """Candidate minus incumbent; None without an incumbent's answers."""
    difference_low: float | None
    difference_high: float | None
    margin: float
    verdict: VerdictOutcome | None
    look: int | None
    """Which evaluation of these items it was."""

    @classmethod
    def of(cls, made: Evaluation, at: datetime | None) -> EvaluationLine:
        """In short."""
        comparison, measured = made.comparison, made.measured
        return cls(
            id=made.id,
            at=at,
            candidate=made.candidate,
            incumbent=made.incumbent,
            endpoint=made.endpoint,
            dataset_id=made.dataset_id,
            scorer=made.task.scorer,
            n=measured.n,
            score=measured.mean,
            ci_low=measured.ci_low,
            ci_high=measured.ci_high,
            difference=None if comparison is None else comparison.difference,
            difference_low=None if comparison is None else comparison.ci_low,
            difference_high=None if comparison is None else comparison.ci_high,
            margin=made.task.margin,
            verdict=None if comparison is None else comparison.verdict,
            look=None if comparison is None or comparison.look is None else comparison.look.number,
        )


class ItemLook(StoredRecord, frozen=True, kw_only=True):
    """That an evaluation looked at items, kept before its result is shown. It holds no word of them.

    `id` is the evaluation's. `items` are the ids of the questions, 8 bytes each, `golds` as many of 8 bytes for what is
    right (zeros: not said), in the same order. `near` are ids of each question without one of its words
    (`wording.near_ids`), `near_counts` how many of each item, 2 bytes. `traces` are ids of the traces they are of,
    8 bytes each (zeros: of none). `alpha` is the one-sided error this look was allowed.
    """

    kind: ClassVar[str] = "look"

    id: str
    at: datetime
    dataset_id: str
    incumbent: str
    candidate: str
    alpha: float
    items: bytes = b""
    golds: bytes = b""
    near: bytes = b""
    near_counts: bytes = b""
    traces: bytes = b""
    allowed: float | None = None
    """What all planned looks might err together when this one was taken."""
    answers: str | None = None
    """Id of the candidate's answers and their scores."""
    alone: bool = False
    """No answer of the incumbent was there: the candidate's scores were seen, and it could not be promoted."""
    path: str | None = None
    """Id of the sequence of mixtures that the look was planned for; the candidate alone comes after them."""
    together: str | None = None
    """Id of the selection that several candidates were looked at together by: they are one look."""
    part: float = 1.0
    """Part of that look's alpha which was this candidate's."""


class LookRemoval(StoredRecord, frozen=True, kw_only=True):
    """That traces which were looked at left the store: by `freehold forget`, or by age or size. `traces` are their ids
    as `ItemLook` has them; nothing in it says whose they were."""

    kind: ClassVar[str] = "look_removal"
    unaudited: ClassVar[str | None] = "what is deleted has its entry"

    id: str
    at: datetime
    traces: bytes


class ItemResult(Record, frozen=True, kw_only=True):
    """One line of an evaluation's results file."""

    sample: Sample
    reference: str | None
    incumbent: EvalResult
    candidate: EvalResult


class Freeze(StoredRecord, frozen=True, kw_only=True):
    """What was frozen. `self_noise` is the share of samples whose answers score differently; None unless repeated."""

    kind: ClassVar[str] = "freeze"

    id: str
    at: datetime
    dataset_id: str
    model: str
    split: SplitName
    repeats: int
    samples: int
    answered: int
    failed: int
    file: str
    self_noise: float | None = None
    retires: date | None = None
    days_left: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: Decimal | None = None
    """At the maker's list price, kept answers included; None where that is not known."""
