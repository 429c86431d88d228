"""Changes of teams in the store: keys that share limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import count

import msgspec

from freehold.errors import RevisionError, UsageError, did_you_mean
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
    """Make a team, or give it other limits. Raises `UsageError`, and `RevisionError` for one that is changed at the
    same moment."""
    _check_name(name)
    if problem := limits.problem:
        raise UsageError(problem)
    before = store.get(Team, name)
    team = before
    if team is None:
        counted_as = _free_account(name, store.records(Team))
        team = Team(name=name, counted_as=counted_as, made_at=at, made_by=who)
    team = msgspec.structs.replace(team, limits=limits)
    detail = {"limits": msgspec.to_builtins(limits)}
    store.put_team(team, "team.set", who=who, at=at, detail=detail, before=before)
    return team


def rename_team(store: Store, name: str, new: str, *, who: str, at: datetime) -> Team:
    """Give a team another name, with its keys; what it used and spent goes on counting, under the name it began with.

    Raises `UsageError`, and `RevisionError` where the team or its keys are changed at the same moment; nothing is
    changed then.
    """
    _check_name(new)
    before = find_team(store, name)
    if store.get(Team, new) is not None:
        raise UsageError(f"there is a team named {new}", hint="freehold keys teams; or choose another name")
    renamed = msgspec.structs.replace(before, name=new, counted_as=before.account.removeprefix("team:"))
    store.replace_team(before, renamed, "team.rename", who=who, at=at, detail={"name": new})
    return renamed


def remove_team(store: Store, name: str, *, release: bool = False, who: str, at: datetime) -> Team:
    """Take a team away. Its keys in force are taken out of it with `release`: their own limits are all that holds
    then. Without, raises `UsageError` where it has any. Raises `RevisionError` where the team or its keys are changed
    at the same moment; nothing is changed then."""
    team = find_team(store, name)
    held = [key.name for key in store.records(ApiKey) if key.team == name and key.revoked_at is None]
    if held and not release:
        raise UsageError(
            f"the team {name} has keys, which its limits would hold no longer: {', '.join(sorted(held)[:10])}",
            hint=f"freehold keys team remove {name} --release-keys; or revoke them, or put them into another team",
        )
    try:
        store.replace_team(team, None, "team.remove", who=who, at=at, detail={}, release=release)
    except RevisionError as error:
        raise RevisionError(
            error.message, hint=f"freehold keys teams, then remove {name} once more"
        ) from None
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
            spent_day_usd=money.get(team.account, nothing).day_usd,
            spent_month_usd=money.get(team.account, nothing).month_usd,
            made_at=team.made_at,
            made_by=team.made_by,
        )
        for team in sorted(store.records(Team), key=lambda team: team.name)
    ]


def _check_name(name: str) -> None:
    if not is_name(name):
        raise UsageError(
            f"{name[:100]!r} is not a name for a team: printable, without : and /, at most 200 characters"
        )


def _free_account(name: str, teams: Iterable[Team]) -> str | None:
    """What a new team is counted under, where another one that got a new name is counted under this one's. No name of a
    team has a slash."""
    taken = {team.account for team in teams}
    if f"team:{name}" not in taken:
        return None
    return next(one for number in count(2) if f"team:{(one := f'{name}/{number}')}" not in taken)
