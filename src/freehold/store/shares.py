"""Shares of a limit: what each of several gateways on one store may use of it, so that all together keep to it.

A gateway says what it holds of each limit: the larger of what it may use and what it has used. It is granted no more
than what the others do not hold, in a transaction that no other runs beside. A holding lasts for a while after its
gateway was last heard of: until what that gateway may have used meanwhile is out of the minute, or booked.

A gateway that is alone takes part in nothing: it may use every limit whole, and says so by holding nothing. One that
comes is granted nothing until every other has said what it holds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, text

from freehold.store.database import Database
from freehold.store.tables import limit_shares, to_micros
from freehold.store.usage import spent_nano

ShareKind = Literal["requests", "tokens", "nano_usd"]
_ADVISORY_LOCK = 0x66685F7368617265  # "fh_share"
_PRESENT = ("", "present")
_UPSERT = """
    INSERT INTO limit_shares (name, kind, owner, held, used, short, alone, until)
    VALUES (:name, :kind, :owner, :held, :used, :short, :alone, :until)
    ON CONFLICT (name, kind, owner) DO UPDATE SET
        held = excluded.held, used = excluded.used, short = excluded.short,
        alone = excluded.alone, until = excluded.until
"""
_LEAST = 4  # of an even share, one part in four stays with a gateway that is asked for nothing


class Wanted(NamedTuple):
    """What a gateway says of one limit. `held` is what it may use by now (None: it was not told yet), `used` what it
    has used of that, `short` whether it had to refuse what the whole limit might have had room for, `alone` whether it
    may let in what is more than its share while nothing else is running."""

    name: str
    kind: ShareKind
    limit: int
    held: int | None
    used: int
    short: bool
    alone: bool = False


class Holding(NamedTuple):
    """What another gateway holds of a limit."""

    held: int
    used: int = 0
    short: bool = False
    alone: bool = False


class Granted(NamedTuple):
    """What a gateway may use, by name and kind, and the names under which it may let in more than that while nothing
    is running: one gateway at a time, and none while another has something running."""

    shares: dict[tuple[str, ShareKind], int]
    alone: frozenset[str]


def granted(wanted: Wanted, others: Sequence[Holding]) -> int:
    """What a gateway may use from now on. All holdings together never exceed the limit if none did before."""
    free = max(0, wanted.limit - sum(other.held for other in others))
    even = wanted.limit // (len(others) + 1)
    crowded = sum(other.short for other in others)
    if wanted.short:
        aim = wanted.limit // (crowded + 1) if crowded else wanted.limit
    elif crowded:
        aim = min(max(wanted.used, even // _LEAST), even)
    else:
        aim = max(even, wanted.held or 0)
    return min(aim, free)


def exchange(
    database: Database,
    owner: str,
    others: Collection[str],
    wants: Sequence[Wanted],
    *,
    at: datetime,
    seconds: float,
    caps: Mapping[str, tuple[int | None, int | None]] | None = None,
) -> Granted | None:
    """Say what is held and be told what may be used; None where no other gateway is there.

    `others` are gateways that live. A holding counts until `seconds` after it was last said. The limit of what
    may be spent is what `caps`, nanodollars a day and a month by name, leave at this moment.
    """
    table, now = limit_shares, to_micros(at)
    with database.writing(durable=False) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        found = connection.execute(select(table)).all()
        gone = {row.owner for row in found if row.name == "" and row.until < now}
        if gone:
            connection.execute(delete(table).where(table.c.owner.in_(gone)))
        before: dict[tuple[str, str], tuple[object, ...]] = {}
        known: dict[tuple[str, str], list[Holding]] = {}
        present = set()
        for name, kind, whose, held, used, short, is_alone, _ in found:
            if whose in gone:
                continue
            if whose == owner:
                before[name, kind] = (held, used, short, is_alone)
            elif name:
                known.setdefault((name, kind), []).append(Holding(held, used, short, is_alone))
            else:
                present.add(whose)
        if not others and not known and not present:
            connection.execute(delete(table).where(table.c.owner == owner))
            return None
        # One that is there and has said nothing may hold all of it.
        silent = any(other not in present for other in others)
        may_use: dict[tuple[str, ShareKind], int] = {}
        alone: set[str] = set()
        mine: list[Wanted] = []
        for wanted in _with_money_left(connection, wants, caps or {}, at):
            key = (wanted.name, wanted.kind)
            holdings = known.get(key, [])
            share = 0 if silent else granted(wanted, [*holdings, *_absent(present, holdings)])
            may_use[key] = share
            if wanted.short and not silent and not any(one.used or one.alone for one in holdings):
                alone.add(wanted.name)
            # What it may use until it has read this counts as well.
            held = max(share, wanted.used, wanted.limit if wanted.held is None else wanted.held)
            mine.append(wanted._replace(held=held, alone=wanted.alone or wanted.name in alone))
        _say(connection, owner, mine, before, to_micros(at + timedelta(seconds=seconds)))
    return Granted(may_use, frozenset(alone))


def _say(
    connection: Connection,
    owner: str,
    mine: Sequence[Wanted],
    before: Mapping[tuple[str, str], tuple[object, ...]],
    until: int,
) -> None:
    """Write what this gateway holds: what changed, and that it is there, which is how long all of it counts."""
    table = limit_shares
    rows = {(one.name, one.kind): (one.held, one.used, one.short, one.alone) for one in mine}
    gone = [
        {"gone_name": name, "gone_kind": kind} for name, kind in before if name and (name, kind) not in rows
    ]
    if gone:
        which = (table.c.name == bindparam("gone_name")) & (table.c.kind == bindparam("gone_kind"))
        connection.execute(delete(table).where(table.c.owner == owner, which), gone)
    changed = [(*key, owner, *row, until) for key, row in rows.items() if before.get(key) != row]
    columns = [column.name for column in table.columns]
    new = [*changed, (*_PRESENT, owner, 0, 0, False, False, until)]
    connection.execute(text(_UPSERT), [dict(zip(columns, row, strict=True)) for row in new])


def _absent(present: Collection[str], holdings: Sequence[Holding]) -> list[Holding]:
    """Gateways that take part and were never asked for this name."""
    return [Holding(0)] * max(0, len(present) - len(holdings))


def _with_money_left(
    connection: Connection,
    wants: Sequence[Wanted],
    caps: Mapping[str, tuple[int | None, int | None]],
    at: datetime,
) -> list[Wanted]:
    day = at.strftime("%Y-%m-%d")
    known = spent_nano(connection, day, day[:7]) if caps else {}
    found = []
    for wanted in wants:
        if wanted.kind == "nano_usd":
            caps_of = caps.get(wanted.name, (None, None))
            spent = known.get(wanted.name, (0, 0))
            left = [cap - used for cap, used in zip(caps_of, spent, strict=True) if cap is not None]
            wanted = wanted._replace(limit=max(0, min(left, default=0)))
        found.append(wanted)
    return found
