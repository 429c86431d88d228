"""Changes while traffic runs: routes move between their states, keys are made and revoked."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec

from benchmarks.soak.traffic import Traffic
from freehold.store import open_store
from freehold.types.route import Limits, Route, RouteState
from freehold.workflows.shift import keys

STATES: tuple[RouteState, ...] = ("shadow", "canary", "incumbent", "promoted", "rolled_back")
# Workers know of a key within half a second; a busy machine is given longer.
_KNOWN_AFTER_S = 4.0


class Changes:
    """Changes the routes and keys of a store every `every_s` until it is cancelled."""

    def __init__(self, store_url: str, routes: list[Route], traffic: Traffic, *, every_s: float) -> None:
        self.routes_changed = self.keys_changed = 0
        self._url = store_url
        self._routes = routes
        self._traffic = traffic
        self._every_s = every_s
        self._key = "soak-0"

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            for route in self._routes:
                await asyncio.to_thread(self._move, route)
            old, (name, secret) = self._key, await asyncio.to_thread(self._add_key)
            await asyncio.sleep(_KNOWN_AFTER_S)
            self._traffic.key, self._key = secret, name
            # Requests with the old key have reached the gateway by then.
            await asyncio.sleep(_KNOWN_AFTER_S)
            await asyncio.to_thread(self._revoke, old)

    def _move(self, route: Route) -> None:
        state = STATES[self.routes_changed % len(STATES)]
        moved = msgspec.structs.replace(route, state=state, canary_share=0.3, shadow_share=0.3)
        with open_store(self._url) as store:
            store.save_route(moved, who="soak", at=datetime.now(UTC), why="a soak")
        self.routes_changed += 1

    def _add_key(self) -> tuple[str, str]:
        name = f"soak-{self.keys_changed + 1}"
        with open_store(self._url) as store:
            made = keys.add(store, name, limits=Limits(), who="soak", at=datetime.now(UTC))
        self.keys_changed += 1
        return name, made.secret

    def _revoke(self, name: str) -> None:
        with open_store(self._url) as store:
            keys.revoke(store, name, at=datetime.now(UTC))
