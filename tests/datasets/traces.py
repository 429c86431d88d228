"""Traces to build datasets from."""

from datetime import UTC, datetime

from freehold.datasets import building
from freehold.datasets.building import make_samples
from freehold.datasets.sampling import Recipe
from freehold.types.trace import Trace


def trace(number, text=None, *, group=None, gold="yes", answer="yes", **metadata):
    return Trace(
        id=f"t{number}",
        at=datetime(2026, 1, 1, tzinfo=UTC),
        source="test",
        model="m",
        request={"messages": [{"role": "user", "content": text or f"question {number}"}]},
        response=None
        if answer is None
        else {"choices": [{"message": {"role": "assistant", "content": answer}}]},
        conversation_id=group,
        gold=gold,
        metadata=metadata,
    )


def write(tmp_path, traces, **recipe):
    made = Recipe(**recipe)
    built = make_samples(traces, made)
    building.require(built, ("train", "held_out"))
    return building.write(
        built, made, name="x", root=tmp_path, made_from=("traces:1",), version="0", incumbent_model="m"
    )
