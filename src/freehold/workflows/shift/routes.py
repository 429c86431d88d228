"""`freehold routes`: which endpoint answers for which model's name, in the store and in `freehold.toml`; and the
rollouts that the store holds, one for each route that ever had one.

The store is what gateways follow. Lines of `freehold.toml` are carried over into it when they change, field by
field, so that saving the file does not undo what a rollout or a command did to other fields meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import msgspec

from freehold.errors import UsageError, did_you_mean
from freehold.gateway.config import check_apart, check_route
from freehold.store import Store
from freehold.store.records import KeptRecord
from freehold.types.audit import Change
from freehold.types.config import ProjectConfig, RouteConfig
from freehold.types.deferral import DeferralRule
from freehold.types.endpoint import ENDPOINT_NAME, INCUMBENT
from freehold.types.record import Record
from freehold.types.rollout import Rollout
from freehold.types.route import FileRoute, Route, RouteChange, RouteTerms, Target
from freehold.types.slot import ServedSlot
from freehold.workflows.shift import endpoints


def rollout_of(store: Store, route_name: str) -> Rollout | None:
    """The newest rollout of a route, if it ever had one."""
    return store.get(Rollout, route_name)


def find_rollout(store: Store, route_name: str) -> Rollout:
    """The newest rollout of a route. Raises `UsageError` when it never had one."""
    rollout = rollout_of(store, route_name)
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


def live_rollouts(store: Store) -> list[Rollout]:
    """The rollouts that are not over."""
    return [rollout for rollout in store.records(Rollout) if rollout.is_live]


def is_in_rollout(store: Store, route_name: str) -> bool:
    """Whether a rollout of the route is not over yet."""
    rollout = rollout_of(store, route_name)
    return rollout is not None and rollout.is_live


def kept_rollout(rollout: Rollout, *, who: str, at: datetime, why: str) -> KeptRecord:
    """A rollout as it is now, to be stored with the change of its route."""
    verdict = (rollout.verdict_id,) if rollout.verdict_id else ()
    detail = {"number": rollout.number, "stage": rollout.stage, "verdict_id": rollout.verdict_id}
    change = Change(action=f"rollout.{rollout.state}", who=who, at=at, why=why, detail=detail)
    return KeptRecord(rollout, verdict, change)


FILE = "freehold.toml"
ROLLOUT_FIELDS = ("state", "canary_share", "shadow_share", "candidate", "incumbent", "deferral")
"""What belongs to a rollout while one runs."""
_NOT_OF_FILE = ("name", "revision", "deferral")
"""What no line of the file says: a rule of deferral is proven, and stays with its route when the file is saved."""


class RouteLine(Record, frozen=True, kw_only=True):
    """A route and its last change."""

    route: Route
    changed: RouteChange | None


def endpoint_names(config: ProjectConfig) -> list[str]:
    """The endpoints that routes of this project may name."""
    incumbent = [INCUMBENT] if config.incumbent is not None and config.incumbent.base_url else []
    return [ENDPOINT_NAME, *incumbent, *(endpoint.name for endpoint in config.endpoints)]


def listed(store: Store) -> list[RouteLine]:
    """All routes, by name, each with its last change."""
    return [
        RouteLine(route=route, changed=next(reversed(store.route_history(route.name)), None))
        for route in store.routes()
    ]


def find(store: Store, name: str, *, option: str = "") -> Route:
    """The route of that name. Raises `UsageError`, whose hint names the command-line `option` that takes one."""
    known = store.routes()
    for route in known:
        if route.name == name:
            return route
    names = [route.name for route in known]
    there = f"routes here: {', '.join(names)}{option and f' ({option})'}"
    raise UsageError(
        f"the store has no route {name}",
        hint=did_you_mean(name, names, there if names else "freehold routes set makes one"),
    )


def change(
    store: Store,
    config: ProjectConfig,
    name: str,
    changes: dict[str, Any],
    *,
    who: str,
    at: datetime,
    why: str = "",
) -> Route:
    """Change fields of a route, or make it. Live in every worker within a second.

    Raises `UsageError` when a new route lacks a model, when a field belongs to a rollout that is running,
    and `ConfigError` when the route points nowhere.
    """
    before = next((route for route in store.routes() if route.name == name), None)
    if before is None:
        missing = [field for field in ("model", "incumbent") if field not in changes]
        if missing:
            raise UsageError(
                f"there is no route {name} yet, and a new one needs {' and '.join(missing)}",
                hint=f"freehold routes set {name} --model gpt-4o --incumbent incumbent",
            )
        route = Route(name=name, **changes)
    else:
        _leave_to_rollout(store, name, changes)
        route = msgspec.structs.replace(before, **changes)
    check_route(route, [*endpoint_names(config), *(one.endpoint for one in store.records(ServedSlot))])
    if before is None or {"model", "match_headers", "match_keys"} & changes.keys():
        check_apart(route, store.routes())
    endpoints.check_caps(store, config, route)
    return store.save_route(
        route,
        who=who,
        at=at,
        why=why,
        expected_revision=0 if before is None else before.revision,
    )


def remove(store: Store, name: str, *, who: str, at: datetime, why: str = "") -> None:
    """Forget a route; its history stays. Raises `UsageError` for one that is not there or is in a rollout."""
    find(store, name)
    _leave_to_rollout(store, name, {"state": None})
    store.delete_route(name, who=who, at=at, why=why)


def parse_target(text: str) -> Target:
    """``ENDPOINT`` or ``ENDPOINT/MODEL``. Raises `UsageError`."""
    endpoint, slash, model = text.partition("/")
    if not endpoint or (slash and not model):
        raise UsageError(
            f"{text!r} is not a target", hint="ENDPOINT or ENDPOINT/MODEL: local/google/gemma-3-270m:app"
        )
    return Target(endpoint=endpoint, model=model or None)


def format_target(target: Target | None) -> str:
    """A target as `parse_target` reads it."""
    if target is None:
        return "–"
    return target.endpoint if target.model is None else f"{target.endpoint}/{target.model}"


def format_rule(rule: DeferralRule) -> str:
    """A rule of deferral in one line."""
    problem = rule.problem
    if problem is not None:
        return f"the incumbent answers everything: the rule cannot be used ({problem})"
    told = [
        f"{one.title} answers where {'a router' if one.signal == 'router' else f'its {one.signal}'} says at least "
        f"{rule.threshold:.3g}"
        for one in rule.tiers
        if one.signal is not None
    ]
    rest = rule.incumbent if rule.upper is None else rule.upper.title
    return f"{'; '.join(told)}; else {rest} (rule {rule.id[:8]})"


def with_pairs(before: Record, pairs: Iterable[str], what: str) -> Any:
    """A record of limits with ``NAME=VALUE`` pairs set; an empty value takes the limit away.

    Raises `UsageError` for an unknown name or a value of the wrong kind.
    """
    values = msgspec.to_builtins(before)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or name not in values:
            raise UsageError(
                f"{what} {pair!r} is not understood", hint=f"NAME=VALUE, NAME one of {', '.join(values)}"
            )
        values[name] = value or None
    try:
        return msgspec.convert(values, type(before), strict=False)
    except msgspec.ValidationError as error:
        expected, _, place = str(error).partition(" - at `$.")
        name = place.rstrip("`")
        if "int" in expected or "float" in expected:
            expected = "Expected a number"
        raise UsageError(
            f"{what} {name} is {values.get(name)!r}: {expected[:1].lower()}{expected[1:]}"
        ) from None


def carry_over(
    store: Store, config: ProjectConfig, *, at: datetime, say: Callable[[str], None] = lambda _: None
) -> list[str]:
    """Carry the routes of `freehold.toml` over into the store; returns the names of those that changed.

    A field goes over when the file's own line changed since the last time. What a running rollout holds is left
    to it, and said. Raises `ConfigError` for a route that points nowhere, before anything is changed.
    """
    names = endpoint_names(config)
    file_routes = [route_of(table) for table in config.routes]
    for route in file_routes:
        check_route(route, names)
    carried = {one.route.name: one.route for one in store.records(FileRoute)}
    current = {route.name: route for route in store.routes()}
    dropped = carried.keys() - {route.name for route in file_routes}
    for route in file_routes:
        check_apart(route, [*file_routes, *(one for name, one in current.items() if name not in dropped)])
    changed = []
    for route in file_routes:
        before, stored = carried.get(route.name), current.get(route.name)
        if before == route and stored is not None:
            continue
        if stored is None:
            merged = route
        else:
            fields = _differences(stored if before is None else before, route)
            held = [field for field in fields if field in ROLLOUT_FIELDS and is_in_rollout(store, route.name)]
            if held:
                say(f"route {route.name}: a rollout is running, {', '.join(held)} of {FILE} left aside")
            merged = msgspec.structs.replace(
                stored, **{field: value for field, value in fields.items() if field not in held}
            )
        if stored is None or _differences(stored, merged):
            store.save_route(merged, who=FILE, at=at, why="the file changed")
            changed.append(route.name)
        store.put(FileRoute(route=route))
    for name in dropped:
        if name in current and is_in_rollout(store, name):
            say(f"route {name} is no longer in {FILE}, but a rollout is running: left as it is")
            continue
        if store.delete_route(name, who=FILE, at=at, why="no longer in the file"):
            changed.append(name)
        store.delete(FileRoute, name)
    return changed


def route_of(table: RouteConfig) -> Route:
    """The route a ``[[routes]]`` table describes."""
    headers = {name.lower(): value for name, value in table.headers.items()}
    terms = {name: getattr(table, name) for name in RouteTerms.__struct_fields__}
    return Route(**terms, match_headers=headers, match_keys=table.keys)


def _differences(before: Route, after: Route) -> dict[str, Any]:
    return {
        field: getattr(after, field)
        for field in Route.__struct_fields__
        if field not in _NOT_OF_FILE and getattr(before, field) != getattr(after, field)
    }


def _leave_to_rollout(store: Store, name: str, changes: dict[str, Any]) -> None:
    held = [field for field in ROLLOUT_FIELDS if field in changes]
    if held and is_in_rollout(store, name):
        raise UsageError(
            f"a rollout of the route {name} is running and decides on its {', '.join(held)}",
            hint=f"freehold rollout pause|advance|promote|rollback --route {name}",
        )
