"""Whether a request is of a project's task: `[[data.match]]` of `freehold.toml`, applied."""

from __future__ import annotations

from collections.abc import Sequence

from freehold.datasets.tasks.asked import AskedTask, asked_task, collapsed
from freehold.types.config.data import DataConfig
from freehold.types.config.matching import MatchConfig
from freehold.types.trace import Trace

ANOTHER_TASK = "another task's request ([[data.match]])"
"""The reason for which a record is passed over."""
ANY_TOOLS = ("*",)
"""Stands for tools that differ from request to request."""


def is_selected(trace: Trace, data: DataConfig) -> bool:
    """Whether a trace is of the task that `[[data.match]]` selects; all are where there is none. Pure.

    The instruction that `[data] system` puts before an input is not the log's: it does not count.
    """
    return not data.match or any_fits(
        data.match, asked_task(trace.request, model=trace.model, kind=trace.kind), own_system=data.system
    )


def any_fits(wanted: Sequence[MatchConfig], asked: AskedTask, *, own_system: str | None = None) -> bool:
    """Whether one of `wanted` selects a request, whose instructions do not count where they are `own_system`. Pure."""
    if own_system is not None and asked.system == collapsed(own_system):
        asked = asked._replace(shape=asked.shape._replace(instructed=False), system="")
    return any(fits(one, asked) for one in wanted)


def fits(wanted: MatchConfig, asked: AskedTask) -> bool:
    """Whether a request is one of those that `wanted` selects. Pure."""
    shape = asked.shape
    if wanted.kind != shape.kind or (wanted.model is not None and wanted.model != shape.model):
        return False
    if wanted.form is not None and wanted.form != shape.form:
        return False
    if (wanted.system is not None) != shape.instructed or not _tools_fit(wanted.tools, asked):
        return False
    if not stand_in_order(wanted.system or (), asked.system) or not stand_in_order(wanted.user, asked.user):
        return False
    return not any(_holds(asked, pieces) for pieces in wanted.without)


def _tools_fit(wanted: tuple[str, ...] | None, asked: AskedTask) -> bool:
    offered = asked.shape.tools
    if wanted is None or wanted == offered:
        return True
    if wanted == ANY_TOOLS:
        return bool(offered or asked.called)
    return not offered and bool(asked.called) and asked.called <= set(wanted)


def _holds(asked: AskedTask, pieces: Sequence[str]) -> bool:
    """Whether the instructions or the first user turn hold all pieces, in order."""
    return stand_in_order(pieces, asked.system) or stand_in_order(pieces, asked.user)


def stand_in_order(pieces: Sequence[str], text: str) -> bool:
    """Whether a text holds all pieces, one after another. Pure."""
    at = 0
    for piece in pieces:
        at = text.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return True
