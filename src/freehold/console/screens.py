"""The console's screens, each one record that its script draws, and its buttons: the body each takes, who may press it.

A screen is a view in `freehold.workflows.tell.views`, a script ``static/screens/NAME.js``, and a row in `SCREENS`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, get_type_hints

import msgspec

from freehold.errors import UsageError
from freehold.store import Store, open_store
from freehold.types.record import Record
from freehold.types.route import Permission
from freehold.workflows.project import Project
from freehold.workflows.tell import buttons
from freehold.workflows.tell.views import (
    cost,
    data,
    labelling,
    license,
    models,
    overview,
    proof,
    serving,
    traffic,
    training,
)
from freehold.workflows.tell.views import project as of_project
from freehold.workflows.tell.views.query import ScreenQuery


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


def _annotated(function: object, parameter: str) -> Any:
    """The class that a view or a button takes."""
    return get_type_hints(function)[parameter]


Group = Literal["journey", "running", "project", "hidden"]


class ScreenView(Protocol):
    """Makes a screen's record from what the store holds. It looks and never acts."""

    def __call__(self, project: Project, store: Store, query: Any, *, at: datetime) -> Record:
        """What there is to see at a time. `query` is of a class of its own."""


@dataclass(frozen=True, slots=True)
class Screen:
    """A row of the navigation. After ``g``, the letter `shortcut` leads to it; `command` says the same in a terminal.

    `needs` is what a visitor must be allowed to see it: a screen with customers' words needs ``content``. A screen of
    the group ``hidden`` is reached by links only. `refresh_seconds` is how often an open page asks again, 0 for never.
    """

    title: str
    view: ScreenView
    group: Group
    shortcut: str = ""
    command: str = ""
    needs: Permission = "look"
    refresh_seconds: float = 0.0

    @property
    def query(self) -> type[ScreenQuery]:
        """The class of what it can be asked for, as its view says it."""
        query: type[ScreenQuery] = _annotated(self.view, "query")
        return query


SCREENS: dict[str, Screen] = {
    "overview": Screen(
        title="Overview",
        view=overview.overview,
        group="journey",
        shortcut="o",
        command="freehold status",
        refresh_seconds=2,
    ),
    "data": Screen(
        title="Data",
        view=data.data,
        group="journey",
        shortcut="d",
        command="freehold dataset show",
        needs="content",
    ),
    "models": Screen(
        title="Models",
        view=models.models,
        group="journey",
        shortcut="m",
        command="freehold assess",
    ),
    "license": Screen(
        title="Licence",
        view=license.license,
        group="journey",
        shortcut="l",
        command="freehold license",
    ),
    "training": Screen(
        title="Training",
        view=training.training,
        group="journey",
        shortcut="n",
        command="freehold train",
        refresh_seconds=2,
    ),
    "proof": Screen(
        title="Proof",
        view=proof.proof,
        group="journey",
        shortcut="p",
        command="freehold report",
        needs="content",
    ),
    "label": Screen(
        title="Blind labelling",
        view=labelling.labelling,
        group="hidden",
        command="freehold label",
        needs="content",
    ),
    "cost": Screen(
        title="Cost",
        view=cost.cost_screen,
        group="journey",
        shortcut="c",
        command="freehold cost",
    ),
    "traffic": Screen(
        title="Traffic",
        view=traffic.traffic,
        group="running",
        shortcut="t",
        command="freehold traces list",
        refresh_seconds=2,
    ),
    "rollout": Screen(
        title="Rollout",
        view=serving.rollout,
        group="running",
        shortcut="r",
        command="freehold rollout status",
        refresh_seconds=2,
    ),
    "serving": Screen(
        title="Serving",
        view=serving.serving,
        group="running",
        shortcut="e",
        command="freehold up",
        refresh_seconds=4,
    ),
    "keys": Screen(
        title="Keys",
        view=of_project.keys,
        group="project",
        shortcut="k",
        command="freehold keys list",
        needs="keys",
        refresh_seconds=5,
    ),
    "audit": Screen(
        title="Audit",
        view=of_project.audit,
        group="project",
        shortcut="a",
        command="freehold audit --last 50",
        refresh_seconds=5,
    ),
    "settings": Screen(
        title="Settings",
        view=of_project.settings,
        group="project",
        shortcut="s",
        command="freehold doctor",
        needs="content",
        refresh_seconds=10,
    ),
    "trace": Screen(
        title="Trace",
        view=traffic.trace,
        group="hidden",
        needs="content",
    ),
    "record": Screen(
        title="Record",
        view=of_project.record,
        group="hidden",
        needs="content",
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


class Act(Protocol):
    """Does what a button says, and returns what its page shows of it, if anything. Raises `UsageError` where it may
    not be done: no button forces."""

    def __call__(
        self, project: Project, store: Store, body: Any, *, who: str, at: datetime
    ) -> Record | None: ...


@dataclass(frozen=True, slots=True)
class Action:
    """A button: `needs` is all that a visitor must be allowed, `body_bytes` how much of a body is read."""

    act: Act
    needs: tuple[Permission, ...] = ("change",)
    body_bytes: int = 16 * 1024

    @property
    def body(self) -> type[buttons.ButtonBody]:
        """The class that its JSON must be of, as the button says it."""
        body: type[buttons.ButtonBody] = _annotated(self.act, "body")
        return body


_EVIDENCE: tuple[Permission, ...] = ("content", "change")
"""Who corrects what customers were answered may read it, and may change things: a visitor who only looks may not."""


ACTIONS: dict[str, Action] = {
    "rollout.advance": Action(buttons.advance),
    "rollout.pause": Action(buttons.pause),
    "rollout.promote": Action(buttons.promote),
    "rollout.rollback": Action(buttons.rollback),
    "trace.feedback": Action(buttons.feedback, needs=_EVIDENCE, body_bytes=64 * 1024),
    "keys.add": Action(buttons.add_key, needs=("keys",)),
    "keys.revoke": Action(buttons.revoke_key, needs=("keys",)),
    "label.pair": Action(buttons.label, needs=_EVIDENCE),
    "label.undo": Action(buttons.undo_label, needs=_EVIDENCE),
    "license.duty": Action(buttons.duty),
}
