"""What an application asks: the calls found in its code, and the tasks found in its log."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, Literal

from freehold.types.config import MatchConfig
from freehold.types.method import MethodName
from freehold.types.record import Record

ModelUseKind = Literal["model_id", "sdk", "endpoint", "key"]

EndStatus = Literal["ended", "gone", "ends", "deprecated", "available", "unknown"]
"""`gone`: retired without a published day; `deprecated`: to be retired, without a day; `available`: its vendor
names it, without an end; `unknown`: only spelt like a model's id."""


class _End(Record, frozen=True, kw_only=True):
    """When a model ends and what its vendor names in its place; without a day where none is known."""

    shutdown: date | None = None
    days_left: int | None = None
    replacement: str | None = None


class ModelEnd(_End, frozen=True, kw_only=True):
    """One name that a partial name (``gpt-4.1-{…}``) can become."""

    model: str
    status: EndStatus


class SourcedEnd(_End, frozen=True, kw_only=True):
    """The same with where it was read, and whether that was long ago. Of a partial name, `becomes` are all names it
    can become, and the day is the first of theirs."""

    becomes: tuple[ModelEnd, ...] = ()
    retirement_source: str | None = None
    stale: bool = False


class ModelUse(SourcedEnd, frozen=True, kw_only=True):
    """One place. `line` and `column` count from 1. `model` and `status` are None for an SDK, an endpoint or a key's
    name."""

    kind: ModelUseKind
    path: str
    line: int
    column: int
    text: str
    vendor: str
    how: str
    model: str | None = None
    status: EndStatus | None = None


class ScannedModel(SourcedEnd, frozen=True, kw_only=True):
    """A model with all its places (``path:line:column``)."""

    model: str
    vendor: str
    status: EndStatus
    places: tuple[str, ...]


class UnreadFiles(Record, frozen=True, kw_only=True):
    """Files that were not looked into, by reason."""

    reason: str
    count: int
    paths: tuple[str, ...]


class Scan(Record, frozen=True, kw_only=True):
    """All findings of one code base, and its models, most urgent first. `skipped` are files that could not be read,
    with the reason; `unread` files of kinds that are not read."""

    root: str
    as_of: date
    files: int
    findings: tuple[ModelUse, ...]
    models: tuple[ScannedModel, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    unread: tuple[UnreadFiles, ...] = ()
    version: str = ""


TaskKind = Literal[
    "closed set", "extraction", "number", "tool use", "agent", "free text", "embeddings", "unknown"
]


class TaskScore(Record, frozen=True, kw_only=True):
    """How well a task suits a move, each part from 0 to 1; `total` is 100 times their mean."""

    narrow: float
    """1 for a closed set, 0.8 for fields or a number, 0.6 for calls of tools, 0.4 for an agent, 0.3 for free text, 0
    for what is not known."""
    frequent: float
    """Logarithm of the requests a month (or of those in the log, where that is not known) over that of 100,000."""
    checkable: float
    """1 where a rule compares answers, 0.7 for an agent's turns, 0.3 where a judge or a vector is needed, 0 without
    answers."""
    costly: float
    """Share of the log's dollars, or of its tokens where a price is missing."""
    total: float


class LogTask(Record, frozen=True, kw_only=True):
    """A task: requests that one prompt, one set of tools and one form of answer have in common.

    `name` is short and its own among the tasks of a log. `skeleton` is the prompt with ``{…}`` for each slot, empty
    where nothing is constant. `share` is of all requests. Tokens are means per request. `samples` counts distinct
    questions. `requests_per_month` and `usd_per_month` are None with a reason beside. `languages` are shares of first
    user turns by ISO 639-1 code, or ``unknown``. `scorer` is what would check answers. `method` is how a candidate
    would be made; None where no method suits. `match` selects its requests.
    """

    name: str
    skeleton: str
    kind: TaskKind
    model: str | None
    tools: tuple[str, ...]
    form: str
    requests: int
    share: float
    samples: int
    requests_per_month: float | None
    usd_per_month: Decimal | None
    why_no_price: str | None
    prompt_tokens: float
    completion_tokens: float
    estimated_tokens: bool
    languages: dict[str, float]
    scorer: str | None
    scorer_options: dict[str, Any]
    scorer_why: str
    method: MethodName | None
    method_why: str
    retires: date | None
    days_left: int | None
    score: TaskScore
    match: tuple[MatchConfig, ...]


class LogTasks(Record, frozen=True, kw_only=True):
    """The tasks of a log, the one that suits a move best first.

    `passed_over` counts records that are not calls of a model, by reason; `days` is the span of the log, None with
    `why_no_month` where it does not say when or is too short.
    """

    version: int = 1
    sources: tuple[str, ...]
    requests: int
    rejected: int
    passed_over: dict[str, int]
    days: float | None
    why_no_month: str | None
    tasks: tuple[LogTask, ...]
