"""Requests sorted into groups: first all are learned from, then each is told its group.

A group is one shape (API, model, tools, form of answer), one template of the instructions, one of the first user turn.
`freehold.datasets.tasks.merging` joins groups that are one task.

Covered: instructions in the user's turn; later steps of an agent that offer no tools (told by what they call); logs
in which each request offers other tools.
Not covered: what is rarer than `LEAST` requests has no group of its own.
"""

from __future__ import annotations

from typing import NamedTuple

from freehold.datasets.tasks.asked import AskedTask, TaskShape
from freehold.datasets.tasks.learning import ANY, AskedPair, PromptBucket, fitting
from freehold.datasets.tasks.mining import Template
from freehold.datasets.tasks.pieces import skeleton, stand_in_order
from freehold.types.config.matching import MatchConfig

LEAST = 5
ANY_TOOLS = ("*",)
"""Stands for tools that differ from request to request."""
MOST_SHAPES = 512
MOST_WAITING_CHARACTERS = 64 << 20
_RARE = 0.002
_MANY_RARE = 3
_MOST_REMEMBERED = 1 << 14


class TaskGroup(NamedTuple):
    """Requests of one shape and one template. A template of None stands for all that none of the others fits."""

    shape: TaskShape
    system: Template | None
    user: Template | None

    @property
    def pieces(self) -> tuple[str, ...]:
        """All constant pieces, those of the instructions first."""
        return (*(self.system or ANY).pieces, *(self.user or ANY).pieces)

    def skeleton(self) -> str:
        """The prompt with its slots, as one text to read; empty where nothing is constant."""
        parts = [skeleton(one.pieces, one.example) for one in (self.system, self.user) if one and one.pieces]
        return "\n".join(parts)


class Grouper:
    """Learns the groups of a log and tells each request its group.

    Memory: the texts that wait (at most `MOST_WAITING_CHARACTERS`) and the templates found, however long the log is.
    """

    def __init__(self) -> None:
        self._buckets: dict[TaskShape, PromptBucket] = {}
        self._waiting = 0
        self._groups: list[TaskGroup] = []
        self._numbers: dict[TaskGroup, int] = {}
        self._remembered: dict[tuple[TaskShape, str], Template | None] = {}

    @property
    def groups(self) -> list[TaskGroup]:
        """The groups told so far, by number."""
        return self._groups

    def learn(self, asked: AskedTask) -> None:
        """Learn from a request."""
        shape = asked.shape
        if asked.called and not shape.tools:
            return  # a later step; what it belongs to is learned from the steps that offer tools
        bucket = self._buckets.get(shape)
        if bucket is None:
            if len(self._buckets) >= MOST_SHAPES:
                shape = shape._replace(tools=ANY_TOOLS if shape.tools else ())
            bucket = self._buckets.setdefault(shape, PromptBucket(instructed=shape.instructed))
        before = bucket.waiting_characters
        bucket.learn(AskedPair(asked.system, asked.user))
        self._waiting += bucket.waiting_characters - before
        if self._waiting > MOST_WAITING_CHARACTERS:
            self._mine(max(self._buckets.values(), key=lambda one: one.waiting_characters))

    def _mine(self, bucket: PromptBucket) -> None:
        before = bucket.waiting_characters
        bucket.mine()
        self._waiting += bucket.waiting_characters - before

    def learned(self) -> None:
        """All requests were learned from: mine what waits. Tools that hardly come twice become one group."""
        total = sum(bucket.seen for bucket in self._buckets.values())
        rare: dict[TaskShape, list[TaskShape]] = {}
        for shape, bucket in self._buckets.items():
            if shape.tools not in ((), ANY_TOOLS) and bucket.seen < max(LEAST, _RARE * total):
                rare.setdefault(shape._replace(tools=ANY_TOOLS), []).append(shape)
        for various, shapes in rare.items():
            if len(shapes) < _MANY_RARE:
                continue
            target = self._buckets.setdefault(various, PromptBucket(instructed=various.instructed))
            for shape in shapes:
                for pair in self._buckets.pop(shape).give_up():
                    target.learn(pair)
        for bucket in self._buckets.values():
            bucket.mine()
        self._waiting = 0

    def group_of(self, asked: AskedTask) -> int:
        """The number of a request's group."""
        group = self._group_of(asked)
        number = self._numbers.get(group)
        if number is None:
            number = self._numbers[group] = len(self._groups)
            self._groups.append(group)
        return number

    def _group_of(self, asked: AskedTask) -> TaskGroup:
        for shape in self._shapes(asked):
            bucket = self._buckets.get(shape)
            if bucket is None:
                continue
            system = self._system(shape, bucket, asked.system)
            if system is not None:
                return TaskGroup(shape, system, fitting(bucket.turns(system), asked.user))
        shape = asked.shape
        if shape not in self._buckets and shape.tools:
            shape = shape._replace(tools=ANY_TOOLS)
        return TaskGroup(shape, None, None)

    def _shapes(self, asked: AskedTask) -> list[TaskShape]:
        """Shapes that a request may be of, the likeliest first."""
        shape = asked.shape
        if shape.tools:
            return [shape, shape._replace(tools=ANY_TOOLS)]
        if not asked.called:
            return [shape]
        offering = [
            one
            for one in self._buckets
            if one.tools
            and one._replace(tools=()) == shape
            and (asked.called <= set(one.tools) or one.tools == ANY_TOOLS)
        ]
        return [*sorted(offering), shape]

    def _system(self, shape: TaskShape, bucket: PromptBucket, text: str) -> Template | None:
        key = (shape, text)
        if key not in self._remembered:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = fitting(bucket.systems, text)
        return self._remembered[key]

    def match(self, number: int) -> MatchConfig:
        """What selects a group's requests among those of the log."""
        group = self._groups[number]
        bucket = self._buckets.get(group.shape)
        known = [] if bucket is None else bucket.systems
        others = _before(group.system, known)
        if bucket is not None and group.system is not None:
            others += _before(group.user, bucket.turns(group.system))
        shape = group.shape
        return MatchConfig(
            kind=shape.kind,
            model=shape.model or None,
            tools=shape.tools,
            form=shape.form,
            system=(group.system or ANY).pieces if shape.instructed else None,
            user=(group.user or ANY).pieces,
            without=tuple(others),
        )


def _before(template: Template | None, known: list[Template]) -> list[tuple[str, ...]]:
    """Pieces of the templates that are tried before this one and whose texts it would fit, too."""
    found = []
    for other in known:
        if other == template:
            break
        if other.pieces and (template is None or stand_in_order(template.pieces, other.example)):
            found.append(other.pieces)
    return found
