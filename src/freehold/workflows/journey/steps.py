"""Steps of a long workflow: each runs once for the same inputs, and a killed run goes on where it stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from freehold.progress import Progress
from freehold.store import Store
from freehold.types.record import Record, content_id
from freehold.types.report import StepTime
from freehold.workflows.project import now

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Record)


class Steps:
    """Runs steps and remembers, in the store, what each made from which inputs.

    A step's result is a record, kept under the step's name with the hash of its inputs. When the same step comes
    with the same hash again, and `still_there` finds what the record points at, the record is returned and nothing
    runs. `check` is called before each step and before its result is kept; what it raises ends the workflow.
    """

    def __init__(
        self,
        store: Store,
        progress: Progress,
        *,
        fresh: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.times: list[StepTime] = []
        self._store = store
        self._progress = progress
        self._fresh = fresh
        self._check = check

    def finished_at(self, name: str) -> datetime | None:
        """When a step was run last, in this run or an earlier one; None where it never was."""
        return self._store.step_finished_at(name)

    def run(
        self,
        name: str,
        title: str,
        inputs: Any,
        kind: type[R],
        work: Callable[[], R],
        *,
        still_there: Callable[[R], bool] = lambda _: True,
    ) -> R:
        """The step's record: from the store when nothing changed, else from `work`."""
        self._check()
        inputs_hash = content_id([name, inputs])
        kept = None if self._fresh else self._store.step_result(name, inputs_hash, kind)
        if kept is not None and still_there(kept):
            log.info("step %s: unchanged, record %s", name, inputs_hash)
            self._progress.step(self._numbered(title), note="unchanged since the last run")
            self.times.append(StepTime(name=title, seconds=0.0, skipped=True))
            return kept
        self._progress.step(self._numbered(title))
        log.info("step %s: begins", name)
        began = time.monotonic()
        made = work()
        self.times.append(StepTime(name=title, seconds=time.monotonic() - began))
        log.info("step %s: done in %.1f s", name, self.times[-1].seconds)
        self._check()
        self._store.finish_step(name, inputs_hash, made, now())
        return made

    def decide(self, name: str, inputs: Any, kind: type[R], decide: Callable[[], R]) -> R:
        """What was decided before with the same inputs, else what `decide` says now. It is kept, so that a run that
        finds everything unchanged takes the same way, and is not told of as a step."""
        inputs_hash = content_id([name, inputs])
        kept = None if self._fresh else self._store.step_result(name, inputs_hash, kind)
        if kept is not None:
            return kept
        decided = decide()
        self._check()
        self._store.finish_step(name, inputs_hash, decided, now())
        return decided

    def _numbered(self, title: str) -> str:
        return f"[{len(self.times) + 1}] {title}"
