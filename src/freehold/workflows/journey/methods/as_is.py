"""A model as it is, untrained: behind an address, on an engine that has it already, or fetched, fitted and served."""

from __future__ import annotations

from freehold.engines import load
from freehold.types.method import MethodName
from freehold.workflows.journey.methods.method import Bench, Candidate, Made, fetches
from freehold.workflows.journey.methods.training import fitted
from freehold.workflows.serve.plan import plan, plan_by_name


class AsIs:
    """See the module."""

    name: MethodName = "as_is"
    trains = False

    def make(self, candidate: Candidate, bench: Bench) -> Made:
        """Name the model to its engine, or fetch it and check that it fits."""
        request, settings = bench.request(candidate), bench.project.settings
        if not fetches(candidate, bench.project.config):
            return Made(plan=plan_by_name(candidate.model, request, settings))
        load(bench.engine.name).require(request.options, settings)  # not after a long download
        weights, fit = fitted(candidate, bench)
        served = plan(weights, request, settings, name=candidate.model, progress=bench.progress)
        return Made(plan=served, weights=weights, fit=fit)
