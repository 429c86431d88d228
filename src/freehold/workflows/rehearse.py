"""`freehold rollout rehearse`: a candidate that is bad on purpose, to see that rollback fires.

Runs the real store, route and tests in a folder that is thrown away; no model is asked and no traffic moves.
"""

from __future__ import annotations

import random
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from freehold.store import default_url, open_store
from freehold.types.evaluation import Task
from freehold.types.record import Record, event_id
from freehold.types.route import Route, Target
from freehold.types.trace import Trace
from freehold.workflows import rollout

_ROUTE = "rehearsal"
_BATCH = 25


class Rehearsal(Record, frozen=True, kw_only=True):
    """What happened to a candidate that is wrong `drop` more often than the incumbent."""

    drop: float
    margin: float
    pairs: int
    rolled_back: bool
    why: str


def rehearse(*, margin: float, drop: float, most_pairs: int = 2000, seed: int = 0) -> Rehearsal:
    """Feed mirrored pairs until the route is rolled back, or `most_pairs` have passed."""
    draw = random.Random(seed)
    at = datetime.now(UTC)
    route = Route(
        name=_ROUTE,
        model="incumbent",
        incumbent=Target(endpoint="incumbent"),
        candidate=Target(endpoint="candidate"),
    )
    task = Task(name=_ROUTE, scorer="exact", margin=margin)
    with tempfile.TemporaryDirectory() as folder, open_store(default_url(Path(folder))) as store:
        rollout.start(
            store, route, task=task, stages=(0.5,), shadow_share=1.0, max_p95_ms=None, who="rehearsal", at=at
        )
        pairs = 0
        while True:
            store.add_traces(
                trace
                for number in range(pairs, pairs + _BATCH)
                for trace in _pair(number, at, wrong=draw.random() < drop)
            )
            pairs += _BATCH
            now = rollout.status(store, _ROUTE)
            if now.rollout.state == "rolled_back" or pairs >= most_pairs:
                assert store.routes()[0].state == now.rollout.state
                return Rehearsal(
                    drop=drop,
                    margin=margin,
                    pairs=pairs,
                    rolled_back=now.rollout.state == "rolled_back",
                    why=now.rollout.why,
                )


def _pair(number: int, at: datetime, *, wrong: bool) -> tuple[Trace, Trace]:
    moment = at + timedelta(seconds=number + 1)
    unix_ms = int(moment.timestamp() * 1000)

    def trace(answer: str, arm: str, parent_id: str | None) -> Trace:
        return Trace(
            id=event_id(unix_ms),
            at=moment,
            source="rehearsal",
            model="incumbent",
            request={"messages": [{"role": "user", "content": f"question {number}"}]},
            response={"choices": [{"message": {"role": "assistant", "content": answer}}]},
            route=_ROUTE,
            arm="candidate" if arm == "candidate" else "incumbent",
            share=1.0,
            assignment_key=f"user-{number}",
            parent_id=parent_id,
        )

    own = trace("right", "incumbent", None)
    return own, trace("wrong" if wrong else "right", "candidate", own.id)
