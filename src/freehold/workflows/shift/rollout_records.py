"""The rollouts that the store holds, one for each route that ever had one."""

from __future__ import annotations

from datetime import datetime

from freehold.errors import UsageError, did_you_mean
from freehold.store import Store
from freehold.store.records import KeptRecord
from freehold.types.audit import Change
from freehold.types.rollout import Rollout


def of_route(store: Store, route_name: str) -> Rollout | None:
    """The newest rollout of a route, if it ever had one."""
    return store.get(Rollout, route_name)


def find(store: Store, route_name: str) -> Rollout:
    """The newest rollout of a route. Raises `UsageError` when it never had one."""
    rollout = of_route(store, route_name)
    if rollout is None:
        others = [rollout.route for rollout in store.records(Rollout)]
        routes = [route.name for route in store.routes()]
        way = (
            f"those that have one: {', '.join(others)} (--route)"
            if others
            else "freehold rollout start begins one"
        )
        hint = way if route_name in routes else did_you_mean(route_name, [*others, *routes], way)
        raise UsageError(f"the route {route_name} has no rollout", hint=hint)
    return rollout


def newest(store: Store) -> list[Rollout]:
    """The newest rollout of each route that had one, over or not."""
    return store.records(Rollout)


def live(store: Store) -> list[Rollout]:
    """The rollouts that are not over."""
    return [rollout for rollout in store.records(Rollout) if rollout.is_live]


def is_live(store: Store, route_name: str) -> bool:
    """Whether a rollout of the route is not over yet."""
    rollout = of_route(store, route_name)
    return rollout is not None and rollout.is_live


def kept(rollout: Rollout, *, who: str, at: datetime, why: str) -> KeptRecord:
    """A rollout as it is now, to be stored with the change of its route."""
    verdict = (rollout.verdict_id,) if rollout.verdict_id else ()
    detail = {"number": rollout.number, "stage": rollout.stage, "verdict_id": rollout.verdict_id}
    change = Change(action=f"rollout.{rollout.state}", who=who, at=at, why=why, detail=detail)
    return KeptRecord(rollout, verdict, change)
