"""The contract of a candidate method: how a model becomes something that can be served and judged.

What is the same for every candidate (the ruling before; evaluation, verdict and report after) is in
`freehold.workflows.journey.candidate`. A method is one file here and one line in `METHODS`; see
docs/adding/a-candidate-method.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from freehold.errors import FreeholdError
from freehold.store import Store
from freehold.types.config import ProjectConfig
from freehold.types.dataset import Dataset
from freehold.types.endpoint import ServePlan
from freehold.types.engine import ENGINE_KINDS, EngineKind
from freehold.types.evaluation import Task
from freehold.types.machine import Fit, Machine
from freehold.types.method import MethodName
from freehold.types.model import Weights
from freehold.types.parity import ParityReport
from freehold.types.progress import Progress
from freehold.types.record import Record, content_id
from freehold.types.training import TrainingResult
from freehold.workflows.journey.steps import Steps
from freehold.workflows.project import Project


class Candidate(Record, frozen=True, kw_only=True):
    """A model and the method by which it is made ready."""

    model: str
    method: MethodName

    @property
    def key(self) -> str:
        """Names its steps in the store: two methods on one model are two candidates."""
        return content_id([self.model, self.method])[:8]

    @property
    def short_name(self) -> str:
        """The model without its publisher."""
        return self.model.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Bench:
    """What all candidates of one migration share."""

    project: Project
    store: Store
    steps: Steps
    progress: Progress
    dataset: Dataset
    task: Task
    machine: Machine

    @property
    def engine(self) -> EngineKind:
        """What serves candidates."""
        return engine_of(self.project.config)


def engine_of(config: ProjectConfig) -> EngineKind:
    """What serves a project's candidates: llama.cpp unless it names another engine."""
    engine = config.serve.engine
    return ENGINE_KINDS["llamacpp" if engine == "auto" else engine]


class Made(Record, frozen=True, kw_only=True):
    """What a method made of a candidate: the plan that serves it, and the records it rests on."""

    plan: ServePlan
    weights: Weights | None = None
    fit: Fit | None = None
    trained: TrainingResult | None = None
    parity: ParityReport | None = None
    untrained_model: str | None = None
    """The name under which the base answers besides, to show what training brought."""


class NotMadeError(FreeholdError):
    """A candidate stops here, for a reason the report tells; what was found out so far goes with it."""

    def __init__(self, reason: str, *, weights: Weights | None = None, fit: Fit | None = None) -> None:
        super().__init__(reason)
        self.weights = weights
        self.fit = fit


class Method(Protocol):
    """One way to make a candidate."""

    @property
    def name(self) -> MethodName:
        """As in the report and in `METHODS`."""

    @property
    def step_count(self) -> int:
        """Steps that `make` runs."""

    @property
    def trains(self) -> bool:
        """Whether the result learned from the dataset, so that the ruling must count the data's origin."""

    def make(self, candidate: Candidate, bench: Bench) -> Made:
        """Make the candidate, each step once for the same inputs.

        Raises `NotMadeError` where this candidate ends and others go on, and `FreeholdError`s of the rooms it joins.
        """
