"""How a model becomes a candidate: one file a method.

A new one is a file here, a line in `METHODS`, and a row in `freehold.types.method.METHOD_KINDS`.
"""

from __future__ import annotations

from freehold.errors import UsageError
from freehold.types.config import CandidateConfig, MethodSettings, ProjectConfig
from freehold.types.method import MethodName
from freehold.workflows.journey.methods.as_is import AsIs, OwnPrompt
from freehold.workflows.journey.methods.encoder import TrainedEncoder
from freehold.workflows.journey.methods.examples import WithExamples
from freehold.workflows.journey.methods.method import (
    Bench,
    Candidate,
    Made,
    Method,
    NotMadeError,
    fetches,
)
from freehold.workflows.journey.methods.training import TrainedAdapter

METHODS: dict[MethodName, Method] = {
    method.name: method
    for method in (
        AsIs(),
        OwnPrompt(),
        WithExamples(),
        TrainedEncoder(),
        TrainedAdapter("lora"),
        TrainedAdapter("qlora"),
    )
}


def candidates(config: ProjectConfig) -> tuple[Candidate, ...]:
    """The candidates that a project names, each with its method; the default model where it names none."""
    return tuple(candidate_of(config, one) for one in config.named)


def candidate_of(config: ProjectConfig, said: CandidateConfig) -> Candidate:
    """The candidate that a ``[[candidates]]`` table means."""
    own = {name: getattr(said, name) for name in MethodSettings.__struct_fields__}
    return Candidate(
        model=said.model,
        method=config.method_of(said),
        endpoint=said.endpoint,
        name=said.name,
        settings=MethodSettings(**own),
        train=config.train_of(said) if said.train else None,
    )


def method_named(name: MethodName) -> Method:
    """The method of that name. Raises `UsageError` for one that this version has not."""
    if name not in METHODS:
        raise UsageError(f"method {name} is not in this version", hint=f"known: {', '.join(METHODS)}")
    return METHODS[name]


__all__ = [
    "METHODS",
    "Bench",
    "Candidate",
    "Made",
    "Method",
    "NotMadeError",
    "candidate_of",
    "candidates",
    "fetches",
    "method_named",
]
