"""Traces and rollouts for tests about shifting traffic."""

from datetime import UTC, datetime, timedelta

import msgspec

from freehold.types.evaluation import Task
from freehold.types.record import event_id
from freehold.types.rollout import RolloutTerms
from freehold.types.route import Route, Target
from freehold.types.trace import Trace
from freehold.types.verdict import EvidenceBasis, Verdict
from freehold.workflows.shift.rollout import rollout

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = START + timedelta(days=1)
ROUTE = Route(
    name="support",
    model="gpt-4o",
    incumbent=Target(endpoint="incumbent"),
    candidate=Target(endpoint="local", model="base:ft"),
)


def trace(number, *, user=None, arm="incumbent", share=0.5, answer="refund", parent_id=None, **more):
    at = START + timedelta(seconds=number + 1)
    values = {
        "id": event_id(int(at.timestamp() * 1000)), "at": at, "source": "gateway", "model": "gpt-4o",
        "request": {"messages": [{"role": "user", "content": f"question {number}"}]},
        "response": {"choices": [{"message": {"role": "assistant", "content": answer}}]}, "route": "support",
        "arm": arm, "share": share, "assignment_key": user or f"user-{number}", "parent_id": parent_id,
        "total_ms": 100.0, **more,
    }  # fmt: skip
    return Trace(**values)


def mirrored(number, *, wrong=False, **more):
    own = trace(number, share=1.0, **more)
    return own, trace(
        number, arm="candidate", parent_id=own.id, answer="other" if wrong else "refund", **more
    )


def promoting(**changes):
    """An offline verdict of today that promotes the candidate of `ROUTE`."""
    values = {
        "id": "v1", "outcome": "promote", "candidate": "base:ft", "incumbent": "i", "reasons": (),
        "evidence": EvidenceBasis(parts={}, made_at={"quality": START}), **changes,
    }  # fmt: skip
    return Verdict(**values)


def begun(store, **changes):
    values = {
        "task": Task(name="support", scorer="exact", margin=0.1),
        "stages": (0.1, 0.5),
        "shadow_share": 1.0,
        **changes,
    }
    at, route = values.pop("at", START), ROUTE
    if (endpoint := values.pop("endpoint", None)) is not None:
        route = msgspec.structs.replace(route, candidate=Target(endpoint=endpoint, model="base:ft"))
    return rollout.start(store, route, RolloutTerms(**values), who="ada", at=at)
