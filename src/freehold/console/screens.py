"""The console's screens: what each shows, as one record that its script draws.

A screen is a view in `freehold.workflows.tell.views`, a script ``static/screens/NAME.js``, and a row in `SCREENS`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

from freehold.errors import UsageError
from freehold.store import Store, open_store
from freehold.types.record import Record
from freehold.types.route import Permission
from freehold.workflows.project import Project
from freehold.workflows.tell.views import (
    audit,
    cost,
    data,
    keys,
    license,
    models,
    overview,
    record,
    rollout,
    serving,
    settings,
    trace,
    traffic,
    training,
)
from freehold.workflows.tell.views.proof import labelling
from freehold.workflows.tell.views.proof import screen as proof
from freehold.workflows.tell.views.query import ScreenQuery, WindowQuery


class ProjectStore:
    """One open store for all requests. It is not opened at the start, so that a console whose store cannot be read
    still says so, and goes on by itself once it can."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._store: Store | None = None

    def get(self) -> Store:
        """The open store. Raises `StoreError` and `StorageError`."""
        with self._lock:
            if self._store is not None and self._store.database.was_replaced():
                self._store.close()
                self._store = None
            if self._store is None:
                self._store = open_store(self._url)
            return self._store

    def close(self) -> None:
        """Close what is open."""
        with self._lock:
            if self._store is not None:
                self._store.close()
                self._store = None


# A screen's record, computed once for all pages that show it. Twenty open consoles ask for the same record twenty
# times every two seconds. It is computed once, by the first one that asks, and answers all until it is
# `RECORD_SECONDS` old; one that takes long to compute answers for longer, so that no screen keeps a processor busy
# for more than a quarter of the time.

RECORD_SECONDS = 1.5
"""How long a computed record answers for, at least."""
REST = 3.0
"""How many times as long as it took to compute a record answers for, at least."""
MOST_RECORDS = 64
"""Records kept at a time, each of one screen with one set of parameters."""


class _CachedRecord:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.data = b""
        self.until = 0.0


class RecordCache:
    """Encoded records by screen and query. For one event loop."""

    def __init__(self) -> None:
        self._records: OrderedDict[Hashable, _CachedRecord] = OrderedDict()

    async def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """The record of that key, from `make` (in a thread) where none is fresh. Raises what `make` raises."""
        cached = self._records.setdefault(key, _CachedRecord())
        self._records.move_to_end(key)
        while len(self._records) > MOST_RECORDS:
            self._records.popitem(last=False)
        loop = asyncio.get_running_loop()
        async with cached.lock:
            began = loop.time()
            if began >= cached.until or not cached.data:
                cached.data = await asyncio.to_thread(make)
                took = loop.time() - began
                cached.until = loop.time() + max(RECORD_SECONDS, REST * took)
            return cached.data

    def clear(self) -> None:
        """Forget all: something was changed, and the next look must see it."""
        self._records.clear()


Group = Literal["journey", "running", "project", "hidden"]


class ScreenView(Protocol):
    """Makes a screen's record from what the store holds. It looks and never acts."""

    def __call__(self, project: Project, store: Store, query: Any, *, at: datetime) -> Record:
        """What there is to see at a time. `query` is of the class that the screen's row names."""


@dataclass(frozen=True, slots=True)
class Screen:
    """A row of the navigation. After ``g``, the letter `shortcut` leads to it; `command` says the same in a terminal.

    `needs` is what a visitor must be allowed to see it: a screen with customers' words needs ``content``. A screen of
    the group ``hidden`` is reached by links only. `refresh_seconds` is how often an open page asks again, 0 for never.
    """

    title: str
    view: ScreenView
    query: type[ScreenQuery]
    group: Group
    shortcut: str = ""
    command: str = ""
    needs: Permission = "look"
    refresh_seconds: float = 2.0


SCREENS: dict[str, Screen] = {
    "overview": Screen(
        title="Overview",
        view=overview.overview,
        query=overview.OverviewQuery,
        group="journey",
        shortcut="o",
        command="freehold status",
    ),
    "data": Screen(
        title="Data",
        view=data.data,
        query=data.DataQuery,
        group="journey",
        shortcut="d",
        command="freehold dataset show",
        needs="content",
        refresh_seconds=0,
    ),
    "models": Screen(
        title="Models",
        view=models.models,
        query=models.ModelsQuery,
        group="journey",
        shortcut="m",
        command="freehold assess",
        refresh_seconds=0,
    ),
    "license": Screen(
        title="Licence",
        view=license.license,
        query=license.LicenseQuery,
        group="journey",
        shortcut="l",
        command="freehold license",
        refresh_seconds=0,
    ),
    "training": Screen(
        title="Training",
        view=training.training,
        query=training.TrainingQuery,
        group="journey",
        shortcut="n",
        command="freehold train",
    ),
    "proof": Screen(
        title="Proof",
        view=proof.proof,
        query=proof.ProofQuery,
        group="journey",
        shortcut="p",
        command="freehold report",
        needs="content",
        refresh_seconds=0,
    ),
    "label": Screen(
        title="Blind labelling",
        view=labelling.labelling,
        query=labelling.LabellingQuery,
        group="hidden",
        command="freehold label",
        needs="content",
        refresh_seconds=0,
    ),
    "cost": Screen(
        title="Cost",
        view=cost.cost_screen,
        query=cost.CostQuery,
        group="journey",
        shortcut="c",
        command="freehold cost",
        refresh_seconds=0,
    ),
    "traffic": Screen(
        title="Traffic",
        view=traffic.traffic,
        query=traffic.TrafficQuery,
        group="running",
        shortcut="t",
        command="freehold traces list",
    ),
    "rollout": Screen(
        title="Rollout",
        view=rollout.rollout,
        query=WindowQuery,
        group="running",
        shortcut="r",
        command="freehold rollout status",
    ),
    "serving": Screen(
        title="Serving",
        view=serving.serving,
        query=ScreenQuery,
        group="running",
        shortcut="e",
        command="freehold up",
        refresh_seconds=4,
    ),
    "keys": Screen(
        title="Keys",
        view=keys.keys,
        query=keys.KeysQuery,
        group="project",
        shortcut="k",
        command="freehold keys list",
        needs="keys",
        refresh_seconds=5,
    ),
    "audit": Screen(
        title="Audit",
        view=audit.audit,
        query=audit.AuditQuery,
        group="project",
        shortcut="a",
        command="freehold audit --last 50",
        refresh_seconds=5,
    ),
    "settings": Screen(
        title="Settings",
        view=settings.settings,
        query=settings.SettingsQuery,
        group="project",
        shortcut="s",
        command="freehold doctor",
        needs="content",
        refresh_seconds=10,
    ),
    "trace": Screen(
        title="Trace",
        view=trace.trace,
        query=trace.OneTraceQuery,
        group="hidden",
        needs="content",
        refresh_seconds=0,
    ),
    "record": Screen(
        title="Record",
        view=record.record,
        query=record.RecordQuery,
        group="hidden",
        needs="content",
        refresh_seconds=0,
    ),
}
"""In the order of the navigation. The first one that a visitor may see is what the console begins with."""


def query_of(screen: Screen, parameters: dict[str, str]) -> ScreenQuery:
    """The parameters of an address as the screen's query. Raises `UsageError`, which names what is wrong with them."""
    try:
        return msgspec.convert(parameters, screen.query, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"this address asks {screen.title} for something it does not have: {error}",
            hint="open the screen from the navigation",
        ) from None
