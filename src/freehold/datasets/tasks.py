"""Which tasks are in a log: what of a request tells its task, and requests sorted into tasks by it.

A task is one shape (API, model, tools, form of answer) and what its requests' texts have in common: the sentences and
line beginnings of the instructions that come again, and behind them those of the first user turn. First all requests
are learned from, then each is told its group.

Covered: instructions in the user's turn; later steps of an agent that offer no tools (told by what they call); logs in
which each request offers other tools; prompts that differ in few of their sentences.
Not covered: prompts that differ within one sentence; what is rarer than `LEAST` requests has no group of its own.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, Literal, NamedTuple, TypeAlias

from freehold.datasets.messages import blanked_text
from freehold.types.config import DataConfig, MatchConfig
from freehold.types.identity import INSTRUCTIONS
from freehold.types.record import content_id
from freehold.types.trace import Trace

HEAD_CHARACTERS, TAIL_CHARACTERS = 6000, 2000
"""Of a longer text the beginning and the end are looked at: that is where instructions stand."""
ANY_TOOLS = ("*",)
"""Stands for tools that differ from request to request."""
LEAST, _LEAST_PIECE, _LEAST_TURN = 5, 4, 12
MOST_SHAPES, MOST_LEARNED = 512, 4000
"""Shapes, and requests of each, evenly drawn, that are learned from."""
_OFTEN = 0.02
"""A user's sentence is an instruction where it comes in this share of a prompt's requests at least."""
_ALIKE = 0.6
"""This share of their words two prompts have in common which are one."""
_PIECE = re.compile(r"[^\n]+?(?:[.!?:](?=\s)|[。！？：]|(?=\n)|$)")
_NUMBER = re.compile(r"\S*\d\S*")
_BREAK = "\0"
Api: TypeAlias = Literal["chat", "completions", "embeddings"]
Pieces = tuple[str, ...]


class TaskShape(NamedTuple):
    """What must be the same for two requests to be of one task, whatever their words. `tools` are sorted names;
    `form` is a schema's name, ``json_object`` or ``text``; `instructed` says whether there are instructions."""

    kind: Api
    model: str
    tools: tuple[str, ...]
    form: str
    instructed: bool


class AskedTask(NamedTuple):
    """A request as its task is told from it. `called` are the tools that its history calls."""

    shape: TaskShape
    system: str
    user: str
    called: frozenset[str]


def asked_task(request: Mapping[str, Any], *, model: str = "", kind: Api = "chat") -> AskedTask:
    """The parts of a request that tell its task. Texts have their white space collapsed. Pure."""
    messages = request.get("messages")
    turns = [m for m in messages if isinstance(m, dict)] if isinstance(messages, list) else []
    if not turns:  # a completion's prompt, what is to be embedded
        bare = request.get("prompt", request.get("input"))
        if isinstance(bare, list):
            bare = bare[0] if bare and isinstance(bare[0], str) else ""
        turns = [{"role": "user", "content": bare}]
    system = "\n".join(blanked_text(m.get("content")) for m in turns if m.get("role") in INSTRUCTIONS)
    user = next((m.get("content") for m in turns if m.get("role") == "user"), None)
    offered = request.get("tools") or request.get("functions")
    calls = (turn["tool_calls"] for turn in turns if isinstance(turn.get("tool_calls"), list))
    tools = tuple(sorted(set(map(_name, offered)))) if isinstance(offered, list) else ()
    form, asked_model = _form(request.get("response_format")), model or str(request.get("model") or "")
    shape = TaskShape(kind, asked_model, tools, form, instructed=bool(system.strip()))
    called = frozenset(_name(call) for some in calls for call in some)
    return AskedTask(shape, collapsed(system), collapsed(blanked_text(user)), called)


def collapsed(text: str) -> str:
    """A text as tasks compare it: each run of white space one space or one line break, a long text shortened."""
    if len(text) > HEAD_CHARACTERS + TAIL_CHARACTERS:
        text = f"{text[:HEAD_CHARACTERS]}\n{text[-TAIL_CHARACTERS:]}"
    return "\n".join(filter(None, (" ".join(line.split()) for line in text.split("\n"))))


def _name(tool: Any) -> str:
    function = tool.get("function", tool) if isinstance(tool, dict) else None
    return str(function.get("name") or function.get("type")) if isinstance(function, dict) else str(tool)


def _form(wanted: Any) -> str:
    if not isinstance(wanted, dict) or wanted.get("type") in (None, "text"):
        return "text"
    schema = wanted.get("json_schema")
    if not isinstance(schema, dict):
        return str(wanted["type"])
    if isinstance(name := schema.get("name"), str) and name:
        return name
    return f"schema {content_id(schema)[:8]}"


def is_selected(trace: Trace, data: DataConfig) -> bool:
    """Whether a trace is of the task that `[[data.match]]` selects; all are where there is none. Pure."""
    return not data.match or any_fits(
        data.match, asked_task(trace.request, model=trace.model, kind=trace.kind), own_system=data.system
    )


def any_fits(wanted: Sequence[MatchConfig], asked: AskedTask, *, own_system: str | None = None) -> bool:
    """Whether one of `wanted` selects a request. Instructions that are `own_system` are not the log's. Pure."""
    if own_system is not None and asked.system == collapsed(own_system):
        asked = asked._replace(shape=asked.shape._replace(instructed=False), system="")
    return any(fits(one, asked) for one in wanted)


def fits(wanted: MatchConfig, asked: AskedTask) -> bool:
    """Whether a request is one of those that `wanted` selects. Pure."""
    shape, system, user, called = asked
    if wanted.tools == ANY_TOOLS:
        offers = bool(shape.tools or called)
    else:
        is_later = not shape.tools and bool(called) and called <= set(wanted.tools or ())
        offers = wanted.tools in (None, shape.tools) or is_later
    return (
        offers
        and (wanted.kind, wanted.system is not None) == (shape.kind, shape.instructed)
        and wanted.model in (None, shape.model)
        and wanted.form in (None, shape.form)
        and stand_in_order(wanted.system or (), system)
        and stand_in_order(wanted.user, user)
        and not any(stand_in_order(out, text) for out in wanted.without for text in (system, user))
    )


def stand_in_order(pieces: Sequence[str], text: str) -> bool:
    """Whether a text holds all pieces, one after another. Pure."""
    at = 0
    for piece in pieces:
        if (found := text.find(piece, at)) < 0:
            return False
        at = found + len(piece)
    return True


class Template(NamedTuple):
    """The pieces that texts have in common, in their order, and one of the texts."""

    pieces: Pieces
    example: str


class TaskGroup(NamedTuple):
    """Requests of one shape and one template. A template of None stands for all that none of the others fits."""

    shape: TaskShape
    system: Template | None
    user: Template | None


class _Bucket:
    """The requests of one shape that are learned from, and what is learned: templates of user turns behind each of
    the instructions."""

    def __init__(self) -> None:
        self.seen, self._draw = 0, random.Random(0)
        self.drawn: list[tuple[str, str]] = []
        self.systems: list[Template] = []
        self.users: dict[Template | None, list[Template]] = {}

    def add(self, system: str, user: str) -> None:
        self.seen += 1
        if len(self.drawn) < MOST_LEARNED:
            self.drawn.append((system, user))
        elif (place := self._draw.randrange(self.seen)) < MOST_LEARNED:
            self.drawn[place] = (system, user)

    def learn(self) -> None:
        self.systems = _templates([system for system, _ in self.drawn], LEAST)
        behind: dict[Template | None, list[str]] = {one: [] for one in (*self.systems, None)}
        for system, user in self.drawn:
            behind[_fitting(self.systems, system)].append(user)
        for template, texts in behind.items():
            self.users[template] = _templates(texts, max(LEAST, round(_OFTEN * len(texts))), user_turns=True)
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
        shape, called = asked.shape, asked.called
        various = shape._replace(tools=ANY_TOOLS) if shape.tools else shape
        offering = (one for one in self._buckets if called and one.tools and one._replace(tools=()) == shape)
        of_step = sorted(one for one in offering if one.tools == ANY_TOOLS or called <= set(one.tools))
        own = next((one for one in (*of_step, shape) if one in self._buckets), various)
        bucket = self._buckets.get(own) or _Bucket()
        system = _fitting(bucket.systems, asked.system)
        group = TaskGroup(own, system, _fitting(bucket.users.get(system, []), asked.user))
        return self._numbers.setdefault(group, len(self._numbers))

    def match(self, number: int) -> MatchConfig:
        """What selects a group's requests among those of the log."""
        shape, system, user = self.groups[number]
        bucket = self._buckets.get(shape) or _Bucket()
        tried = ((system, bucket.systems), (user, bucket.users.get(system, [])))
        before = (one.pieces for own, known in tried for one in known[: known.index(own) if own else None])
        return MatchConfig(
            kind=shape.kind,
            model=shape.model or None,
            tools=shape.tools,
            form=shape.form,
            system=(system.pieces if system else ()) if shape.instructed else None,
            user=user.pieces if user else (),
            without=tuple(before),
        )


def _cut(text: str, *, user_turns: bool) -> list[str]:
    """A text's sentences and line beginnings up to a colon, without what holds a digit: of what users say the whole
    sentence, of instructions the word."""
    found = (one for one in _PIECE.findall(text) if not (user_turns and _NUMBER.search(one)))
    parts = (part.strip() for one in found for part in _NUMBER.split(one))
    return [part for part in parts if len(part) >= _LEAST_PIECE]


def _templates(texts: Sequence[str], least: int, *, user_turns: bool = False) -> list[Template]:
    """What comes again in texts, the longest first: of texts that have most of it in common, what all of them have."""
    cuts = [_cut(text, user_turns=user_turns) for text in texts]
    times = Counter(piece for cut in cuts for piece in set(cut))
    kinds: dict[Pieces, list[str]] = {}
    for text, cut in zip(texts, cuts, strict=True):
        own = tuple(dict.fromkeys(piece for piece in cut if times[piece] >= least))
        kinds.setdefault(own, []).append(text)
    joined: list[tuple[Pieces, list[str]]] = []
    for pieces, said in sorted(kinds.items(), key=lambda kind: -len(kind[1])):
        for place, (other, so_far) in enumerate(joined):
            if _is_one(pieces, other):
                joined[place] = _common(other, pieces), so_far + said
                break
        else:
            joined.append((pieces, said))
    shortest = _LEAST_TURN if user_turns else 1
    found = [Template(pieces, said[0]) for pieces, said in joined if len(said) >= least]
    sizes = {one: sum(map(len, one.pieces)) for one in found if stand_in_order(*one)}
    return sorted((one for one in sizes if sizes[one] >= shortest), key=lambda one: (-sizes[one], one.pieces))


def _common(one: Pieces, other: Pieces) -> Pieces:
    """The runs of words that both have, in their order."""
    mine, theirs = ([w for piece in pieces for w in (*piece.split(), _BREAK)] for pieces in (one, other))
    blocks = SequenceMatcher(None, mine, theirs, autojunk=False).get_matching_blocks()
    runs = (" ".join(mine[block.a : block.a + block.size]).split(_BREAK) for block in blocks)
    return tuple(piece for run in runs for part in run if len(piece := part.strip()) >= _LEAST_PIECE)


def _is_one(one: Pieces, other: Pieces) -> bool:
    """Whether two prompts are one: they begin and end alike, or have most of their words in common."""
    ends_alike = min(len(one), len(other)) > 1 and (one[0], one[-1]) == (other[0], other[-1])
    mine, theirs = (set(" ".join(pieces).split()) for pieces in (one, other))
    return ends_alike or len(mine & theirs) >= _ALIKE * max(1, len(mine | theirs))


def _fitting(known: Sequence[Template], text: str) -> Template | None:
    """The most constant template that fits a text; `known` stands in that order."""
    return next((one for one in known if stand_in_order(one.pieces, text)), None)
