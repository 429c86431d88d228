"""The process next to a running gateway that looks at rollouts and at `freehold.toml`.

Started and kept running by `freehold up`, so that a rollback needs no person to watch. It scores mirrored
pairs, feeds the tests, rolls back, and carries changed routes of `freehold.toml` over into the store. Of several
machines on one store only one looks at a time; another takes over when it is gone.

Run as ``python -m freehold.workflows.shift.observer`` with a JSON object (`ObserverConfig`) on stdin; it ends when
stdin is closed, which is also what happens when the process that started it dies.
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

from freehold import files, logs
from freehold.errors import ConfigError, FreeholdError, StorageError
from freehold.gateway.telemetry.log_file import follow_log_file
from freehold.store import Store, audit, leases, open_store
from freehold.types.audit import change_source
from freehold.types.config import ProjectConfig
from freehold.types.rollout import Rollout, RouteAlarm
from freehold.workflows.project import file_state, open_project
from freehold.workflows.shift import alarms, routes, swapping
from freehold.workflows.shift.following import LEASE, ObserverConfig
from freehold.workflows.shift.lookout import Lookout, moves_back
from freehold.workflows.shift.rollout import rollout

log = logging.getLogger("freehold.observer")
FILE_EVERY_S = 0.5
LOOK_EVERY_S = 2.0
LEASE_SECONDS = 30.0
_DONE = {"none": "", "rolled_back": ": rolled back", "generation_back": swapping.BACK}


class Observer:
    """Looks until it is stopped. Everything it learns is in the store, so it may die at any moment."""

    def __init__(self, config: ObserverConfig) -> None:
        self._config = config
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        self._file_state: tuple[int, int] | None = None
        self._next_look = 0.0
        self._last_error_message = ""
        spool = config.spool_folder
        self._lookout = None if spool is None else Lookout(Path(spool))

    def run(self, stopping: threading.Event) -> None:
        """Look, sleep, look again. A store that is locked or gone is tried again, and logged once."""
        store: Store | None = None
        try:
            while not stopping.is_set():
                try:
                    store = store or open_store(self._config.store_url)
                    self.step(store)
                    self._last_error_message = ""
                except FreeholdError as error:
                    if error.message != self._last_error_message:
                        log.warning("%s", error.message)
                    self._last_error_message = error.message
                    if store is not None and isinstance(error, StorageError):
                        store.close()
                        store = None
                stopping.wait(FILE_EVERY_S)
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
        # Where a candidate answers people, twice as often: each look more is users less that a bad one hurts.
        serves = any(route.state in ("canary", "promoted") for route in store.routes())
        self._next_look = time.monotonic() + LOOK_EVERY_S / (1 + serves)
        self._look_out(store)
        self._go_back_from_fallen(store)
        live = routes.live_rollouts(store)
        if not live:
            return
        now = datetime.now(UTC)
        if not leases.take(store.database, LEASE, self._owner, at=now, seconds=LEASE_SECONDS):
            log.debug("another observer looks at the rollouts of this store")
            return
        for watched in live:
            try:
                stepped = rollout.step(store, watched.route).rollout
            except StorageError:
                raise
            except FreeholdError as error:
                log.warning("rollout of %s: %s", watched.route, error.message)
                continue
            if stepped.state == "rolled_back":
                log.warning("route %s rolled back: %s", stepped.route, stepped.why)
                self._send_alarm(stepped.route, stepped.why)

    def _look_out(self, store: Store) -> None:
        """Tell what the numbers of this machine's gateways say: each machine has an observer for that."""
        if self._lookout is None:
            return
        limits = {one.route: one.max_p95_ms for one in store.records(Rollout) if one.max_p95_ms is not None}
        told = self._lookout.look(store, at=datetime.now(UTC), limits_ms=limits)
        actions = {alarm.key: self._move_back(store, alarm) for alarm in self._lookout.open}
        for alarm in told:
            if alarm.over_at is None:
                action = actions[alarm.key]
                log.warning("%s%s", alarm.why, _DONE[action])
                why = alarm.why + swapping.BACK * (action == "generation_back")
                self._send_alarm(alarm.route, why, kind="trouble", action=action)
            else:
                log.warning("over since %s: %s", alarm.over_at, alarm.why)
                self._send_alarm(alarm.route, f"over: {alarm.why}", kind="trouble_over", action="none")
        for alarm in self._lookout.open:
            action = actions[alarm.key]
            if action != "none" and alarm not in told:  # what is to answer instead did not before
                log.warning("%s%s", alarm.why, _DONE[action])
                self._send_alarm(alarm.route, alarm.why, action=action)

    def _move_back(self, store: Store, alarm: RouteAlarm) -> str:
        """Let the incumbent answer in a candidate's place where an alarm is for that, or the generation before it where
        it is watched since a swap; what was done.

        From a canary it goes back at once. A promoted candidate's requests go back where the incumbent answers a health
        check, and ``[watch] on_alarm`` does not say that nothing moves.
        """
        route = next((one for one in store.routes() if one.name == alarm.route), None)
        if route is None or not moves_back(alarm) or route.state not in ("canary", "promoted"):
            return "none"
        at = datetime.now(UTC)
        if route.state == "promoted" and self._on_alarm() == "report":
            return "none"
        if swapping.has_just_gone_back(store, route.name, at=at):
            return "none"
        if swapping.back(store, route.name, who="freehold", at=at, why=alarm.why):
            store.put(msgspec.structs.replace(alarm, over_at=at))  # another one answers from here on
            return "generation_back"
        if route.state == "promoted":
            assert self._lookout is not None
            answers = self._lookout.answers.get(route.incumbent.endpoint, False)
            if not answers:
                return "none"
        rollout.rollback_route(store, route.name, who="freehold", at=at, why=alarm.why)
        return "rolled_back"

    def _go_back_from_fallen(self, store: Store) -> None:
        """A watched generation whose engine cannot be held goes back at once."""
        fallen = swapping.fallen(store)
        for name, why in fallen.items() if self._on_alarm() != "report" else ():
            if swapping.back(store, name, who="freehold", at=datetime.now(UTC), why=why):
                log.warning("%s%s", why, _DONE["generation_back"])
                self._send_alarm(name, why + swapping.BACK, action="generation_back")

    def _on_alarm(self) -> str:
        path = self._config.config_path
        return "auto" if path is None else self._config_in(Path(path), looks=True).watch.on_alarm

    def _config_in(self, path: Path, *, looks: bool = False) -> ProjectConfig:
        return open_project(path, looks=looks, changes=self._config.changes).config

    def _send_alarm(
        self, route: str, why: str, *, kind: alarms.AlarmKind = "rolled_back", action: str = "rolled_back"
    ) -> None:
        """Send an alarm to the hooks of ``[watch]``: at two in the morning no screen is read."""
        path = self._config.config_path
        if path is None:
            return
        # Of a file that was changed since, too: this process holds no variable that was not agreed to.
        config = self._config_in(Path(path), looks=True)
        alarm = alarms.Alarm(
            kind=kind,
            app=config.app.name,
            route=route,
            at=datetime.now(UTC),
            why=why,
            action=action,
        )
        for problem in alarms.send_alarm(alarm, config.watch):
            log.warning("%s", problem)

    def _follow_file(self, store: Store) -> None:
        path = self._config.config_path
        state = file_state(path)
        if path is None or state is None or state == self._file_state:
            return
        self._file_state = state
        try:
            changed = routes.carry_over(
                store, self._config_in(Path(path)), at=datetime.now(UTC), say=log.warning
            )
        except ConfigError as error:
            log.warning("%s; its routes stay as they were", error.message)
            return
        if changed:
            log.warning("routes carried over from %s: %s", path, ", ".join(changed))


def main() -> None:
    files.keep_private()
    logs.configure()
    # A Ctrl-C in the terminal is for the process that started this one, which passes it on by closing stdin.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    follow_log_file()
    with contextlib.suppress(OSError):
        os.nice(5)
    line = sys.stdin.buffer.readline()
    if not line:
        return
    stopping = threading.Event()
    change_source.set(audit.this_machine("observer"))

    def until_hung_up() -> None:
        while os.read(0, 4096):
            continue
        stopping.set()

    threading.Thread(target=until_hung_up, name="lifeline", daemon=True).start()
    Observer(msgspec.json.decode(line, type=ObserverConfig)).run(stopping)


if __name__ == "__main__":
    main()
