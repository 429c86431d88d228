"""Which engines of one's own are to be held, as the store says, and which are: what a running `freehold up` follows.

All is read from routes, slots and swaps, so that nothing has to be tidied up: a generation is held while a route names
it, while it was offered and not yet swapped in, and while a later one is watched that may go back to it.

What a running `freehold up` holds stands in leases, which end with it, however it ends. Where several run on one store,
something is held once all of them hold it.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import msgspec

from freehold.errors import FreeholdError, RevisionError
from freehold.store import Store, leases, open_store
from freehold.types.audit import Change
from freehold.types.endpoint import ENDPOINT_NAME, ServePlan
from freehold.types.route import Route
from freehold.types.slot import ServedSlot, Swap
from freehold.workflows.project import now

log = logging.getLogger(__name__)

LIVES_S = 20.0
"""How long what is held counts as held after the last sign of life of its holder."""
SIGN_EVERY_S = 5.0
_HOLDERS = "engines"


class EnginesWanted:
    """What is to be held at one moment, by the name of its endpoint."""

    def __init__(self, routes: Iterable[Route], slots: Iterable[ServedSlot], swaps: Iterable[Swap]) -> None:
        by_route = {route.name: route for route in routes}
        last = {swap.route: swap for swap in swaps}
        self.named = {one.candidate.endpoint for one in by_route.values() if one.candidate is not None}
        self.before = {
            one.before.target.endpoint for one in last.values() if one.is_watched_on(by_route.get(one.route))
        }
        self.slots: dict[str, ServedSlot] = {}
        for slot in slots:
            swap = last.get(slot.route)
            is_offered = slot.route in by_route and (swap is None or slot.number > swap.number)
            if slot.endpoint in self.named | self.before or (is_offered and slot.trouble is None):
                self.slots[slot.endpoint] = slot

    @property
    def needed(self) -> dict[str, ServedSlot]:
        """Those that a start waits for: an offered one comes later."""
        return {name: one for name, one in self.slots.items() if name in self.named | self.before}

    @property
    def own_plan(self) -> bool:
        """Whether what `freehold migrate` chose is to be held as well."""
        return ENDPOINT_NAME in self.named | self.before or not self.named & self.slots.keys()

    def plans(self, own: ServePlan | None) -> dict[str, ServePlan]:
        """All, with one's `own` plan, what routes name first: it answers who asks for a model by its name."""
        found = {} if own is None else {ENDPOINT_NAME: own}
        found |= {name: slot.plan for name, slot in self.slots.items()}
        return dict(sorted(found.items(), key=lambda one: one[0] not in self.named))


def wanted(store: Store) -> EnginesWanted:
    """What the store says now. One small read where there are no slots."""
    while slots := store.records(ServedSlot):
        revision = store.routes_revision()
        found = EnginesWanted(store.routes(), slots, store.records(Swap))
        if revision == store.routes_revision():  # routes and swaps of one moment: they are changed together
            return found
    return EnginesWanted((), (), ())


def holders(store: Store, *, at: datetime) -> set[str]:
    """Who holds engines of this store now: each a running `freehold up`."""
    return {owner for _, owner in leases.living(store.database, f"{_HOLDERS}:", at=at)}


def are_held(store: Store, endpoint: str, plan: ServePlan | None, *, at: datetime) -> bool | None:
    """Whether each holder has this plan answering under a name (None: any plan); None where there is no holder."""
    everyone = holders(store, at=at)
    held = leases.living(store.database, _kind(endpoint, plan), at=at)
    return {owner for _, owner in held} >= everyone if everyone else None


def _kind(endpoint: str, plan: ServePlan | None) -> str:
    return f"engine/{endpoint}/" + ("" if plan is None else f"{plan.key}:")


class StoredSlots:
    """`freehold.workflows.serve.slots.SlotsWanted` by a store. `own` gives what `freehold migrate` chose, as soon as it
    is wanted; with `always` it is wanted whatever the store says."""

    def __init__(
        self,
        store_url: str,
        *,
        own: Callable[[], ServePlan],
        always: bool = False,
        attributions: Callable[[ServePlan], dict[str, str]] = lambda plan: {},
    ) -> None:
        self._url, self._own, self._always, self._attributions = store_url, own, always, attributions
        self._chosen: ServePlan | None = None
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._store: Store | None = None
        self._signed: dict[str, ServePlan] | None = None
        self._next_sign_s = 0.0
        self._told = ""

    def at_start(self) -> dict[str, ServePlan]:
        """What a start waits for. Raises what `own` raises, and `StoreError`."""
        with open_store(self._url) as store:
            found = wanted(store)
        if self._always or found.own_plan:
            self._chosen = self._own()
        plans = found.plans(self._chosen)
        return {name: plan for name, plan in plans.items() if name in found.needed or name == ENDPOINT_NAME}

    def look(self, answering: Mapping[str, ServePlan]) -> Mapping[str, ServePlan] | None:
        try:
            self._store = self._store or open_store(self._url)
            found = wanted(self._store)
            self._sign(self._store, dict(answering))
            self._note_recovered(self._store, found, answering)
            is_wanted = self._always or found.own_plan
            if is_wanted and self._chosen is None:
                self._chosen = self._own()
            self._told = ""
            return found.plans(self._chosen if is_wanted else None)
        except FreeholdError as error:  # a store that is busy or gone is asked again, and what is held stays
            if error.message != self._told:
                log.warning("what is to be held is not known: %s", error.message)
            self._told = error.message
            self._forget_store()
            return None

    def failed(self, name: str, plan: ServePlan, why: str) -> None:
        try:
            with open_store(self._url) as store:
                slot = store.get(ServedSlot, name)
                if slot is not None and slot.plan.key == plan.key:
                    _put(store, slot, trouble=why)
        except FreeholdError as error:
            log.warning("the trouble of %s could not be noted: %s", name, error.message)

    def attributions(self, plan: ServePlan) -> dict[str, str]:
        return self._attributions(plan)

    def close(self) -> None:
        """At the end: nothing is held here any more."""
        try:
            with open_store(self._url) as store:
                for name, owner in leases.living(store.database, "engine", at=now()):
                    if owner == self._owner:
                        leases.give_back(store.database, name, owner)
        except FreeholdError as error:
            log.warning("%s", error.message)
        self._forget_store()

    def _forget_store(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def _sign(self, store: Store, answering: dict[str, ServePlan]) -> None:
        """Say what is held here: at once where that changed, else every few seconds."""
        if answering == self._signed and time.monotonic() < self._next_sign_s:
            return
        kinds = {_kind(name, plan)[:-1] for name, plan in answering.items()}
        gone = {_kind(name, plan)[:-1] for name, plan in (self._signed or {}).items()} - kinds
        for kind in gone:
            leases.give_back(store.database, f"{kind}:{self._owner}", self._owner)
        for kind in (*sorted(kinds), _HOLDERS):
            leases.alive(store.database, kind, self._owner, at=now(), seconds=LIVES_S)
        self._signed, self._next_sign_s = answering, time.monotonic() + SIGN_EVERY_S

    def _note_recovered(self, store: Store, found: EnginesWanted, answering: Mapping[str, ServePlan]) -> None:
        for name, slot in found.slots.items():
            if slot.trouble is not None and name in answering and answering[name].key == slot.plan.key:
                _put(store, slot, trouble=None)


def _put(store: Store, slot: ServedSlot, *, trouble: str | None) -> None:
    change = Change(action="slot.trouble" if trouble else "slot.recovered", who="freehold", why=trouble or "")
    try:
        store.put(
            msgspec.structs.replace(slot, trouble=trouble), change=change, if_was=lambda was: was == slot
        )
    except RevisionError:  # another generation took the slot meanwhile
        log.info("%s was given to another generation", slot.endpoint)
