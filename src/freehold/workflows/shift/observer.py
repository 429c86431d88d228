"""The process beside a running gateway that looks: at rollouts, and at `freehold.toml`.

Started and kept running by `freehold up`, so that rollback fires although nobody watches. It scores mirrored
pairs, feeds the tests, rolls back, and carries changed routes of `freehold.toml` over into the store. Of several
machines on one store only one looks at a time; another takes over when it is gone.

Run as ``python -m freehold.workflows.shift.observer`` with a JSON object (`Watching`) on stdin; it ends when stdin is
closed, which is also what happens when the process that started it dies.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from freehold import logs
from freehold.errors import ConfigError, FreeholdError, StorageError
from freehold.store import Store, leases, open_store
from freehold.workflows.project import open_project
from freehold.workflows.shift import alerts, rollout_records, routes
from freehold.workflows.shift.observer_process import LEASE, Watching
from freehold.workflows.shift.rollout import rollout

log = logging.getLogger("freehold.observer")
FILE_EVERY_S = 0.5
LEASE_SECONDS = 30.0


class Observer:
    """Looks until told to stop. Everything it learns is in the store; it may die at any moment."""

    def __init__(self, watching: Watching) -> None:
        self._watching = watching
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        self._seen_file: tuple[int, int] | None = None
        self._next_look = 0.0
        self._last_trouble = ""

    def run(self, stopping: threading.Event) -> None:
        """Look, sleep, look again. A store that is locked or gone is tried again, and said once."""
        store: Store | None = None
        try:
            while not stopping.is_set():
                try:
                    store = store or open_store(self._watching.store_url)
                    self.step(store)
                    self._last_trouble = ""
                except FreeholdError as error:
                    if error.message != self._last_trouble:
                        log.warning("%s", error.message)
                    self._last_trouble = error.message
                    if store is not None and isinstance(error, StorageError):
                        store.close()
                        store = None
                stopping.wait(min(FILE_EVERY_S, self._watching.look_seconds))
        finally:
            if store is not None:
                with contextlib.suppress(StorageError):
                    leases.give_back(store.database, LEASE, self._owner)
                store.close()

    def step(self, store: Store) -> None:
        """One round: the file where it changed, the rollouts where it is time."""
        self._follow_file(store)
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + self._watching.look_seconds
        live = rollout_records.live(store)
        if not live:
            return
        now = datetime.now(UTC)
        seconds = max(LEASE_SECONDS, 3 * self._watching.look_seconds)
        if not leases.take(store.database, LEASE, self._owner, at=now, seconds=seconds):
            log.debug("another observer looks at the rollouts of this store")
            return
        for one in live:
            try:
                seen = rollout.step(store, one.route).rollout
            except StorageError:
                raise
            except FreeholdError as error:
                log.warning("rollout of %s: %s", one.route, error.message)
                continue
            if seen.state == "rolled_back":
                log.warning("route %s rolled back: %s", one.route, seen.why)
                self._tell(one.route, seen.why)

    def _tell(self, route: str, why: str) -> None:
        """The hooks of ``[watch]``: somebody wants to know at two in the morning."""
        path = self._watching.config_path
        if path is None:
            return
        config = open_project(Path(path)).config
        alarm = alerts.Alarm(
            kind="rolled_back",
            app=config.app.name,
            route=route,
            at=datetime.now(UTC),
            why=why,
            action="rolled_back",
        )
        for trouble in alerts.send(alarm, config.watch):
            log.warning("%s", trouble)

    def _follow_file(self, store: Store) -> None:
        path = self._watching.config_path
        if path is None:
            return
        try:
            stat = Path(path).stat()
        except OSError:
            return  # being written anew; what was carried over stays
        seen = (stat.st_mtime_ns, stat.st_size)
        if seen == self._seen_file:
            return
        self._seen_file = seen
        try:
            changed = routes.carry_over(
                store, open_project(Path(path)).config, at=datetime.now(UTC), say=log.warning
            )
        except ConfigError as error:
            log.warning("%s; its routes stay as they were", error.message)
            return
        if changed:
            log.warning("routes carried over from %s: %s", path, ", ".join(changed))


def main() -> None:
    logs.configure()
    # A Ctrl-C in the terminal is for the process that started us; it tells us by closing stdin.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(5)
    line = sys.stdin.buffer.readline()
    if not line:
        return
    stopping = threading.Event()

    def until_hung_up() -> None:
        while os.read(0, 4096):
            continue
        stopping.set()

    threading.Thread(target=until_hung_up, name="lifeline", daemon=True).start()
    Observer(msgspec.json.decode(line, type=Watching)).run(stopping)


if __name__ == "__main__":
    main()
