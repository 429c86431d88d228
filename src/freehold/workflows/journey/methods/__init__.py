"""How a model becomes a candidate: one file a method.

A new one is a file here, a line in `METHODS`, and a row in `freehold.types.method.METHOD_KINDS`.
"""

from __future__ import annotations

from freehold.types.config import ProjectConfig
from freehold.types.method import MethodName
from freehold.workflows.journey.methods.adapter import TrainedAdapter
from freehold.workflows.journey.methods.as_is import AsIs
from freehold.workflows.journey.methods.method import Bench, Candidate, Made, Method, NotMadeError, engine_of
from freehold.workflows.journey.methods.whole import TrainedWhole

METHODS: dict[MethodName, Method] = {
    method.name: method for method in (TrainedAdapter(), TrainedWhole(), AsIs())
}


def candidates(config: ProjectConfig) -> tuple[Candidate, ...]:
    """The candidates that a project names, each with the method that its ``[train]`` and its engine mean."""
    method: MethodName = "whole" if config.train.method == "full" else "adapter"
    if engine_of(config).brings_weights:
        method = "as_is"
    return tuple(Candidate(model=model, method=method) for model in config.candidates.models)


__all__ = ["METHODS", "Bench", "Candidate", "Made", "Method", "NotMadeError", "candidates"]
