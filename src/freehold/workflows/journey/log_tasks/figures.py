"""What the requests of a task tell about it: answers, tokens, times, languages, distinct questions.

Memory per task: `ANSWERS` answers and texts, and eight bytes for each question.
"""

from __future__ import annotations

import random
from array import array
from collections import Counter
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from freehold.datasets.messages import message_text, response_message
from freehold.datasets.tasks import Api, AskedTask, asked_task
from freehold.late import np
from freehold.types.identity import question_id
from freehold.types.trace import Usage
from freehold.wire.usage import usage_of
from freehold.workflows.choose.needs import language_of
from freehold.workflows.journey.drafting import Guess, guess_scorer, prompt_size, tokens_in

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
