"""`freehold tasks`: which tasks are in a log, and which of them is worth moving first.

A log is read twice: to learn the templates, then to tell each request its task and to count. Memory per task: `ANSWERS`
answers and texts, and eight bytes for each question. Tasks are ranked by how well they suit a move: narrow, frequent,
checkable, costly.
"""

from __future__ import annotations

import math
import random
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

from freehold.catalog.retirements import retirement_of
from freehold.costs.prices import asking_cost
from freehold.costs.traffic import DAYS_PER_MONTH, LEAST_DAYS
from freehold.datasets import importing
from freehold.datasets.importing import Imported, PassedOver
from freehold.datasets.messages import message_text, response_message
from freehold.datasets.tasks import ANY_TOOLS, Api, AskedTask, Grouper, TaskGroup, asked_task
from freehold.errors import InputError, UsageError
from freehold.late import np
from freehold.progress import Progress, Silent
from freehold.store import open_store
from freehold.types.application import LogTask, LogTasks, TaskKind, TaskScore
from freehold.types.config import DataConfig, MatchConfig
from freehold.types.identity import question_id
from freehold.types.method import MethodName
from freehold.types.trace import Trace, Usage
from freehold.wire.usage import usage_of
from freehold.workflows.choose.needs import language_of
from freehold.workflows.journey.drafting import Guess, guess_scorer, prompt_size, tokens_in
from freehold.workflows.project import Project

ANSWERS = 400
"""Answers and questions, evenly drawn, that are looked at in each group."""
_STEPS = 0.05
T = TypeVar("T")


class AskedRequest(NamedTuple):
    """A request of a log with what is known about it. `at` is None where the log does not say when."""

    request: dict[str, Any]
    response: dict[str, Any] | None
    model: str
    kind: Api = "chat"
    gold: str | None = None
    at: datetime | None = None
    usage: Usage | None = None

    def asked(self) -> AskedTask:
        """The parts that tell its task."""
        return asked_task(self.request, model=self.model, kind=self.kind)


class Drawn(Generic[T]):
    """At most `ANSWERS` of any number of things, each with the same chance (Vitter's algorithm R, 1985)."""

    def __init__(self) -> None:
        self.kept: list[T] = []
        self.met = 0
        self._draw = random.Random(0)

    def add(self, thing: T) -> None:
        """Offer one."""
        self.met += 1
        if len(self.kept) < ANSWERS:
            self.kept.append(thing)
        elif (place := self._draw.randrange(self.met)) < ANSWERS:
            self.kept[place] = thing


class GroupFigures:
    """Collects the figures of one group, request by request."""

    def __init__(self) -> None:
        self.requests = self.estimated = self.steps = 0
        self.prompt_tokens = self.completion_tokens = 0
        self.answers, self.texts, self.usages = Drawn[str](), Drawn[str](), Drawn[Usage]()
        self.questions = array("Q")

    def add(self, logged: AskedRequest, asked: AskedTask) -> None:
        """Count a request."""
        self.requests += 1
        self.steps += bool(asked.called)
        message = response_message(logged.response) if logged.response else None
        said = logged.gold if logged.gold is not None else message_text(message) if message else None
        if said:
            self.answers.add(said)
        self.texts.add(asked.user)
        usage, estimated = _tokens(logged, said or "")
        self.estimated += estimated
        self.prompt_tokens += usage.prompt_tokens or 0
        self.completion_tokens += usage.completion_tokens or 0
        self.usages.add(usage)
        messages = logged.request.get("messages")
        if isinstance(messages, list) and messages:
            self.questions.append(int(question_id([m for m in messages if isinstance(m, dict)]), 16))

    def guess(self) -> Guess | None:
        """How the answers are best scored; None without answers."""
        return guess_scorer(self.answers.kept) if self.answers.kept else None


def distinct_questions(figures: GroupFigures) -> int:
    """How many samples the requests would make: a question that comes again is one."""
    return len(np.unique(np.frombuffer(figures.questions, dtype=np.uint64))) if figures.questions else 0


def languages(figures: GroupFigures) -> dict[str, float]:
    """Shares of the languages of the first user turns, the commonest first; ``unknown`` where a text does not tell."""
    counted = Counter(language_of(text[:2000]) or "unknown" for text in figures.texts.kept)
    return {code: count / counted.total() for code, count in counted.most_common()}


def is_agent(figures: GroupFigures) -> bool:
    """Whether requests go on after calls of tools."""
    return figures.steps >= _STEPS * figures.requests


def _tokens(logged: AskedRequest, said: str) -> tuple[Usage, bool]:
    """The tokens of a request as they were counted, else estimated from its characters; and whether they were."""
    usage = logged.usage
    if usage is None and logged.response is not None:
        usage = usage_of(logged.response)
    if usage is not None and usage.prompt_tokens is not None and usage.completion_tokens is not None:
        return usage, False
    messages = logged.request.get("messages")
    asked = [m for m in messages if isinstance(m, dict)] if isinstance(messages, list) else []
    size = prompt_size(asked, logged.request.get("tools"))
    return Usage(prompt_tokens=tokens_in(size), completion_tokens=tokens_in(len(said))), True


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


Log: TypeAlias = Callable[[], Iterable[AskedRequest]]
"""Reads a log from its beginning, each time it is called."""
_BATCH = 1000


class _Skipped:
    """What of a log was no request, counted while it is read."""

    def __init__(self) -> None:
        self.rejected = 0
        self.passed: Counter[str] = Counter()


def tasks_of_files(files: Sequence[Path], *, data: DataConfig, progress: Progress | None = None) -> LogTasks:
    """The tasks in log files (or folders). Raises `InputError` for a file that cannot be read or holds no request."""
    importing.check_fields(files, data)
    skipped = _Skipped()

    def read() -> Iterator[AskedRequest]:
        skipped.rejected, skipped.passed = 0, Counter()
        for path in files:
            for found in importing.read(path, data):
                if isinstance(found, Imported):
                    yield _logged(found)
                elif isinstance(found, PassedOver):
                    skipped.passed[found.reason] += 1
                else:
                    skipped.rejected += 1

    found = tasks_of(read, progress=progress)
    if not found.requests:
        raise InputError(
            "no request could be read",
            path=", ".join(map(str, files)),
            hint="freehold import --dry-run FILE shows how it is read, and why records are rejected",
        )
    return found.told(tuple(map(str, files)), skipped.rejected, dict(skipped.passed.most_common()))


def tasks_captured(project: Project, *, progress: Progress | None = None) -> LogTasks:
    """The tasks in a project's traces. Raises `UsageError` where there are none."""
    with open_store(project.reading_url) as store:
        found = tasks_of(
            lambda: (_traced(trace) for trace in store.traces() if trace.parent_id is None), progress=progress
        )
    if not found.requests:
        raise UsageError(
            "no traces to find tasks in",
            hint="freehold up --capture patterns records traffic, freehold import FILE brings some in; "
            "freehold tasks FILE reads a file as it is",
        )
    return found.told((str(project.root),), 0, {})


class FoundTasks(NamedTuple):
    """The tasks of a log as they are found, before they are put in words."""

    tasks: list[FoundTask]
    requests: int
    days: float | None

    def told(self, sources: tuple[str, ...], rejected: int, passed_over: dict[str, int]) -> LogTasks:
        """The record of what was found."""
        why = None
        if self.days is None:
            why = "the log does not say when requests were made"
        elif self.days < LEAST_DAYS:
            why = f"the log spans {self.days * 24:.1f} hours, too little to tell your monthly traffic"
        months = None if self.days is None or why else self.days / float(DAYS_PER_MONTH)
        return LogTasks(
            sources=sources,
            requests=self.requests,
            rejected=rejected,
            passed_over=passed_over,
            days=self.days,
            why_no_month=why,
            tasks=tuple(ranked(self.tasks, requests=self.requests, months=months)),
        )


def tasks_of(log: Log, *, progress: Progress | None = None) -> FoundTasks:
    """Find the tasks of a log."""
    progress = progress or Silent()
    grouper = Grouper()
    progress.step("learn the prompts")
    total = 0
    for logged in log():
        grouper.learn(logged.asked())
        total += 1
        if total % _BATCH == 0:
            progress.update(total, None, unit="requests")
    grouper.learned()
    progress.step("count the tasks")
    figures: dict[int, GroupFigures] = {}
    first: datetime | None = None
    last: datetime | None = None
    counted = 0
    for logged in log():
        asked = logged.asked()
        figures.setdefault(grouper.group_of(asked), GroupFigures()).add(logged, asked)
        if logged.at is not None:
            first = logged.at if first is None else min(first, logged.at)
            last = logged.at if last is None else max(last, logged.at)
        counted += 1
        if counted % _BATCH == 0:
            progress.update(counted, total, unit="requests")
    days = None if first is None or last is None else (last - first).total_seconds() / 86_400
    tasks = [
        FoundTask(group=group, match=grouper.match(number), figures=figures[number])
        for number, group in enumerate(grouper.groups)
    ]
    return FoundTasks(tasks, counted, days)


def _logged(found: Imported) -> AskedRequest:
    model = found.request.get("model") or (found.response or {}).get("model")
    return AskedRequest(
        request=found.request,
        response=found.response,
        model=str(model or ""),
        gold=found.gold,
        at=found.at,
        usage=found.usage,
    )


def _traced(trace: Trace) -> AskedRequest:
    # A file's record without a time has that of its import.
    known = trace.imported_at is None or trace.at != trace.imported_at
    return AskedRequest(
        request=trace.request,
        response=trace.response,
        model=trace.model,
        kind=trace.kind,
        gold=trace.gold,
        at=trace.at if known else None,
        usage=trace.usage,
    )
