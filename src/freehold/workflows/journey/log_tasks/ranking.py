"""Tasks of a log in words and figures, ranked by how well they suit a move: narrow, frequent, checkable, costly."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from importlib.util import find_spec
from typing import NamedTuple

import msgspec

from freehold.catalog.retirements import retirement_of
from freehold.costs.prices import asking_cost
from freehold.datasets.tasks import ANY_TOOLS, TaskGroup
from freehold.types.application import LogTask, TaskKind, TaskScore
from freehold.types.config import MatchConfig
from freehold.types.method import MethodName
from freehold.workflows.journey.drafting import Guess
from freehold.workflows.journey.log_tasks.figures import GroupFigures, distinct_questions, is_agent, languages

LEAST_TO_TRAIN = 60
"""Distinct questions below which training is not proposed: with 60 a small model learned twelve labels to 70 %, with
150 to 94 % (docs/benchmarks.md has such curves)."""
_OFTEN = 100_000
_NARROW: dict[TaskKind, float] = {
    "closed set": 1.0,
    "extraction": 0.8,
    "number": 0.8,
    "tool use": 0.6,
    "agent": 0.4,
    "free text": 0.3,
    "embeddings": 0.0,
    "unknown": 0.0,
}
_CHECKED = {"label": 1.0, "json_fields": 1.0, "tool_call": 1.0, "numeric": 1.0, "turn": 0.7, "exact": 0.3}
_KINDS: dict[str, TaskKind] = {
    "label": "closed set",
    "json_fields": "extraction",
    "numeric": "number",
    "tool_call": "tool use",
    "turn": "agent",
    "exact": "free text",
}
SLOT = "{…}"
_WORD = re.compile(r"[^\W\d_]{2,}")
_NAME_WORDS, _NAME_CHARACTERS = 4, 40
_DULL = frozenset({
    "you", "are", "the", "an", "is", "it", "of", "to", "and", "in", "with", "for", "from", "this", "that", "your",
    "answer", "answers", "assistant", "helpful", "write", "one", "be", "as", "at", "by", "what", "which", "who", "how",
    "into", "below", "text", "message", "user", "customer", "please", "today", "now", "or", "no", "not", "if", "do",
    "does", "so", "say", "where", "its", "use", "using", "always", "never", "only", "must", "should", "will", "can",
})  # fmt: skip


class FoundTask(NamedTuple):
    """A task as it was found: its group, what selects its requests, and what they told."""

    group: TaskGroup
    match: MatchConfig
    figures: GroupFigures


def ranked(found: Sequence[FoundTask], *, requests: int, months: float | None) -> list[LogTask]:
    """The tasks, the one that suits a move best first. `months` is the span of the log; None where it is not known."""
    priced = [_price(task) for task in found]
    costs = _cost_shares(found, priced)
    common = Counter(word for task in found for word in set(_telling(task)))
    tasks = [
        _task(task, _name(task, common), _Cost(usd, share), requests=requests, months=months)
        for task, usd, share in zip(found, priced, costs, strict=True)
    ]
    tasks.sort(key=lambda task: (-task.score.total, -task.requests, task.skeleton))
    return _named(tasks)


class _Cost(NamedTuple):
    """Dollars of all requests of a task, None where no price is known, and its share of the log's cost."""

    usd: Decimal | None
    share: float


def _task(task: FoundTask, name: str, cost: _Cost, *, requests: int, months: float | None) -> LogTask:
    usd = cost.usd
    figures, shape = task.figures, task.group.shape
    guess = figures.guess()
    kind = _kind(task, guess)
    samples = distinct_questions(figures)
    scorer = None if guess is None or kind == "embeddings" else guess.scorer
    method, method_why = _method(kind, samples)
    retirement = retirement_of(shape.model) if shape.model else None
    per_month = None if months is None else figures.requests / months
    return LogTask(
        name=name,
        skeleton=skeleton(task.group),
        kind=kind,
        model=shape.model or None,
        tools=() if shape.tools == ANY_TOOLS else shape.tools,
        form=shape.form,
        requests=figures.requests,
        share=figures.requests / requests,
        samples=samples,
        requests_per_month=per_month,
        usd_per_month=None if usd is None or months is None else usd / Decimal(str(months)),
        why_no_price=None if usd is not None else _why_no_price(shape.model),
        prompt_tokens=figures.prompt_tokens / figures.requests,
        completion_tokens=figures.completion_tokens / figures.requests,
        estimated_tokens=figures.estimated > 0,
        languages=languages(figures),
        scorer=scorer,
        scorer_options={} if guess is None or scorer is None else guess.options,
        scorer_why="no answers to tell from" if guess is None else guess.why,
        method=method,
        method_why=method_why,
        retires=None if retirement is None else retirement.shutdown,
        days_left=None if retirement is None else retirement.days_left(datetime.now(UTC).date()),
        score=_score(kind, scorer, figures.requests if per_month is None else per_month, cost.share),
        match=(task.match,),
    )


def _kind(task: FoundTask, guess: Guess | None) -> TaskKind:
    shape = task.group.shape
    if shape.kind == "embeddings":
        return "embeddings"
    if shape.tools and is_agent(task.figures):
        return "agent"
    if guess is None:
        return "unknown"
    return _KINDS.get(guess.scorer, "free text")


def _method(kind: TaskKind, samples: int) -> tuple[MethodName | None, str]:
    """How a candidate would best be made, by what freehold can do today."""
    if kind == "embeddings":
        return None, "freehold trains no embedding models"
    if kind == "unknown":
        return None, "nothing to learn from or to compare with: the log holds no answers"
    if kind == "closed set" and samples:
        return "encoder", f"{samples:,} distinct questions to learn from and to hold out"
    if samples < LEAST_TO_TRAIN:
        return "as_is", f"{samples} distinct questions are too few to train on and to prove with"
    return "lora", f"{samples:,} distinct questions to learn from and to hold out"


def _score(kind: TaskKind, scorer: str | None, requests: float, cost_share: float) -> TaskScore:
    parts = {
        "narrow": _NARROW[kind],
        "frequent": min(1.0, math.log10(1 + requests) / math.log10(1 + _OFTEN)),
        "checkable": _CHECKED.get(scorer or "", 0.0),
        "costly": cost_share,
    }
    return TaskScore(**parts, total=100 * sum(parts.values()) / len(parts))


def _price(task: FoundTask) -> Decimal | None:
    """Dollars for all requests of a task at list prices, from those drawn; None where the price is not known."""
    model, drawn = task.group.shape.model, task.figures.usages
    if not model or not drawn.kept:
        return None
    usd = asking_cost(model, drawn.kept)
    return None if usd is None else usd * task.figures.requests / len(drawn.kept)


def _why_no_price(model: str) -> str:
    if not model:
        return "the log names no model"
    if find_spec("genai_prices") is None:
        return "the price list is not installed: pip install 'freehold[costs]'"
    return f"no list price of {model} is known"


def _cost_shares(found: Sequence[FoundTask], priced: Sequence[Decimal | None]) -> list[float]:
    """Each task's share of the dollars, or of the tokens where one has no price."""
    known = [usd for usd in priced if usd is not None]
    if len(known) == len(priced) and sum(known) > 0:
        return [float(usd / sum(known)) for usd in known]
    tokens = [task.figures.prompt_tokens + task.figures.completion_tokens for task in found]
    return [count / max(1, sum(tokens)) for count in tokens]


def skeleton(group: TaskGroup) -> str:
    """A group's prompt with a slot wherever something stands between its pieces, as one text to read; empty where
    nothing is constant."""
    return "\n".join(_with_slots(*one) for one in (group.system, group.user) if one and one.pieces)


def _with_slots(pieces: Sequence[str], text: str) -> str:
    shown = ""
    for piece in pieces:
        between, _, text = text.partition(piece)
        shown += (SLOT if between.strip() else between) + piece
    return shown + (SLOT if text.strip() else "")


def _telling(task: FoundTask) -> list[str]:
    """The words of a task's template that say something, in order."""
    words = [word.lower() for word in _WORD.findall(skeleton(task.group)[:2000]) if word.isascii()]
    return list(dict.fromkeys(word for word in words if word not in _DULL))


def _name(task: FoundTask, common: Counter[str]) -> str:
    """A short name from the template's own words (before those that other tasks' templates hold, too), else from what
    is asked for."""
    shape, telling = task.group.shape, _telling(task)
    words = [word for word in telling if common[word] == 1] or telling
    if len(words) < 2 and shape.form not in ("text", "json_object"):
        words = _WORD.findall(shape.form.lower())
    if not words and shape.tools not in ((), ANY_TOOLS):
        words = _WORD.findall(shape.tools[0].lower())
    short = "-".join(words[:_NAME_WORDS])[:_NAME_CHARACTERS].strip("-")
    return short or ("embeddings" if shape.kind == "embeddings" else "own-words")


def _named(tasks: Sequence[LogTask]) -> list[LogTask]:
    """The tasks with names of their own: of several that share one, the later ones are numbered."""
    met: Counter[str] = Counter()
    named = []
    for task in tasks:
        met[task.name] += 1
        name = task.name if met[task.name] == 1 else f"{task.name}-{met[task.name]}"
        named.append(msgspec.structs.replace(task, name=name))
    return named
