"""A model whose weights were all trained: served by itself, under the name an adapter would have."""

from __future__ import annotations

from freehold.types.endpoint import ServePlan
from freehold.types.method import MethodName
from freehold.types.model import Weights
from freehold.types.training import WholeModel
from freehold.workflows.journey.methods.method import Bench, Candidate, Made
from freehold.workflows.journey.methods.training import learn, parity_of
from freehold.workflows.serve.mounts import trained_weights
from freehold.workflows.serve.plan import plan


class TrainedWhole:
    """A `Method`: all weights of the base learn."""

    name: MethodName = "full"
    trains = True

    def make(self, candidate: Candidate, bench: Bench) -> Made:
        """Fetch, fit, train, and compare what is served with what was trained."""
        learned = learn(candidate, bench, WholeModel)
        served = serving_plan(candidate, bench, learned.weights, learned.result)
        return learned.made(served, parity_of(candidate, bench, served, learned))


def serving_plan(candidate: Candidate, bench: Bench, base: Weights, result: WholeModel) -> ServePlan:
    """The trained weights as ``base:app``."""
    weights = trained_weights(base, result, f"{candidate.model}:{bench.project.config.app.name}")
    return plan(weights, bench.request(candidate), bench.project.settings, progress=bench.progress)
