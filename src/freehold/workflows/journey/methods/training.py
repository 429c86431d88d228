"""Steps that methods have in common: weights, fit, training, parity."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec

from freehold import __version__
from freehold.datasets import building
from freehold.engines import load
from freehold.errors import UnknownModelError, WeightsError
from freehold.settings import Settings
from freehold.types.config import ServeConfig
from freehold.types.endpoint import ServePlan
from freehold.types.gates import ParityReport
from freehold.types.machine import Fit, Machine, Workload
from freehold.types.method import MethodName
from freehold.types.model import Weights
from freehold.types.training import Adapter
from freehold.workflows.fit.fit import fit_model
from freehold.workflows.journey.methods.method import Bench, Candidate, Made, NotMadeError
from freehold.workflows.prove.evidence_basis import engine_part
from freehold.workflows.prove.parity import MOST_PROMPTS, parity
from freehold.workflows.serve.plan import plan
from freehold.workflows.train.train import train
from freehold.workflows.weights.pull import ensure_weights
from freehold.workflows.weights.trained import trained_adapter


@dataclass(frozen=True, slots=True)
class TrainedBase:
    """What training left of a candidate, with the weights it began from."""

    weights: Weights
    fit: Fit
    result: Adapter

    def made(self, plan: ServePlan, parity: ParityReport, *, untrained_model: str | None = None) -> Made:
        """It as it is served by `plan`."""
        return Made(
            plan=plan,
            weights=self.weights,
            fit=self.fit,
            trained=self.result,
            parity=parity,
            untrained_model=untrained_model,
        )


def learn(candidate: Candidate, bench: Bench) -> TrainedBase:
    """Fetch the base, check that it fits, train it.

    Raises `NotMadeError` where there is no such base, or no room.
    """
    # Not an hour later, after the training.
    load(bench.engine.name).require(bench.project.config.serve.options, bench.project.settings)
    weights, fit = fitted(candidate, bench)
    return TrainedBase(weights, fit, _train(candidate, bench, weights))


def fitted(candidate: Candidate, bench: Bench) -> tuple[Weights, Fit]:
    """Fetch the weights and check that they fit. Raises `NotMadeError` where there are none, or no room."""
    try:
        weights = weights_of(candidate, bench)
    except (UnknownModelError, WeightsError) as error:
        if bench.only_one:
            raise
        raise NotMadeError(error.message) from None
    fit = _fit(candidate, bench, weights)
    if not fit.fits:
        reason = "; ".join(fit.reasons) or "it does not fit this machine"
        raise NotMadeError(reason, weights=weights, fit=fit)
    return weights, fit


def parity_of(candidate: Candidate, bench: Bench, plan: ServePlan, learned: TrainedBase) -> ParityReport:
    """Whether the engine serves what was trained. Where it doesn't, the evaluation still runs, and the verdict
    holds: what was measured is then not what was trained."""
    weights, result = learned.weights, learned.result
    found = bench.steps.run(
        f"parity:{candidate.key}",
        f"{candidate.short_name}: is it served as it was trained?",
        [
            plan.identity,
            engine_part(plan),
            weights.sha256,
            result.id,
            bench.dataset.id,
            bench.task,
            __version__,
        ],
        ParityReport,
        lambda: parity(
            bench.project,
            plan=msgspec.structs.replace(plan, port=0),
            weights=weights,
            adapter_path=result.path,
            samples=list(islice(building.samples(bench.dataset, "held_out"), MOST_PROMPTS)),
            progress=bench.progress,
            task=bench.task,
        ),
    )
    if not found.passed:
        bench.progress.say(found.check_result().text)
    return found


def weights_of(candidate: Candidate, bench: Bench) -> Weights:
    """A candidate's weights, fetched where they are not here."""
    settings = bench.project.settings
    return bench.steps.run(
        f"weights:{candidate.key}",
        f"{candidate.short_name}: get the weights",
        [candidate.model, str(settings.home)],
        Weights,
        lambda: ensure_weights(candidate.model, settings, progress=bench.progress),
        still_there=lambda weights: (
            weights.format == "words" or (weights.path is not None and Path(weights.path).exists())
        ),
    )


def _fit(candidate: Candidate, bench: Bench, weights: Weights) -> Fit:
    serve, machine = bench.project.config.serve, bench.machine
    fit = bench.steps.run(
        f"fit:{candidate.key}",
        f"{candidate.short_name}: does it fit?",
        [weights.sha256, serve, machine.name, machine.memory_bytes, __version__],
        Fit,
        lambda: served_fit(candidate.model, serve, machine, bench.project.settings, weights),
    )
    bench.store.put(fit)
    return fit


def served_fit(
    model: str, serve: ServeConfig, machine: Machine, settings: Settings, weights: Weights | None = None
) -> Fit:
    """Whether a model fits as ``[serve]`` asks for it. Raises as `fit_model`."""
    workload = Workload(context_tokens=serve.context_tokens, concurrency=serve.parallel)
    return fit_model(model, weights=weights, workload=workload, machine=machine, settings=settings)


def _train(candidate: Candidate, bench: Bench, weights: Weights) -> Adapter:
    config = bench.project.config
    options = candidate.training(config)
    minutes = bench.limited(options.max_minutes)

    def work() -> Adapter:
        return train(
            config=msgspec.structs.replace(options, max_minutes=minutes),
            dataset=bench.dataset,
            base=weights,
            out_dir=bench.project.state / "adapters",
            name=config.app.name,
            settings=bench.project.settings,
            progress=bench.progress,
        )

    result = bench.steps.run(
        f"train:{candidate.key}",
        f"{candidate.short_name}: learn the task",
        [weights.sha256, bench.dataset.id, options],
        Adapter,
        work,
        still_there=lambda result: (
            (bench.minutes is None or _had_time(result.config.max_minutes, minutes))
            and all((Path(result.path) / file).exists() for file in result.files)
        ),
    )
    bench.store.put(result, made_from=result.made_from)
    return result


def _had_time(given: float | None, wanted: float | None) -> bool:
    """Whether a training had at least as many minutes as it would have now."""
    return given is None or (wanted is not None and wanted <= given)


@dataclass(frozen=True, slots=True)
class TrainedAdapter:
    """A `Method`: the base learns by an adapter, in one of the ways of ``[train] method``."""

    name: MethodName
    trains: bool = True

    def make(self, candidate: Candidate, bench: Bench) -> Made:
        """Fetch, fit, train, and compare what is served with what was trained."""
        learned = learn(candidate, bench)
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
