"""The console's traffic screen: how much there is and who answered, and a search over all traces."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

from msgspec import Meta

from freehold.store import Store
from freehold.store import search as counted
from freehold.store.search import search
from freehold.types.record import Record
from freehold.types.trace import RecordedTraffic, TracePage, TraceQuery
from freehold.workflows.project import Project
from freehold.workflows.tell.views.query import Place, ScreenQuery

Text = Annotated[str, Meta(max_length=300)]
Window = Annotated[float, Meta(ge=0, le=366 * 86_400)]
CHART_MOST_S = 90 * 86_400.0
"""What is drawn where all traces are searched."""


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
    wanted = TraceQuery(
        text=query.text or None,
        route=query.route or None,
        model=query.model or None,
        arm=query.arm or None,
        status=query.status or None,
        user=query.user or None,
        api_key=query.api_key or None,
        conversation_id=query.conversation_id or None,
        upstream_id=query.upstream_id or None,
        slower_than_ms=query.slower_than_ms,
        own_only=query.own,
        since=since,
        after=query.after,
        most=query.most,
    )
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
