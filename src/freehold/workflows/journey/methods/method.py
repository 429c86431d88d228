"""The contract of a candidate method: how a model becomes something that can be served and judged.

What is the same for every candidate (the ruling before; evaluation, verdict and report after) is in
`freehold.workflows.journey.candidate`. A method is one file here and one line in `METHODS`; see
docs/adding/a-candidate-method.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, get_args

import msgspec

from freehold.errors import FreeholdError, UsageError
from freehold.progress import Progress
from freehold.store import Store
from freehold.types.config import EndpointConfig, FinetuneConfig, MethodSettings, ProjectConfig
from freehold.types.config import Method as TrainMethod
from freehold.types.dataset import Dataset
from freehold.types.encoder import EncoderModel
from freehold.types.endpoint import ServePlan
from freehold.types.engine import EngineKind
from freehold.types.evaluation import Task
from freehold.types.gates import ParityReport
from freehold.types.license import Lineage
from freehold.types.machine import Fit, Machine
from freehold.types.method import METHOD_KINDS, MethodName, candidate_label, short_name
from freehold.types.model import Weights
from freehold.types.record import Record, content_id
from freehold.types.training import Adapter
from freehold.wire.base_url import stem
from freehold.workflows.journey.steps import Steps
from freehold.workflows.license.rule import lineage_of
from freehold.workflows.project import Project
from freehold.workflows.prove.looks import Looks
from freehold.workflows.serve.plan import ServeRequest, names_its_models, of_config


class Candidate(Record, frozen=True, kw_only=True):
    """A model and the method by which it is made ready."""

    model: str
    method: MethodName
    endpoint: str | None = None
    """The one of ``[[endpoints]]`` it runs behind; None where the project's engine serves it."""
    name: str | None = None
    """What tells it from others of the same model and method."""
    settings: MethodSettings = MethodSettings()
    """What it says about its method."""
    train: FinetuneConfig | None = None
    """``[train]`` as it is for this candidate; None where nothing in it is its own."""

    @property
    def key(self) -> str:
        """Names its steps in the store: two methods on one model, or one with two settings, are two candidates."""
        return content_id(self)[:8]

    @property
    def label(self) -> str:
        """What tells it from all others of a project."""
        return candidate_label(self.model, self.method, self.endpoint, self.name)

    def as_reported(self) -> dict[str, Any]:
        """Its fields in a report."""
        said = {
            name: value for name, value in msgspec.structs.asdict(self.settings).items() if value is not None
        }
        if self.train is not None:
            said["train"] = msgspec.to_builtins(self.train)
        return {
            "model": self.model,
            "method": self.method,
            "endpoint": self.endpoint,
            "name": self.name,
            "settings": msgspec.to_builtins(said),
        }

    @property
    def short_name(self) -> str:
        """The model without its publisher, with what tells it from others of that model."""
        return short_name(self.model, self.name)

    def training(self, config: ProjectConfig) -> FinetuneConfig:
        """The options it is trained with."""
        options = self.train or config.train
        if self.method in get_args(TrainMethod) and options.method != self.method:
            return msgspec.structs.replace(options, method=self.method)
        return options


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
    only_one: bool = False
    """There is one candidate: what keeps it from being made ends the journey, with the error's own hint."""
    minutes: float | None = None
    """For training a candidate, infinite where nothing limits it; None: as it was trained before, it stands."""
    looks: Looks | None = None
    """The look that its caller has planned; None: as `[task] looks` says."""

    def limited(self, minutes: float | None) -> float | None:
        """The smaller of the minutes that a candidate's own options say, and of those that are left; None: no limit."""
        found = min(
            math.inf if minutes is None else minutes, math.inf if self.minutes is None else self.minutes
        )
        return None if math.isinf(found) else found

    @property
    def engine(self) -> EngineKind:
        """What serves candidates that run here."""
        return self.project.config.engine

    def request(self, candidate: Candidate) -> ServeRequest:
        """How a candidate is served: behind its endpoint, else by what ``[serve]`` says."""
        config = self.project.config
        request = msgspec.structs.replace(of_config(config.serve), engine=self.engine.name)
        if candidate.endpoint is None:
            return request
        return behind(request, endpoint_of(config, candidate.endpoint))


def fetches(candidate: Candidate, config: ProjectConfig) -> bool:
    """Whether a candidate's weights are fetched and served here; otherwise an engine is asked for it by name."""
    return candidate.endpoint is None and not names_its_models(candidate.model, config.engine.name)


def lineage_behind(candidate: Candidate, dataset: Dataset) -> Lineage | None:
    """What it would be made of; None where it learns from nothing and is shown nothing."""
    kind = METHOD_KINDS[candidate.method]
    if not (kind.trains or kind.shows_answers):
        return None
    return lineage_of(candidate.model, dataset, shown=kind.shows_answers)


def endpoint_of(config: ProjectConfig, name: str) -> EndpointConfig:
    """The one of ``[[endpoints]]`` with this name. Raises `UsageError` where there is none."""
    for one in config.endpoints:
        if one.name == name:
            return one
    raise UsageError(f"no endpoint {name}", hint="add [[endpoints]] with that name and its base_url")


def behind(request: ServeRequest, endpoint: EndpointConfig) -> ServeRequest:
    """The request for a model that runs behind an endpoint."""
    options = {"base_url": stem(endpoint.base_url), "api": endpoint.api}
    if endpoint.api_key_env is not None:
        options["api_key_env"] = endpoint.api_key_env
    return msgspec.structs.replace(
        request,
        engine="remote",
        options=options,
        context_tokens=endpoint.context_tokens or request.context_tokens,
    )


class Made(Record, frozen=True, kw_only=True):
    """What a method made of a candidate: the plan that serves it, and the records it rests on."""

    plan: ServePlan
    judged: ServePlan | None = None
    """What answers the selection split in its place, where it learned that, too: the same before it did."""
    weights: Weights | None = None
    fit: Fit | None = None
    trained: Adapter | None = None
    encoder: EncoderModel | None = None
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
    def trains(self) -> bool:
        """Whether the result learned from the dataset, so that the ruling must count the data's origin."""

    def make(self, candidate: Candidate, bench: Bench) -> Made:
        """Make the candidate, each step once for the same inputs.

        Raises `NotMadeError` where this candidate ends and others go on, and `FreeholdError`s of the rooms it joins.
        """
