"""A model as it is: on an engine that has it already, nothing is fetched, fitted or trained."""

from __future__ import annotations

from freehold.types.method import MethodName
from freehold.workflows.journey.methods.method import Bench, Candidate, Made
from freehold.workflows.serve.plan import of_config, plan_by_name


class AsIs:
    """See the module."""

    name: MethodName = "as_is"
    step_count = 0
    trains = False

    def make(self, candidate: Candidate, bench: Bench) -> Made:
        """Name the model to the engine."""
        request = of_config(bench.project.config.serve)
        return Made(plan=plan_by_name(candidate.model, request, bench.project.settings))
