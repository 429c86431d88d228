"""What the console's buttons do with a captured request: say what asking it again costs, and ask."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from freehold.store import Store
from freehold.types.record import Record
from freehold.types.trace import Usage
from freehold.workflows.project import Project
from freehold.workflows.shift.trace_replay import ReplayPlan, ReplaySide, plan_replay, replay_trace
from freehold.workflows.tell.buttons import ButtonBody, Name
from freehold.workflows.tell.views.trace import ShownText, shown_text


class ReplayPlanBody(ButtonBody, frozen=True, kw_only=True):
    """Which request is asked again, and who is asked."""

    id: Name
    side: ReplaySide


class ReplayBody(ReplayPlanBody, frozen=True, kw_only=True):
    """The same, with the most dollars that were agreed to; None where the plan said that nothing is charged."""

    agreed_usd: Decimal | None = None


class ShownReplay(Record, frozen=True, kw_only=True):
    """An answer that stands beside the one that was captured. It is kept nowhere."""

    plan: ReplayPlan
    at: datetime
    content: ShownText | None
    finish_reason: str | None
    error: str | None
    ttft_ms: float | None
    total_ms: float | None
    usage: Usage | None
    usd: Decimal | None


def plan(project: Project, store: Store, body: ReplayPlanBody, *, who: str, at: datetime) -> ReplayPlan:
    """What it would cost. Raises `UsageError` where the request cannot be asked again."""
    return plan_replay(project, store, body.id, body.side, at=at)


def replay(project: Project, store: Store, body: ReplayBody, *, who: str, at: datetime) -> ShownReplay:
    """Ask once. Raises `UsageError` where it can cost more than was agreed to, and what `replay_trace` raises."""
    made = replay_trace(project, store, body.id, body.side, agreed_usd=body.agreed_usd, who=who, at=at)
    return ShownReplay(
        plan=made.plan,
        at=made.at,
        content=None if made.output is None else shown_text(made.output),
        finish_reason=made.finish_reason,
        error=made.error,
        ttft_ms=made.ttft_ms,
        total_ms=made.total_ms,
        usage=made.usage,
        usd=made.usd,
    )
