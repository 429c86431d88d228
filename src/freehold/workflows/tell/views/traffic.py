"""The console's traffic screen, how much there is and who answered, with a search over all traces; and one trace."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from freehold.datasets.messages import blanked_text, message_text, response_message
from freehold.store import Store
from freehold.store import search as counted
from freehold.store.search import search
from freehold.types.deferral import DeferralDecision
from freehold.types.record import Record
from freehold.types.trace import Completeness, RecordedTraffic, Trace, TracePage, TraceQuery, Usage
from freehold.workflows.data import traces
from freehold.workflows.project import Project
from freehold.workflows.tell.views.proof_items import ClippedText, clipped
from freehold.workflows.tell.views.query import Cursor, Place, ScreenQuery

Text = Annotated[str, Meta(max_length=300)]
Window = Annotated[float, Meta(ge=0, le=366 * 86_400)]
CHART_MOST_S = 90 * 86_400.0
"""What is drawn where all traces are searched."""


_NARROWING = (
    "text", "route", "model", "arm", "status", "user", "api_key", "conversation_id", "upstream_id", "slower_than_ms",
)  # fmt: skip
"""What a search has in common with `TraceQuery`."""


class TrafficQuery(ScreenQuery, frozen=True, kw_only=True):
    """A search: what is empty does not narrow it. `window_s` is how far back, 0 for all there is."""

    window_s: Window = 900.0
    text: Text = ""
    route: Text = ""
    model: Text = ""
    arm: Literal["", "incumbent", "candidate"] = ""
    status: Annotated[str, Meta(max_length=5)] = ""
    user: Text = ""
    api_key: Text = ""
    conversation_id: Text = ""
    upstream_id: Text = ""
    slower_than_ms: Annotated[float, Meta(ge=0)] | None = None
    own: bool = False
    after: Place | None = None
    most: Annotated[int, Meta(ge=1, le=200)] = 50

    @property
    def asks_for_content(self) -> bool:
        """Word by word, a search tells what stands in a request."""
        return bool(self.text)


class TrafficScreen(Record, frozen=True, kw_only=True):
    """The traffic of the window, and a page of what the search found. `routes` and `models` are those of the routes."""

    at: datetime
    traffic: RecordedTraffic
    page: TracePage
    routes: tuple[str, ...]
    models: tuple[str, ...]
    has_traces: bool


def traffic(project: Project, store: Store, query: TrafficQuery, *, at: datetime) -> TrafficScreen:
    """What there was in the window. Raises `UsageError` for a status or a text that cannot be looked for."""
    since = at - timedelta(seconds=query.window_s) if query.window_s else None
    words: dict[str, Any] = {name: getattr(query, name) or None for name in _NARROWING}
    wanted = TraceQuery(**words, own_only=query.own, since=since, after=query.after, most=query.most)
    routes = store.routes()
    page = search(store.database, wanted)
    return TrafficScreen(
        at=at,
        traffic=counted.traffic(
            store.database,
            since=since or at - timedelta(seconds=CHART_MOST_S),
            until=at,
            route=query.route or None,
        ),
        page=page,
        routes=tuple(sorted(route.name for route in routes)),
        models=tuple(sorted({route.model for route in routes})),
        has_traces=store.newest_trace().place > 0,
    )


# The console's screen of one trace: what was asked, what was answered, and what the other side would have answered.

TEXT_MAX = 20_000
"""Characters shown of one message or answer: a trace may hold 10 MB, and a page must stay quick."""
MESSAGES_MAX = 60
"""Messages shown of one request: the first one, and the newest."""
OTHERS_MAX = 8
COMMENT_MAX = 2000
ROLE_MAX = 100


class OneTraceQuery(ScreenQuery, frozen=True, kw_only=True):
    """Which trace: its id, or the beginning of it that no other has."""

    id: Cursor = ""


class TraceMessage(Record, frozen=True, kw_only=True):
    """One message of a request; a tool call is its JSON."""

    role: str
    content: ClippedText


class TraceAnswer(Record, frozen=True, kw_only=True):
    """What one side answered, and how: times in milliseconds, `content` None where there was no answer."""

    trace_id: str
    at: datetime
    arm: str
    mirrored: bool
    endpoint: str | None
    model: str | None
    status: int
    completeness: Completeness
    finish_reason: str | None
    fallback: str | None
    ttft_ms: float | None
    total_ms: float | None
    usage: Usage | None
    deferral: DeferralDecision | None
    content: ClippedText | None


class Feedback(Record, frozen=True, kw_only=True):
    """What a user, or who looked at the trace, said of the answer; ``POST /freehold/v1/feedback`` writes the same."""

    at: str = ""
    key: str | None = None
    thumb: str | None = None
    comment: str | None = None


class ShownTrace(Record, frozen=True, kw_only=True):
    """A request with its own answer, and those that were given to the same request by mirroring.

    `left_out` messages of a long conversation are not shown. `parameters` are the request's other fields as JSON.
    """

    id: str
    source: str
    model: str
    route: str | None
    decision: str | None
    share: float | None
    user: str | None
    api_key: str | None
    conversation_id: str | None
    streamed: bool
    messages: tuple[TraceMessage, ...]
    left_out: int
    parameters: ClippedText
    answer: TraceAnswer
    others: tuple[TraceAnswer, ...]
    gold: ClippedText | None
    desirable: bool | None
    feedback: Feedback | None
    stored_bytes: int


class TraceScreen(Record, frozen=True, kw_only=True):
    """One trace; None where the id names none."""

    id: str
    at: datetime
    trace: ShownTrace | None


def trace(project: Project, store: Store, query: OneTraceQuery, *, at: datetime) -> TraceScreen:
    """What the store holds of one request. Raises `UsageError` where several ids begin so."""
    found = store.get_trace(query.id) if query.id else None
    if found is None and query.id and len(store.find_traces(query.id, most=2)) > 0:
        found = traces.find(store, query.id)
    return TraceScreen(
        id=query.id, at=at, trace=None if found is None else _shown(found, _same_request(store, found))
    )


def _same_request(store: Store, found: Trace) -> list[Trace]:
    """What else was answered to the request: its mirrored copies, or the one that this is a copy of."""
    if found.parent_id is None:
        return traces.mirrored(store, found.id)[:OTHERS_MAX]
    parent = store.get_trace(found.parent_id)
    return [] if parent is None else [parent]


def _shown(found: Trace, others: Sequence[Trace]) -> ShownTrace:
    messages = found.request.get("messages", found.request.get("input", found.request.get("prompt", [])))
    if not isinstance(messages, list):
        messages = [messages]
    kept = messages if len(messages) <= MESSAGES_MAX else [messages[0], *messages[1 - MESSAGES_MAX :]]
    rest = {
        name: value for name, value in found.request.items() if name not in ("messages", "input", "prompt")
    }
    return ShownTrace(
        **_same(found, ShownTrace, without=("messages", "answer", "gold")),
        messages=tuple(map(_message, kept)),
        left_out=len(messages) - len(kept),
        parameters=clipped(msgspec.json.format(msgspec.json.encode(rest)).decode(), TEXT_MAX),
        answer=_answer(found),
        others=tuple(map(_answer, others)),
        gold=clipped(found.gold, TEXT_MAX),
        feedback=_feedback(found.metadata.get("feedback")),
        stored_bytes=len(msgspec.json.encode(found)),
    )


def _same(found: Trace, kind: type[Record], without: tuple[str, ...]) -> dict[str, Any]:
    """The fields that a trace and what is shown of it have in common, `without` those that are shown otherwise."""
    names = set(kind.__struct_fields__) & set(Trace.__struct_fields__) - set(without)
    return {name: getattr(found, name) for name in names}


def _feedback(said: Any) -> Feedback | None:
    """What was said, as far as it is what freehold writes: an imported trace may hold anything under that name."""
    if not isinstance(said, dict):
        return None
    names = [field.name for field in msgspec.structs.fields(Feedback)]
    return Feedback(**{name: said[name][:COMMENT_MAX] for name in names if isinstance(said.get(name), str)})


def _message(given: Any) -> TraceMessage:
    if not isinstance(given, dict):
        return TraceMessage(role="user", content=clipped(blanked_text(given), TEXT_MAX))
    calls = given.get("tool_calls") or given.get("function_call")
    text = blanked_text(given.get("content")) or (msgspec.json.encode(calls).decode() if calls else "")
    return TraceMessage(role=str(given.get("role") or "user")[:ROLE_MAX], content=clipped(text, TEXT_MAX))


def _answer(found: Trace) -> TraceAnswer:
    return TraceAnswer(
        **_same(found, TraceAnswer, without=("model",)),
        trace_id=found.id,
        mirrored=found.parent_id is not None,
        model=_model_that_answered(found),
        content=_answer_text(found.response),
    )


def _model_that_answered(found: Trace) -> str | None:
    model = (found.response or {}).get("model")
    return model[:200] if isinstance(model, str) else None


def _answer_text(response: dict[str, Any] | None) -> ClippedText | None:
    if response is None:
        return None
    message = response_message(response)
    text = None if message is None else message_text(message)
    # An error, an embedding, a completion of the old API: as it came.
    shown = msgspec.json.format(msgspec.json.encode(response)).decode() if text is None else text
    return clipped(shown, TEXT_MAX)
