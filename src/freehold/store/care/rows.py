"""Every table with bodies, row by row: whether a row is what was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Table, select, tuple_

from freehold.store import blocks, bodies, tables
from freehold.store.damage import DamagedBody
from freehold.store.rollouts import about_window
from freehold.store.routes import about_change
from freehold.types.route import Route

BATCH = 500


class Sealed(NamedTuple):
    """A table whose rows hold bodies. `about` are, for each body's column, what its checksum is taken over besides the
    body; `type` is what a body must be, where the store knows it."""

    table: Table
    about: Callable[[Any], Mapping[str, tuple[object, ...]]]
    type: Any = Any

    @property
    def name(self) -> str:
        return str(self.table.name)

    def key(self, row: Any) -> str:
        """A row's name, as messages say it."""
        if self.name == "trace_blocks":
            return blocks.name_of(row)
        if self.name == "records":
            return f"{row.kind}/{row.id}"
        return "/".join(str(getattr(row, column.name)) for column in self.table.primary_key)

    def problem(self, row: Any) -> str | None:
        """Why a row is not what was written; None where nothing is wrong with it."""
        try:
            if self.name == "trace_blocks":
                bodies.unpack_lines(row.body, row.place)
                return None
            for column, about in self.about(row).items():
                stored = getattr(row, column)
                if stored is not None:
                    bodies.read_json(stored, Any if column == "made_from" else self.type, *about)
        except (DamagedBody, msgspec.ValidationError) as error:
            return str(error)
        return None


def _record(row: Any) -> dict[str, tuple[object, ...]]:
    about = ("records", f"{row.kind}/{row.id}")
    return {"body": about, "made_from": (*about, "made_from")}


SEALED = (
    Sealed(tables.records, _record),
    Sealed(tables.trace_blocks, lambda row: {"body": ("trace_blocks", row.place)}),
    Sealed(tables.routes, lambda row: {"body": ("routes", row.name, row.revision)}, Route),
    Sealed(tables.route_history, lambda row: {"body": about_change(row)}, Route),
    Sealed(
        tables.steps,
        lambda row: {"outputs": ("steps", row.name, row.inputs_hash, row.finished_at)},
        dict[str, str],
    ),
    Sealed(tables.rollout_states, lambda row: {"body": ("rollout_states", row.rollout, row.version)}),
    Sealed(
        tables.rollout_windows,
        lambda row: {"body": about_window(row.rollout, row.kind, row.unit, row.closed)},
    ),
)


def pages(
    connection: Connection, table: Table, *, after: tuple[Any, ...] | None = None, most: int = BATCH
) -> Iterator[list[Any]]:
    """The rows of a table by its primary key, a page at a time, from the row after `after` on."""
    key = list(table.primary_key)
    while True:
        query = select(table).order_by(*key).limit(most)
        if after is not None:
            query = query.where(tuple_(*key) > tuple_(*after) if len(key) > 1 else key[0] > after[0])
        rows = list(connection.execute(query).all())
        if not rows:
            return
        yield rows
        after = key_of(table, rows[-1])


def key_of(table: Table, row: Any) -> tuple[Any, ...]:
    """The values of a row's primary key."""
    return tuple(getattr(row, column.name) for column in table.primary_key)
