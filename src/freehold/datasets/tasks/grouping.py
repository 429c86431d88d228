"""Requests sorted into tasks: first all are learned from, then each is told its group.

A group is one shape (API, model, tools, form of answer) and what its requests' texts have in common: the sentences and
line beginnings of the instructions that come again, and behind them those of the first user turn. What changes from
request to request is a slot.

Covered: instructions in the user's turn; later steps of an agent that offer no tools (told by what they call); logs in
which each request offers other tools; prompts that differ in few of their sentences.
Not covered: prompts that differ within one sentence; what is rarer than `LEAST` requests has no group of its own.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from freehold.datasets.tasks.asked import ANY_TOOLS, AskedTask, TaskShape, stand_in_order
from freehold.types.config.data import MatchConfig

LEAST = 5
SLOT = "{…}"
"""How a slot is shown in a skeleton."""
MOST_SHAPES, MOST_LEARNED = 512, 4000
"""Shapes, and requests of each, evenly drawn, that are learned from."""
_OFTEN = 0.02
"""A user's sentence is an instruction where it comes in this share of a prompt's requests at least."""
_ALIKE = 0.6
"""This share of their words two prompts have in common which are one."""
_LEAST_PIECE, _LEAST_TURN = 4, 12
_PIECE = re.compile(r"[^\n]+?(?:[.!?:](?=\s)|[。！？：]|(?=\n)|$)")
_NUMBER = re.compile(r"\S*\d\S*")
_WORD = re.compile(r"\S+\s*")
_BREAK = "\0"

Pieces = tuple[str, ...]


class Template(NamedTuple):
    """The pieces that texts have in common, in their order, and one of the texts."""

    pieces: Pieces
    example: str


ANY = Template((), "")
"""Fits every text."""


class TaskGroup(NamedTuple):
    """Requests of one shape and one template. A template of None stands for all that none of the others fits."""

    shape: TaskShape
    system: Template | None
    user: Template | None

    @property
    def pieces(self) -> Pieces:
        """All constant pieces, those of the instructions first."""
        return (*(self.system or ANY).pieces, *(self.user or ANY).pieces)

    def skeleton(self) -> str:
        """The prompt with its slots, as one text to read; empty where nothing is constant."""
        return "\n".join(_shown(one) for one in (self.system, self.user) if one and one.pieces)


class _Bucket:
    """The requests of one shape that are learned from, and what was learned."""

    def __init__(self) -> None:
        self.seen = 0
        self.drawn: list[tuple[str, str]] = []
        self.systems: list[Template] = []
        self.users: dict[Template | None, list[Template]] = {}
        self._draw = random.Random(0)

    def add(self, system: str, user: str) -> None:
        self.seen += 1
        if len(self.drawn) < MOST_LEARNED:
            self.drawn.append((system, user))
        elif (place := self._draw.randrange(self.seen)) < MOST_LEARNED:
            self.drawn[place] = (system, user)

    def learn(self) -> None:
        self.systems = _templates([system for system, _ in self.drawn], LEAST)
        behind: dict[Template | None, list[str]] = {}
        for system, user in self.drawn:
            behind.setdefault(_fitting(self.systems, system), []).append(user)
        for template, texts in behind.items():
            least = max(LEAST, round(_OFTEN * len(texts)))
            self.users[template] = _templates(texts, least, user_turns=True)
        self.drawn = []


class Grouper:
    """Learns the groups of a log and tells each request its group."""

    def __init__(self) -> None:
        self._buckets: dict[TaskShape, _Bucket] = {}
        self._numbers: dict[TaskGroup, int] = {}

    @property
    def groups(self) -> list[TaskGroup]:
        """The groups told so far, by number."""
        return list(self._numbers)

    def learn(self, asked: AskedTask) -> None:
        """Learn from a request."""
        shape = asked.shape
        if asked.called and not shape.tools:
            return  # a later step; what it belongs to is learned from the steps that offer tools
        if shape not in self._buckets and len(self._buckets) >= MOST_SHAPES and shape.tools:
            shape = shape._replace(tools=ANY_TOOLS)
        self._buckets.setdefault(shape, _Bucket()).add(asked.system, asked.user)

    def learned(self) -> None:
        """All requests were learned from. Shapes with tools that hardly come twice become one."""
        rare = [shape for shape, one in self._buckets.items() if shape.tools and one.seen < LEAST]
        for shape in rare if len(rare) > 2 else ():
            various = self._buckets.setdefault(shape._replace(tools=ANY_TOOLS), _Bucket())
            for pair in self._buckets.pop(shape).drawn:
                various.add(*pair)
        for bucket in self._buckets.values():
            bucket.learn()

    def group_of(self, asked: AskedTask) -> int:
        """The number of a request's group."""
        return self._numbers.setdefault(self._group_of(asked), len(self._numbers))

    def _group_of(self, asked: AskedTask) -> TaskGroup:
        for shape in self._shapes(asked):
            if (bucket := self._buckets.get(shape)) is not None:
                system = _fitting(bucket.systems, asked.system)
                return TaskGroup(shape, system, _fitting(bucket.users.get(system, []), asked.user))
        shape = asked.shape
        return TaskGroup(shape._replace(tools=ANY_TOOLS) if shape.tools else shape, None, None)

    def _shapes(self, asked: AskedTask) -> list[TaskShape]:
        """Shapes that a request may be of, the likeliest first."""
        shape = asked.shape
        if shape.tools:
            return [shape, shape._replace(tools=ANY_TOOLS)]
        offering = [
            one
            for one in (self._buckets if asked.called else ())
            if one.tools
            and one._replace(tools=()) == shape
            and (asked.called <= set(one.tools) or one.tools == ANY_TOOLS)
        ]
        return [*sorted(offering), shape]

    def match(self, number: int) -> MatchConfig:
        """What selects a group's requests among those of the log."""
        group = self.groups[number]
        shape = group.shape
        bucket = self._buckets.get(shape) or _Bucket()
        before = [
            *_before(group.system, bucket.systems),
            *_before(group.user, bucket.users.get(group.system, [])),
        ]
        return MatchConfig(
            kind=shape.kind,
            model=shape.model or None,
            tools=shape.tools,
            form=shape.form,
            system=(group.system or ANY).pieces if shape.instructed else None,
            user=(group.user or ANY).pieces,
            without=tuple(before),
        )


def _cut(text: str, *, user_turns: bool) -> list[str]:
    """A text's sentences and line beginnings up to a colon, without what holds a digit: of what users say the whole
    sentence, of instructions the word."""
    parts = (
        ([] if _NUMBER.search(found) else [found]) if user_turns else _NUMBER.split(found)
        for found in _PIECE.findall(text)
    )
    return [piece for some in parts for part in some if len(piece := part.strip()) >= _LEAST_PIECE]


def _templates(texts: Sequence[str], least: int, *, user_turns: bool = False) -> list[Template]:
    """What comes again in texts, the longest first: of texts that have most of it in common, what all of them have."""
    cuts = [_cut(text, user_turns=user_turns) for text in texts]
    times = Counter(piece for cut in cuts for piece in set(cut))
    kinds: Counter[Pieces] = Counter()
    examples: dict[Pieces, str] = {}
    for text, cut in zip(texts, cuts, strict=True):
        own = tuple(dict.fromkeys(piece for piece in cut if times[piece] >= least))
        kinds[own] += 1
        examples.setdefault(own, text)
    joined: list[tuple[Pieces, int, str]] = []
    for pieces, count in kinds.most_common():
        for place, (other, so_far, example) in enumerate(joined):
            if _is_one(pieces, other):
                joined[place] = _common(other, pieces), so_far + count, example
                break
        else:
            joined.append((pieces, count, examples[pieces]))
    shortest = _LEAST_TURN if user_turns else 1
    found = [
        Template(pieces, example)
        for pieces, count, example in joined
        if count >= least and sum(map(len, pieces)) >= shortest and stand_in_order(pieces, example)
    ]
    return sorted(dict.fromkeys(found), key=lambda one: (-sum(map(len, one.pieces)), one.pieces))


def _common(one: Pieces, other: Pieces) -> Pieces:
    """The runs of words that both have, in their order."""
    mine, theirs = (
        [word for piece in pieces for word in (*_WORD.findall(piece), _BREAK)] for pieces in (one, other)
    )
    alike = SequenceMatcher(
        None, [w.strip(" ") for w in mine], [w.strip(" ") for w in theirs], autojunk=False
    )
    runs = ["".join(mine[block.a : block.a + block.size]) for block in alike.get_matching_blocks()]
    found = (piece.strip() for run in runs for piece in run.split(_BREAK))
    return tuple(piece for piece in found if len(piece) >= _LEAST_PIECE)


def _is_one(one: Pieces, other: Pieces) -> bool:
    """Whether two prompts are one: they begin and end alike, or have most of their words in common."""
    if min(len(one), len(other)) > 1 and (one[0], one[-1]) == (other[0], other[-1]):
        return True
    mine, theirs = (
        {word.strip() for piece in pieces for word in _WORD.findall(piece)} for pieces in (one, other)
    )
    return len(mine & theirs) >= _ALIKE * max(1, len(mine | theirs))


def _fitting(known: Sequence[Template], text: str) -> Template | None:
    """The most constant template that fits a text; `known` stands in that order."""
    return next((one for one in known if stand_in_order(one.pieces, text)), None)


def _before(template: Template | None, known: Sequence[Template]) -> list[Pieces]:
    """Pieces of the templates that are tried before this one."""
    return [one.pieces for one in (known if template is None else known[: known.index(template)])]


def _shown(template: Template) -> str:
    """The template with a slot wherever something stands between its pieces."""
    shown, at, text = "", 0, template.example
    for piece in template.pieces:
        begin = text.find(piece, at)
        shown += (SLOT if text[at:begin].strip() else text[at:begin]) + piece
        at = begin + len(piece)
    return shown + (SLOT if text[at:].strip() else "")
