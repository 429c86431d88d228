"""What the console's buttons do: a step of a rollout, or a word on an answer, with the reason that was given.

Nothing is forced from a page: what the tests do not allow is refused with what is missing, and
``freehold rollout … --without`` is for the rest.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from freehold.store import Store
from freehold.types.audit import WHY_LENGTH_MAX
from freehold.types.record import Record
from freehold.workflows.data import feedback as words
from freehold.workflows.project import Project
from freehold.workflows.shift.rollout import rehearse as rehearsal
from freehold.workflows.shift.rollout import rollout
from freehold.workflows.shift.rollout.rehearse import RehearsalResult

REHEARSED_DROP = 0.2
"""Share of requests that the bad candidate fails, as `freehold rollout rehearse` has it."""
Name = Annotated[str, Meta(min_length=1, max_length=200)]


class ButtonBody(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a button sends. `why` stands in the audit record."""

    why: Annotated[str, Meta(max_length=WHY_LENGTH_MAX)] = ""


class RouteButton(ButtonBody, frozen=True, kw_only=True):
    """A button of one route."""

    route: Name


class RehearsalButton(ButtonBody, frozen=True, kw_only=True):
    """What is to be bad about the candidate of a rehearsal."""

    fault: Literal["quality", "errors", "slow"] = "quality"


class FeedbackButton(ButtonBody, frozen=True, kw_only=True):
    """What was said of a trace's answer; what is empty says nothing."""

    id: Name
    thumb: Literal["", "up", "down"] = ""
    gold: Annotated[str, Meta(max_length=10_000)] = ""
    comment: Annotated[str, Meta(max_length=2000)] = ""


def advance(project: Project, store: Store, body: RouteButton, *, who: str, at: datetime) -> None:
    """The next larger share of the traffic. Raises `UsageError` while the tests do not allow it."""
    rollout.advance(store, body.route, who=who, at=at, why=body.why)


def pause(project: Project, store: Store, body: RouteButton, *, who: str, at: datetime) -> None:
    """All traffic to the incumbent for now. Raises `UsageError` where nothing is on its way."""
    rollout.pause(store, body.route, who=who, at=at, why=body.why)


def promote(project: Project, store: Store, body: RouteButton, *, who: str, at: datetime) -> None:
    """All traffic to the candidate. Raises `UsageError` while the tests do not allow it."""
    rollout.promote(store, body.route, who=who, at=at, why=body.why)


def rollback(project: Project, store: Store, body: RouteButton, *, who: str, at: datetime) -> None:
    """All traffic to the incumbent, now, whatever state the route is in, also one moved without a rollout."""
    rollout.rollback_route(store, body.route, who=who, at=at, why=body.why)


def rehearse(
    project: Project, store: Store, body: RehearsalButton, *, who: str, at: datetime
) -> RehearsalResult:
    """Whether a rollback fires, by `freehold rollout rehearse`: in a folder that is thrown away."""
    return rehearsal.rehearse(margin=project.config.task.margin, drop=REHEARSED_DROP, fault=body.fault)


def feedback(project: Project, store: Store, body: FeedbackButton, *, who: str, at: datetime) -> None:
    """Keep what was said of an answer. Raises `UsageError` for a trace that is gone, or where nothing was said."""
    words.give(
        store,
        body.id,
        words.Said(thumb=body.thumb or None, gold=body.gold or None, comment=body.comment or None),
        capture=project.config.capture.mode,
        who=who,
        at=at,
    )
