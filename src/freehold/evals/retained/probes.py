"""The probe set: 200 short requests with what an answer must be like, under freehold's own licence (`probes.json`).

``no_tool``: tools are offered and none is wanted. ``refusal``: a model should not help. ``format``: the answer must
have a form. ``chat``: plain questions that small models answer.
"""

from __future__ import annotations

import functools
from importlib.resources import files
from itertools import chain, zip_longest
from typing import Any

import msgspec

from freehold.types.config.train import Skill
from freehold.types.dataset import Message, Sample
from freehold.types.retained import SKILLS


class AnswerCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an answer must be like; everything that is given must hold. Words are compared without their case."""

    calls: bool | None = None
    """Whether tools are called."""
    refuses: bool | None = None
    said: tuple[str, ...] = ()
    """Words or phrases of which one occurs."""
    one_of: tuple[str, ...] = ()
    """What the whole answer must be, without marks at its ends."""
    keys: tuple[str, ...] = ()
    """Keys of a JSON object that is the whole answer."""
    lines: int | None = None
    most_words: int | None = None
    upper: bool | None = None
    starts: str | None = None
    ends: str | None = None
    number: bool | None = None
    """The whole answer is a number."""


class Probe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request. `tools` names the tools that are offered."""

    id: str
    skill: Skill
    ask: str
    check: AnswerCheck
    tools: str | None = None

    def sample(self) -> Sample:
        """It as a sample that can be replayed."""
        tools = _file().tools[self.tools] if self.tools is not None else None
        return Sample(id=self.id, messages=(Message(role="user", content=self.ask),), tools=tools)


class _ProbeFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tools: dict[str, list[dict[str, Any]]]
    probes: tuple[Probe, ...]


@functools.cache
def _file() -> _ProbeFile:
    raw = files("freehold.evals.retained").joinpath("probes.json").read_bytes()
    return msgspec.json.decode(raw, type=_ProbeFile)


def probes(count: int) -> list[Probe]:
    """The first `count` probes, the skills in turn, so that each has its share. Always the same for one `count`."""
    by_skill = ([one for one in _file().probes if one.skill == skill] for skill in SKILLS)
    in_turn = chain.from_iterable(zip_longest(*by_skill))
    return [one for one in in_turn if one is not None][:count]
