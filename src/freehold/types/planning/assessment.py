"""Which open models are left when licence, machine, needs and money have had their say."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from freehold.types.cost import Advice
from freehold.types.machine import Speed, Workload
from freehold.types.method import MethodName
from freehold.types.record import Record
from freehold.types.ruling import RulingOutcome

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
    """Leave or stay as far as money goes, for the first of the shortlist; None when it cannot be said."""
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
