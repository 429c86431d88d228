"""Routes and API keys, and the history of their changes.

A store bears a random identity, given to it when it is made, and counts every change of a key. A reader that has seen
both once can tell later whether a store is the same one, and whether it is an older copy.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, delete, insert, select

from freehold.errors import RevisionError
from freehold.store import audit, damage
from freehold.store.damage import SEEN, DamagedBody, unless_damaged
from freehold.store.database import KEYS, ROUTES, Database, counter_value, raise_counter
from freehold.store.records import KeptRecord, about_record, decoded, keep_within
from freehold.store.tables import (
    from_micros,
    records,
    route_history,
    routes,
    searchable,
    store_facts,
    to_micros,
)
from freehold.types.record import Record, StoredRecord
from freehold.types.route import ApiKey, LabelLimits, Limits, Route, RouteChange

S = TypeVar("S", bound=StoredRecord)
_NOTHING = Limits(requests_per_minute=0)
"""Where it cannot be read what the keys of a label may use."""
_ID, _FORGOTTEN = "id", "keys_forgotten_at"


class StoredKeys(Record, frozen=True, kw_only=True):
    """All keys at one moment. `changes` counts the changes of keys so far; `forgotten` says that the last of them was
    to forget every key on purpose."""

    store_id: str
    changes: int
    keys: tuple[ApiKey, ...] = ()
    labels: tuple[LabelLimits, ...] = ()
    damaged: int = 0
    """Keys that cannot be read: they let no client in, and are required all the same."""
    forgotten: bool = False


def stored_keys(database: Database) -> StoredKeys:
    """Keys, identity and count as of one moment."""
    query = select(records.c.kind, records.c.id, records.c.body).order_by(records.c.seq)
    query = query.where(records.c.kind.in_((ApiKey.kind, LabelLimits.kind)))
    with database.reading() as connection:
        facts = {row.name: row.value for row in connection.execute(select(store_facts)).all()}
        changes = counter_value(connection, KEYS)
        found = connection.execute(query).all()
    rows = [row for row in found if row.kind == ApiKey.kind]
    keys = tuple(key for row in rows if (key := _readable(row.id, row.body, ApiKey)) is not None)
    labels = tuple(
        _readable(row.id, row.body, LabelLimits) or LabelLimits(label=row.id, limits=_NOTHING)
        for row in found
        if row.kind == LabelLimits.kind
    )
    forgotten = not rows and facts.get(_FORGOTTEN) == str(changes)
    return StoredKeys(
        store_id=facts.get(_ID, ""),
        changes=changes,
        keys=keys,
        labels=labels,
        damaged=len(rows) - len(keys),
        forgotten=forgotten,
    )


def _readable(name: str, body: bytes, type: type[S]) -> S | None:
    about = about_record(type.kind, name)
    return unless_damaged(*about, lambda: decoded(body, type, type.kind, *about))


def forget_keys(database: Database, *, who: str, at: datetime) -> int:
    """Forget every key, and keep that this was meant. Returns how many there were."""
    with database.writing() as connection:
        count = connection.execute(delete(records).where(records.c.kind == ApiKey.kind)).rowcount
        changes = raise_counter(connection, KEYS)
        connection.execute(delete(store_facts).where(store_facts.c.name == _FORGOTTEN))
        connection.execute(insert(store_facts).values(name=_FORGOTTEN, value=str(changes)))
        audit.append(connection, "keys.forget", "all", who=who, at=at, detail={"keys": count})
    return count


class RouteStore:
    """The routes of a database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def save_route(
        self,
        route: Route,
        *,
        who: str,
        at: datetime,
        why: str = "",
        verdict_id: str | None = None,
        expected_revision: int | None = None,
        together_with: KeptRecord | None = None,
    ) -> Route:
        """Keep a route and a line of its history, with a record that says the same or neither; returns it with its new
        revision.

        With `expected_revision`, raises `RevisionError` when the route was changed in between.
        """
        with self.database.writing() as connection:
            found = connection.execute(select(routes.c.revision).where(routes.c.name == route.name)).scalar()
            if expected_revision is not None and (found or 0) != expected_revision:
                raise RevisionError(
                    f"route {route.name} is at revision {found or 0}, not {expected_revision}: "
                    "it was changed meanwhile",
                    hint="look at it again, then repeat the change",
                )
            saved = msgspec.structs.replace(route, revision=raise_counter(connection, ROUTES))
            body = msgspec.json.encode(saved)
            sealed = damage.seal(body, *_about(saved.name, saved.revision))
            connection.execute(delete(routes).where(routes.c.name == route.name))
            connection.execute(insert(routes).values(name=saved.name, revision=saved.revision, body=sealed))
            _note(connection, saved.name, saved.revision, body, who, at, why, verdict_id)
            if together_with is not None:
                keep_within(connection, together_with)
        return saved

    def delete_route(self, name: str, *, who: str, at: datetime, why: str = "") -> bool:
        """Remove a route; its history stays. False when there was none."""
        with self.database.writing() as connection:
            if connection.execute(delete(routes).where(routes.c.name == name)).rowcount == 0:
                return False
            _note(connection, name, raise_counter(connection, ROUTES), None, who, at, why, None)
        return True

    def routes(self) -> list[Route]:
        """All routes, by name. A damaged one is taken from its history, which keeps the same body a second time; where
        that is damaged as well, it is left out. Both are noted.
        """
        with self.database.reading() as connection:
            rows = connection.execute(select(routes).order_by(routes.c.name)).all()
        return [route for row in rows if (route := self._route(row)) is not None]

    def _route(self, row: Any) -> Route | None:
        try:
            return _read(row.body, *_about(row.name, row.revision))
        except DamagedBody as error:
            SEEN.note("routes", row.name, str(error))
        same = [change for change in self.route_history(row.name) if change.revision == row.revision]
        return same[0].route if same else None

    def routes_revision(self) -> int:
        """A number that grows with every change of any route: cheap enough to ask several times a second."""
        with self.database.reading() as connection:
            return counter_value(connection, ROUTES)

    def route_history(self, name: str) -> list[RouteChange]:
        """All changes of a route, oldest first."""
        query = select(route_history).where(route_history.c.name == name).order_by(route_history.c.revision)
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        changes = (
            unless_damaged("route_history", f"{row.name}/{row.revision}", partial(_change, row))
            for row in rows
        )
        return [change for change in changes if change is not None]

    def rollbacks(self) -> dict[str, int]:
        """How often each route was rolled back since the store was made; routes that never were are left out."""
        with self.database.reading() as connection:
            names = connection.execute(select(route_history.c.name).distinct()).scalars().all()
        found = {}
        for name in sorted(names):
            states = [change.route for change in self.route_history(name)]
            found[name] = sum(map(_is_rollback, [None, *states], states))
        return {name: count for name, count in found.items() if count}


def _is_rollback(before: Route | None, after: Route | None) -> bool:
    return (
        after is not None
        and after.state == "rolled_back"
        and before is not None
        and before.state != "rolled_back"
    )


def _change(row: Any) -> RouteChange:
    return RouteChange(
        name=row.name,
        revision=row.revision,
        at=from_micros(row.at),
        who=row.who,
        why=row.why,
        verdict_id=row.verdict_id,
        route=None if row.body is None else _read(row.body, *about_change(row)),
    )


def _read(body: bytes, *about: object) -> Route:
    """A stored route. Raises `StoreError` and `DamagedBody`."""
    return decoded(body, Route, "route", *about)


def _about(name: str, revision: int) -> tuple[object, ...]:
    return ("routes", name, revision)


def about_change(row: Any) -> tuple[object, ...]:
    """What the checksum of a line of history is taken over besides its body."""
    return ("route_history", row.revision, row.name, row.at, row.who, row.why, row.verdict_id)


def _note(
    connection: Connection,
    name: str,
    revision: int,
    body: bytes | None,
    who: str,
    at: datetime,
    why: str,
    verdict_id: str | None,
) -> None:
    why = searchable(why)
    about = ("route_history", revision, name, to_micros(at), who, why, verdict_id)
    audit.append(
        connection,
        "route.delete" if body is None else "route.save",
        name,
        who=who,
        at=at,
        why=why,
        detail={"revision": revision, **({} if verdict_id is None else {"verdict_id": verdict_id})},
    )
    connection.execute(
        insert(route_history).values(
            revision=revision,
            name=name,
            at=to_micros(at),
            who=who,
            why=why,
            verdict_id=verdict_id,
            body=None if body is None else damage.seal(body, *about),
        )
    )
