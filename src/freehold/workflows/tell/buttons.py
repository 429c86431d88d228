"""What the console's buttons do: a step of a rollout, a word on an answer, keys (one is shown once), blind
labels and duties, with the reason that was given.

Nothing is forced from a page: what the tests do not allow is refused with what is missing, and
``freehold rollout … --without`` is for the rest.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from freehold.store import Store
from freehold.types.audit import WHY_LENGTH_MAX
from freehold.types.license import DutyMark
from freehold.types.record import Record
from freehold.types.route import Limits, Role
from freehold.workflows.data import traces as words
from freehold.workflows.license.rule import mark_duty
from freehold.workflows.project import Project
from freehold.workflows.prove.label import Choice
from freehold.workflows.shift import keys
from freehold.workflows.shift.keys import MadeKey
from freehold.workflows.shift.rollout import rollout
from freehold.workflows.shift.routes import with_pairs
from freehold.workflows.tell.views.labelling import ShownPair, desk_of
from freehold.workflows.tell.views.license import shown_ruling

Name = Annotated[str, Meta(min_length=1, max_length=200)]


class ButtonBody(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a button sends. `why` stands in the audit record."""

    why: Annotated[str, Meta(max_length=WHY_LENGTH_MAX)] = ""


class RouteButton(ButtonBody, frozen=True, kw_only=True):
    """A button of one route."""

    route: Name


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


def feedback(project: Project, store: Store, body: FeedbackButton, *, who: str, at: datetime) -> None:
    """Keep what was said of an answer. Raises `UsageError` for a trace that is gone, or where nothing was said."""
    words.give_feedback(
        store,
        body.id,
        words.Said(thumb=body.thumb or None, gold=body.gold or None, comment=body.comment or None),
        capture=project.config.capture.mode,
        who=who,
        at=at,
    )


Number = Annotated[str, Meta(max_length=20)]
Names = Annotated[str, Meta(max_length=1000)]


class KeyNameBody(ButtonBody, frozen=True, kw_only=True):
    """A button of one key."""

    name: Name


class NewKeyBody(KeyNameBody, frozen=True, kw_only=True):
    """A key to be made, as a form has it: empty means without. `models` and `routes` are names with commas between,
    `expires` is ``90d``, ``12h`` or a date."""

    role: Role = "use"
    models: Names = ""
    routes: Names = ""
    expires: Number = ""
    requests_per_minute: Number = ""
    usd_per_day: Number = ""


def add_key(project: Project, store: Store, body: NewKeyBody, *, who: str, at: datetime) -> MadeKey:
    """Make a key and tell its secret, which is kept nowhere. Raises `UsageError` and `KeysUnavailableError`."""
    keys.required(store, project.keys_file, at=at)
    scope = keys.KeyScope(
        role=body.role,
        models=_names(body.models),
        routes=_names(body.routes),
        expires_at=keys.expiry(body.expires, at=at) if body.expires else None,
    )
    keys.check_scope(project, store, scope)
    given = {"requests_per_minute": body.requests_per_minute, "usd_per_day": body.usd_per_day}
    limits = with_pairs(Limits(), (f"{name}={value}" for name, value in given.items() if value), "limit")
    made = keys.add(store, body.name, limits=limits, scope=scope, who=who, at=at, project=project)
    keys.required(store, project.keys_file, at=at)
    return made


def revoke_key(project: Project, store: Store, body: KeyNameBody, *, who: str, at: datetime) -> None:
    """End a key: every worker refuses it within a second. Raises `UsageError` where it is not in force."""
    keys.required(store, project.keys_file, at=at)
    keys.revoke(store, body.name, at=at, who=who)
    keys.required(store, project.keys_file, at=at)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split(",") if (name := part.strip()))


Id = Annotated[str, Meta(min_length=1, max_length=200)]


class PairBody(ButtonBody, frozen=True, kw_only=True):
    """What a person says of the pair that was shown to them."""

    evaluation: Id
    pair: Id
    choice: Choice


class UndoBody(ButtonBody, frozen=True, kw_only=True):
    """The last label of an evaluation is taken back."""

    evaluation: Id


class DutyBody(ButtonBody, frozen=True, kw_only=True):
    """A duty of a model's licence is done, or is not after all."""

    model: Id
    duty: Id
    done: bool


def label(project: Project, store: Store, body: PairBody, *, who: str, at: datetime) -> ShownPair:
    """Keep a blind label; returns the next pair. Raises `UsageError` where that pair is labelled already."""
    return desk_of(project).label(body.evaluation, body.pair, body.choice)


def undo_label(project: Project, store: Store, body: UndoBody, *, who: str, at: datetime) -> ShownPair:
    """Take the last label back; returns its pair. Raises `UsageError` where there is none."""
    return desk_of(project).undo(body.evaluation)


def duty(project: Project, store: Store, body: DutyBody, *, who: str, at: datetime) -> DutyMark:
    """Keep what was said of a duty. Raises `UsageError` for one that the model does not have for this use."""
    ruling = shown_ruling(project, store, body.model, at=at)
    return mark_duty(store, ruling, body.duty, done=body.done, who=who, at=at)
