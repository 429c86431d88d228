"""Tasks found in a log, as `freehold tasks` shows them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, Literal

from freehold.types.config.data import MatchConfig
from freehold.types.method import MethodName
from freehold.types.record import Record

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
