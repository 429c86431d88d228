"""What is known of candidates before and after they are tried, and how one of them is chosen."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Literal

from freehold.types.cost import Advice
from freehold.types.dataset import SplitName
from freehold.types.deferral import SignalName
from freehold.types.evaluated import LatencySummary
from freehold.types.evaluation import Comparison, Task
from freehold.types.license import RulingOutcome
from freehold.types.machine import Speed, Workload
from freehold.types.method import MethodName
from freehold.types.record import Record, StoredRecord


class SelectionRow(Record, frozen=True, kw_only=True):
    """One candidate on the selection split. Differences are candidate minus incumbent, on the score's scale."""

    name: str
    cost: float | None = None
    """Dollars per 1,000 requests; None where unknown."""
    items: int = 0
    """Selection items that both models have a score for."""
    difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    """95 % limits of the difference: for display, since candidates were chosen by looking at these items."""
    needed: float | None = None
    """The difference at which the held-out items would come out as promote; None where they never could."""
    chance: float | None = None
    """Probability that the held-out items come out as promote, as far as the selection items tell."""
    passes: bool = False
    stopped: str | None = None
    """Why the candidate was not measured on all selection items; None where it was."""
    part: float = 0.0
    """Part of the look's alpha that its proof has; 0 where it is not looked at."""
    reason: str = ""
    """A sentence."""


class Selection(Record, frozen=True, kw_only=True):
    """Which candidates go on to the held-out items, and why. `chosen` is the one that has the largest part of the look,
    the cheaper of two. `passes` is false where none is expected to pass. `rows` hold every candidate, cheapest first.
    """

    chosen: str
    passes: bool
    reason: str
    margin: float
    alpha: float
    held_out: int
    """Items that they will be judged on."""
    least_chance: float
    """The chance of promote from which on a candidate passes."""
    rows: tuple[SelectionRow, ...]


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


CandidateOutcome = Literal["shortlisted", "excluded", "unclear"]
TaskKind = Literal["labels", "extraction", "text", "tools", "agent", "code"]
"""What is answered: one of a closed set (or JSON of such), JSON with parts of the text, free text, one call of a tool,
turns that call tools and talk, program text."""


class Needs(Record, frozen=True, kw_only=True):
    """What an application needs of a model, and how that is known."""

    tools: bool = False
    calls_demanded: int = 0
    """Requests among the traces that say a tool must be called (``tool_choice``)."""
    json_schema: bool = False
    vision: bool = False
    languages: tuple[str, ...] = ()
    context_tokens: int = 4096
    concurrency: int = 1
    prompt_tokens: int | None = None
    """Median; None when no traffic was seen."""
    completion_tokens: int | None = None
    duplicate_share: float | None = None
    """Share of requests seen before, word for word: what a cache would save."""
    cacheable_prefix_share: float | None = None
    """Share of prompt characters that repeat the beginning of an earlier prompt."""
    prompt_tokens_p95: int | None = None
    completion_tokens_p95: int | None = None
    """95 of 100 requests stay under these."""
    peak_factor: float | None = None
    """Busiest hour over average hour; None for less than a day of traces."""
    language_shares: tuple[tuple[str, float], ...] = ()
    """Share of the traces whose language is clear, by code, most first."""
    traces: int = 0
    task: TaskKind | None = None
    """None where neither the project nor its traffic tells, and it was not stated."""
    how: tuple[str, ...] = ()


class ModelLimits(Record, frozen=True, kw_only=True):
    """What a model must reach on the machine, besides fitting. None: not asked for."""

    least_tokens_per_second: float | None = None
    """Written for one request, at the middle of the estimate."""
    most_seconds: float | None = None
    """For one request like those of the traffic."""
    trainable: bool = False
    """An adapter of it can be trained on this machine."""


class CandidateRow(Record, frozen=True, kw_only=True):
    """One model of the table. `reasons` say why it is out, or what to know when it is in."""

    model: str
    outcome: CandidateOutcome
    ruling: RulingOutcome
    obligations: int
    parameters: int
    active_parameters: int
    reasons: tuple[str, ...]
    why: str = ""
    """What speaks for it, in a line."""
    rank: int | None = None
    quantization: str | None = None
    total_bytes: int | None = None
    headroom_bytes: int | None = None
    largest_context_tokens: int | None = None
    speed: Speed | None = None
    doubtful: bool = False
    """It may be too slow: the middle of its estimate misses what was asked for."""
    seconds_per_request: float | None = None
    """For a request like those of the traffic, at the fast end of its speed; None where the speed is not known."""
    method: MethodName | None = None
    """The only method by which it can be made a candidate; None where it may be trained or asked as it is."""
    usd_per_month: tuple[Decimal, Decimal] | None = None
    """Holding it for this traffic, low and high end; None where traffic or the machine's price is not known."""
    measured_score: float | None = None
    measured: str = ""
    """What the newest comparison of it in this project said, with its figure."""
    rejected: bool = False
    """That comparison rejected it."""
    open_line: str | None = None
    """What its licence forbids and the stated use does not rule out: it stands behind those without."""
    engine: str = "llamacpp"
    """The engine by which memory and speed are judged."""
    made_from: tuple[str, ...] = ()


class Assessment(Record, frozen=True, kw_only=True):
    """The whole table, best first."""

    id: str
    machine: str
    workload: Workload
    needs: Needs
    rows: tuple[CandidateRow, ...]
    ranked_by: str
    limits: ModelLimits = ModelLimits()
    advice: Advice | None = None
    """Leave or stay on cost alone, for the first of the shortlist; None when it cannot be said."""
    money: str = ""
    """The sentence to it, or why there is none."""
    usd_per_month_now: Decimal | None = None
    """The incumbent's bill."""
    assumptions: tuple[str, ...] = ()
    made_from: tuple[str, ...] = ()
    version: str = ""

    @property
    def shortlist(self) -> tuple[CandidateRow, ...]:
        """The models that are left, best first."""
        return tuple(row for row in self.rows if row.outcome == "shortlisted")


LossOutcome = Literal["reference", "not_worse", "worse", "not_proven"]


class QuantRow(Record, frozen=True, kw_only=True):
    """One quantization. `weights_bytes` are exact where `known` names a file, else computed from the shape."""

    quantization: str
    bits_per_weight: float
    weights_bytes: int
    total_bytes: int
    fits: bool
    largest_context_tokens: int | None
    known: tuple[str, ...] = ()
    """Where such weights are known: in the store, in the catalog, on a hub."""
    path: str | None = None
    """The file, when it is here."""
    speed: Speed | None = None
    """Measured where a measurement is known, else estimated."""
    score: float | None = None
    """On the project's task, where `freehold fit --measure answers` has been run."""
    loss: LossOutcome | None = None
    """What that run showed against the widest weights."""


class Quants(Record, frozen=True, kw_only=True):
    """All rows, largest first, and which to `take` with reasons; None when none fits."""

    model: str
    machine: str
    workload: Workload
    available_bytes: int
    rows: tuple[QuantRow, ...]
    take: str | None
    reasons: tuple[str, ...]
    version: str = ""


class QuantLoss(Record, frozen=True, kw_only=True):
    """One quantization measured on the task. `comparison` sets it against the reference, sample by sample; None for
    the reference itself. `tokens_per_second` are written ones, all requests together; None where kept answers were
    used."""

    quantization: str
    weights_bytes: int
    weights_sha256: str
    n: int
    mean: float | None
    format_failures: int
    outcome: LossOutcome
    tokens_per_second: float | None = None
    comparison: Comparison | None = None


class QuantLosses(StoredRecord, frozen=True, kw_only=True):
    """What quantizations of a model lose on a task. `rows` begin with the reference (the widest weights) and go down in
    size to the first that was not shown to be no worse; `take` is the smallest that was. `skipped` could not be made,
    with why."""

    kind: ClassVar[str] = "quant_losses"

    id: str
    model: str
    machine: str
    dataset_id: str
    split: SplitName
    task: Task
    rows: tuple[QuantLoss, ...]
    take: str
    reasons: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    made_from: tuple[str, ...] = ()
    version: str = ""
