"""Changes of teams in the store: keys that share limits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from freehold.errors import UsageError, did_you_mean
from freehold.gateway.limits.key_changes import find, is_name
from freehold.store import Store
from freehold.store.usage import Spent, spent
from freehold.types.record import Record
from freehold.types.route import ApiKey, Limits, Team


class TeamLine(Record, frozen=True, kw_only=True):
    """A team as it may be shown, its keys in force, and what they have spent under its caps today and this month
    (UTC)."""

    name: str
    limits: Limits
    keys: tuple[str, ...]
    spent_day_usd: Decimal
    spent_month_usd: Decimal
    made_at: datetime | None
    made_by: str


def find_team(store: Store, name: str) -> Team:
    """The team of that name. Raises `UsageError`."""
    team = store.get(Team, name)
    if team is None:
        known = sorted(one.name for one in store.records(Team))
        hint = f"teams: {', '.join(known)}" if known else "freehold keys team set makes one"
        raise UsageError(f"no team is named {name[:100]!r}", hint=did_you_mean(name, known, hint))
    return team


def set_team(store: Store, name: str, limits: Limits, *, who: str, at: datetime) -> Team:
    """Make a team, or give it other limits. Raises `UsageError`."""
    if not is_name(name):
        raise UsageError(
            f"{name[:100]!r} is not a name for a team: printable, without : and /, at most 200 characters"
        )
    if problem := limits.problem:
        raise UsageError(problem)
    before = store.get(Team, name)
    team = Team(name=name, made_at=at, made_by=who) if before is None else before
    team = msgspec.structs.replace(team, limits=limits)
    store.put_team(team, "team.set", who=who, at=at, detail={"limits": msgspec.to_builtins(limits)})
    return team


def move_keys(store: Store, names: Sequence[str], team: str | None, *, who: str, at: datetime) -> None:
    """Put keys into a team, or (None) out of theirs; all that are not there already. Raises `UsageError`, and then
    none is moved, and `RevisionError` for one that is changed at the same moment."""
    if team is not None:
        find_team(store, team)
    keys = [find(store, name) for name in names]
    for key in keys:
        if key.team != team:
            moved = msgspec.structs.replace(key, team=team)
            detail = {"team": team, "before": key.team}
            store.put_key(moved, "key.team", who=who, at=at, detail=detail, before=key)


def teams_listed(store: Store, *, at: datetime) -> list[TeamLine]:
    """All teams, by name."""
    money = spent(store.database, at.strftime("%Y-%m-%d"), at.strftime("%Y-%m"))
    nothing = Spent(Decimal(0), Decimal(0))
    keys = [key for key in store.records(ApiKey) if key.revoked_at is None]
    return [
        TeamLine(
            name=team.name,
            limits=team.limits,
            keys=tuple(sorted(key.name for key in keys if key.team == team.name)),
            spent_day_usd=money.get(f"team:{team.name}", nothing).day_usd,
            spent_month_usd=money.get(f"team:{team.name}", nothing).month_usd,
            made_at=team.made_at,
            made_by=team.made_by,
        )
        for team in sorted(store.records(Team), key=lambda team: team.name)
    ]
