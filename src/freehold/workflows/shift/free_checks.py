"""What words show for nothing: answers that are empty, or of a promoted candidate in another language than asked.

A promoted candidate is judged against what it did before: a task may want empty answers, or translations. Only captured
traces have words.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from freehold.datasets.sampling import answer_of
from freehold.deferring.request_text import request_text
from freehold.stats.drift import USUAL_FAILURES
from freehold.store import Store
from freehold.types.route import Route
from freehold.types.trace import Trace
from freehold.workflows.choose.needs import language_of

Check = Literal["empty", "language"]
_OF_OTHERS: dict[Check, float] = {"empty": 0.25}
"""Of an incumbent, which nothing was known of before, only what hardly a task wants."""
_BASELINE_TRACES = 200
_PAGE = 200
_SLOWER_TIMES = 3.0
_FEWEST_TIMES = 20


class _Watched(NamedTuple):
    limits: dict[Check, float]
    slow_ms: float | None
    """Three times its 95th percentile before it was promoted."""


class Judged(NamedTuple):
    """What a check is about: a route, empty where none was named, and who answered."""

    route: str
    arm: Literal["candidate", "incumbent"]
    check: Check


class Checked(NamedTuple):
    """Answers that a check could judge, those of them that failed it, and the share that is usual here."""

    answers: int
    failed: int
    usual: float


class FreeChecks:
    """Follows the traces of a store from its first look on, and promoted candidates from when it sees that they are."""

    def __init__(self) -> None:
        self._cursor: int | None = None
        self._watched: dict[tuple[str, int], _Watched] = {}

    def look(self, store: Store, routes: Iterable[Route]) -> dict[Judged, Checked]:
        """What the newest traces since the last look show. Raises `StoreError`."""
        promoted = {(route.name, route.revision): route for route in routes if route.state == "promoted"}
        self._watched = {
            key: self._watched.get(key) or _baseline(store, route) for key, route in promoted.items()
        }
        usual = {name: watched.limits for (name, _), watched in self._watched.items()}
        newest = store.newest_trace().place
        since, self._cursor = self._cursor, newest
        if since is None or since == newest:
            return {}
        found: dict[Judged, Checked] = {}
        for _, trace in store.traces_after(max(since, newest - _PAGE), most=_PAGE, complete_only=False):
            own = trace.arm == "candidate" and trace.route in usual
            limits = usual[trace.route or ""] if own else _OF_OTHERS
            for check, limit in limits.items():
                if (failed := _fails(check, trace)) is not None:
                    key = Judged(trace.route or "", trace.arm, check)
                    before = found.get(key, Checked(0, 0, limit))
                    found[key] = Checked(before.answers + 1, before.failed + failed, limit)
        return found

    def slow_ms(self, route: str) -> float | None:
        """How late an answer of a route's promoted candidate is, by what it was before."""
        return next((one.slow_ms for (name, _), one in self._watched.items() if name == route), None)


def _baseline(store: Store, route: Route) -> _Watched:
    """What was usual until the route was moved last; what goes on now may be the fault that is looked for."""
    change = next(reversed(store.route_history(route.name)), None)
    until = None if change is None else change.at
    recent = store.latest_traces(_BASELINE_TRACES, route=route.name, until=until, complete_only=False)
    own = [trace for trace in recent if trace.arm == "candidate"]
    limits: dict[Check, float] = {}
    checks: tuple[Check, ...] = ("empty", "language")
    for check in checks:
        judged = [one for trace in own if (one := _fails(check, trace)) is not None]
        share = sum(judged) / len(judged) if judged else 0.0
        if (limit := USUAL_FAILURES + 2 * share) < 1:
            limits[check] = limit
    times = sorted(trace.total_ms for trace in own if trace.total_ms is not None)
    slow_ms = _SLOWER_TIMES * times[len(times) * 95 // 100] if len(times) >= _FEWEST_TIMES else None
    return _Watched(limits, slow_ms)


def _fails(check: Check, trace: Trace) -> bool | None:
    """Whether an answer to a client fails a check; None where it cannot be judged."""
    if trace.parent_id is not None or trace.fallback is not None:
        return None
    if trace.kind != "chat" or trace.completeness != "complete" or trace.status >= 400:
        return None
    answer = (answer_of(trace) or "").strip()
    if check == "empty":
        return not answer
    asked, said = language_of(request_text(trace.request)), language_of(answer)
    return None if asked is None or said is None else asked != said
