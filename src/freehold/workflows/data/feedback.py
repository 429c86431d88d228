"""What a person says of an answer that was captured: good or bad, the right one, a comment.

The same as ``POST /freehold/v1/feedback`` of the gateway keeps, after the same redaction: people who correct an answer
quote customers.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from freehold.errors import UsageError
from freehold.gateway.capture.redaction import redactor_of
from freehold.gateway.config import Capture
from freehold.store import Store, audit
from freehold.types.record import Record


class Said(Record, frozen=True, kw_only=True):
    """What was said; `gold` is the right answer. What is None was not said and leaves what was there."""

    thumb: Literal["up", "down"] | None = None
    gold: str | None = None
    comment: str | None = None


def give(store: Store, trace_id: str, said: Said, *, capture: Capture, who: str, at: datetime) -> None:
    """Keep it with the trace, redacted as `capture` says, and note on the audit record that it was given, not what.

    Raises `UsageError` for a trace that is not here, and where nothing was said.
    """
    if said == Said():
        raise UsageError(
            "nothing was said of this answer", hint="say whether it is good, or what would be right"
        )
    trace = store.get_trace(trace_id)
    if trace is None:
        raise UsageError("this trace is not here any more", hint="it was forgotten, or has expired")
    clean = redactor_of(capture) or str
    before = trace.metadata.get("feedback")
    feedback = {**before} if isinstance(before, dict) else {}
    feedback |= {"at": at.isoformat(), "key": who}
    if said.thumb is not None:
        feedback["thumb"] = said.thumb
    if said.comment is not None:
        feedback["comment"] = clean(said.comment)
    metadata = {**trace.metadata, "feedback": feedback}
    gold = trace.gold if said.gold is None else str(clean(said.gold))
    if not store.replace_trace(msgspec.structs.replace(trace, metadata=metadata, gold=gold)):
        raise UsageError("this trace is not here any more", hint="it was forgotten, or has expired")
    detail = {"thumb": said.thumb, "gold": said.gold is not None, "comment": said.comment is not None}
    audit.note(store.database, "trace.feedback", trace_id, who=who, at=at, detail=detail)
