"""A base with an adapter that learned the task: LoRA and its kin."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from freehold.types.endpoint import ServePlan
from freehold.types.method import MethodName
from freehold.types.model import Weights
from freehold.types.training import Adapter
from freehold.workflows.journey.methods.method import Bench, Candidate, Made
from freehold.workflows.journey.methods.training import learn, parity_of
from freehold.workflows.serve.mounts import trained_adapter
from freehold.workflows.serve.plan import plan


@dataclass(frozen=True, slots=True)
class TrainedAdapter:
    """A `Method`: the base learns by an adapter, in one of the ways of ``[train] method``."""

    name: MethodName
    trains: bool = True

    def make(self, candidate: Candidate, bench: Bench) -> Made:
        """Fetch, fit, train, and compare what is served with what was trained."""
        learned = learn(candidate, bench, Adapter)
        served = serving_plan(candidate, bench, learned.weights, learned.result)
        parity = parity_of(candidate, bench, served, learned)
        return learned.made(served, parity, untrained_model=served.model if served.adapters else None)


def serving_plan(candidate: Candidate, bench: Bench, base: Weights, adapter: Adapter) -> ServePlan:
    """The base under the name the project gave it, the adapter as ``base:app``; one that must be merged by itself."""
    name = f"{candidate.model}:{bench.project.config.app.name}"
    mount = trained_adapter(adapter, name, bench.engine)
    made = plan(
        base, bench.request(candidate), bench.project.settings, adapters=(mount,), progress=bench.progress
    )
    return msgspec.structs.replace(made, model=candidate.model if made.adapters else name)
