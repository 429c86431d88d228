"""Traces as samples, each in the group of its conversation: the one its id says, else the one its messages tell."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold.datasets.recipe import Recipe
from freehold.datasets.sampling import PERIODS, SampleSpool, recorded_answer, sample_of
from freehold.datasets.sessions import SessionIndex, request_chain
from freehold.types.dataset import Sample
from freehold.types.identity import question_id, stated_at
from freehold.types.trace import Trace


class LinkedSample(NamedTuple):
    """A sample in its group, whether it is known to be a step of a conversation, and when what it says was said last
    (microseconds since 1970)."""

    sample: Sample
    step: bool
    stated_at_us: int


def linked_samples(
    traces: Iterable[Trace], recipe: Recipe, dropped: Counter[str], *, folder: Path | None = None
) -> Iterator[LinkedSample]:
    """The samples that traces hold, in order; what holds none is counted in `dropped` by reason.

    All traces are read before the first sample comes. A session found by its messages has the id of its first question
    as its group, so that it stays where it was when it goes on. `folder` takes the spool. Raises `StorageError`.
    """
    spool, sessions, stated = SampleSpool(folder), SessionIndex(folder), array("Q")
    by_time, ids = recipe.group_by in PERIODS, list[str | None]()
    for trace in traces:
        try:
            sample = sample_of(trace, recipe)
            answer = recorded_answer(trace, sample)
        except msgspec.ValidationError:
            dropped["messages not as the chat API spells them"] += 1
            continue
        if sample.target is None:
            dropped["no answer"] += 1
            continue
        spool.append(sample)
        stated.append(max(0, int(stated_at(trace).timestamp() * 1e6)))
        chain = request_chain(sample.messages, answer)
        id = trace.conversation_id if by_time else sample.group
        if by_time:
            ids.append(id)
        sessions.add(chain, id=id, key=question_id(sample.messages), at=trace.at, tie=trace.id)
    leaders = sessions.links().leader
    if by_time:
        yield from _by_period(spool, _names(leaders.tolist(), ids), stated)
        return

    @lru_cache(maxsize=4096)
    def group_of(leader: int) -> str:
        return spool[leader].group or question_id(spool[leader].messages)

    conversations = recipe.group_by in (None, "conversation_id")
    for row in range(len(spool)):
        sample, leader = spool[row], int(leaders[row])
        if leader >= 0:
            yield LinkedSample(msgspec.structs.replace(sample, group=group_of(leader)), True, stated[row])
        else:
            yield LinkedSample(sample, conversations and sample.group is not None, stated[row])


def _names(leaders: list[int], ids: list[str | None]) -> list[str | int | None]:
    """What each record's conversation is called: its id, else the record that leads it; None for one by itself."""
    return [(ids[leader] or leader if leader >= 0 else ids[row]) for row, leader in enumerate(leaders)]


def _by_period(
    spool: SampleSpool, names: list[str | int | None], stated: Sequence[int]
) -> Iterator[LinkedSample]:
    """Samples in groups of their time: a conversation is in the period it began in, whole."""
    began: dict[str | int, str] = {}
    for row, name in enumerate(names):
        if name is not None:
            period = spool[row].group or ""
            began[name] = min(period, began.get(name, period))
    for row, name in enumerate(names):
        sample = spool[row]
        if name is not None:
            sample = msgspec.structs.replace(sample, group=began[name])
        yield LinkedSample(sample, name is not None, stated[row])
