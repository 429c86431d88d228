"""One candidate's way through a migration: ruling, weights, fit, training, parity, evaluation, verdict.

It stops, with a reason for the report, where the licence forbids the use, the weights cannot be had, or the machine is
too small. Engines that bring their own weights (`remote`, the shipped `echo`) are judged as they are: nothing is
fetched, fitted or trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import anyio
import msgspec

from freehold import __version__, verdict
from freehold.datasets import building
from freehold.engines import start
from freehold.errors import EngineError, UnknownModelError, WeightsError
from freehold.evals.frozen import read_frozen
from freehold.store import Store
from freehold.types.dataset import Dataset
from freehold.types.endpoint import AdapterMount, EngineName, ServePlan
from freehold.types.evaluated import Evaluation
from freehold.types.evaluation import Task
from freehold.types.machine import Fit, Machine, Workload
from freehold.types.model import Weights
from freehold.types.parity import ParityReport
from freehold.types.progress import Progress
from freehold.types.record import content_id
from freehold.types.report import CandidateReport
from freehold.types.ruling import Ruling
from freehold.types.training import Adapter
from freehold.workflows.evaluate import Looks, evaluate, frozen_file, keep
from freehold.workflows.fit import fit_model
from freehold.workflows.license import lineage_of, rule_for_model
from freehold.workflows.parity import parity
from freehold.workflows.project import Project
from freehold.workflows.pull import ensure_weights
from freehold.workflows.serve import plan_for, require_engine
from freehold.workflows.steps import Steps
from freehold.workflows.train import train
from freehold.workflows.weights_convert import to_safetensors
from freehold.workflows.weights_merge import merged

UNTRAINED_SAMPLES = 40
"""Held-out samples the base is asked without its adapter: enough to show what training brought."""

PARITY_PROMPTS = 8
"""Held-out prompts put to the trainer's model and to the served one: a wrong template or a missing adapter shows in
the first few."""

STEPS_TRAINED, STEPS_AS_IS = 6, 2


class Tried(NamedTuple):
    """What became of a candidate, and the plan that serves it when there is one."""

    report: CandidateReport
    plan: ServePlan | None


@dataclass(frozen=True, slots=True)
class Candidates:
    """What all candidates of one migration share."""

    project: Project
    store: Store
    steps: Steps
    progress: Progress
    dataset: Dataset
    task: Task
    machine: Machine

    @property
    def engine(self) -> EngineName:
        return engine_of(self.project)

    @property
    def brings_weights(self) -> bool:
        return brings_weights(self.project)

    @property
    def planned_looks(self) -> int:
        """Evaluations of the same items that were planned: each candidate is one. Alpha is divided among them
        (Bonferroni), so that the promise holds for all of them together."""
        return self.project.config.task.looks * len(self.project.config.candidates.models)

    def attempt(self, model: str) -> Tried:
        """Take one model from its ruling to a verdict."""
        report = CandidateReport(model=model, ruling=self._rule(model))
        assert report.ruling is not None
        if report.ruling.outcome in {"not_allowed", "needs_separate_license"}:
            outcome = report.ruling.outcome.replace("_", " ")
            return _stopped(report, f"the licence does not permit this use ({outcome})")
        if self.brings_weights:
            return self._judge(report, self._plan(model))
        require_engine(
            self.engine, self.project.config.serve.options
        )  # not an hour later, after the training
        try:
            weights = self._weights(model)
        except (UnknownModelError, WeightsError) as error:
            if len(self.project.config.candidates.models) == 1:
                raise
            return _stopped(report, error.message)
        fit = self._fit(model, weights)
        report = msgspec.structs.replace(report, weights=weights, fit=fit)
        if not fit.fits:
            return _stopped(report, "; ".join(fit.reasons) or "it does not fit this machine")
        adapter = self._train(model, weights)
        plan = self._plan(model, weights, adapter)
        report = msgspec.structs.replace(
            report, adapter=adapter, parity=self._parity(model, plan, weights, adapter)
        )
        return self._judge(report, plan)

    def _rule(self, model: str) -> Ruling:
        use = self.project.config.use
        lineage = None if self.brings_weights else lineage_of(model, self.dataset)
        ruling = self.steps.run(
            f"ruling:{_key(model)}",
            f"{_short(model)}: may we use it?",
            [model, use, lineage, __version__],
            Ruling,
            lambda: rule_for_model(model, use, lineage=lineage),
        )
        self.store.put(ruling)
        return ruling

    def _weights(self, model: str) -> Weights:
        settings = self.project.settings
        return self.steps.run(
            f"weights:{_key(model)}",
            f"{_short(model)}: get the weights",
            [model, str(settings.home)],
            Weights,
            lambda: ensure_weights(model, settings, progress=self.progress),
            still_there=lambda weights: weights.path is not None and Path(weights.path).exists(),
        )

    def _fit(self, model: str, weights: Weights) -> Fit:
        serve = self.project.config.serve
        fit = self.steps.run(
            f"fit:{_key(model)}",
            f"{_short(model)}: does it fit?",
            [weights.sha256, serve, self.machine.name, self.machine.memory_bytes, __version__],
            Fit,
            lambda: fit_model(
                model,
                weights=weights,
                workload=Workload(context_tokens=serve.context_tokens, concurrency=serve.parallel),
                machine=self.machine,
                settings=self.project.settings,
            ),
        )
        self.store.put(fit)
        return fit

    def _train(self, model: str, weights: Weights) -> Adapter:
        config = self.project.config
        adapter = self.steps.run(
            f"train:{_key(model)}",
            f"{_short(model)}: learn the task",
            [weights.sha256, self.dataset.id, config.train],
            Adapter,
            lambda: train(
                config=config.train,
                dataset=self.dataset,
                base=weights,
                out_dir=self.project.state / "adapters",
                name=config.app.name,
                settings=self.project.settings,
                progress=self.progress,
                cluster=config.cluster,
            ),
            still_there=lambda adapter: all((Path(adapter.path) / file).exists() for file in adapter.files),
        )
        self.store.put(adapter, made_from=adapter.made_from)
        return adapter

    def _plan(self, model: str, weights: Weights | None = None, adapter: Adapter | None = None) -> ServePlan:
        """How the candidate is served: the base under its own name, an adapter as ``base:app``."""
        serve = self.project.config.serve
        mounts: tuple[AdapterMount, ...] = ()
        name = f"{model}:{self.project.config.app.name}"
        whole = adapter.files.get("model.gguf") if adapter is not None else None
        if adapter is not None and weights is not None and whole is not None:
            # All weights were trained: a model of its own, served under the name an adapter would have.
            path = str((Path(adapter.path) / "model.gguf").absolute())
            weights = msgspec.structs.replace(weights, path=path, sha256=whole, quantization="Q8_0")
            model = name
        elif adapter is not None and weights is not None and adapter.config.use_dora:
            mount = AdapterMount(
                name=name, path=str(Path(adapter.path).absolute()), base_sha256=adapter.base_sha256
            )
            weights = merged(
                weights, mount, self.project.settings, engine=self.engine, progress=self.progress
            )
            model = name
        elif adapter is not None:
            # vLLM reads the folder that PEFT writes, everybody else the GGUF in it.
            gguf = next((name for name in adapter.files if name.endswith(".gguf")), None)
            if self.engine == "vllm":
                gguf = ""
            if gguf is None:
                raise EngineError(
                    f"adapter {adapter.id} has no GGUF file, which {self.engine} needs",
                    hint="train it again: freehold migrate --fresh",
                )
            path = str((Path(adapter.path) / gguf).absolute())
            mounts = (
                AdapterMount(name=name, path=path, adapter_id=adapter.id, base_sha256=adapter.base_sha256),
            )
        if weights is not None and self.engine == "vllm":
            weights = to_safetensors(weights, self.project.settings, progress=self.progress)
        if weights is not None:
            # Knows the chat template of weights that carry none, and the hash adapters are checked against.
            planned = plan_for(
                weights,
                engine=self.engine,
                adapters=mounts,
                context_tokens=serve.context_tokens,
                parallel=serve.parallel,
                threads=self.project.settings.threads,
                options=serve.options,
            )
            return msgspec.structs.replace(planned, model=model)
        return ServePlan(
            engine=self.engine,
            model=model,
            adapters=mounts,
            context_tokens=serve.context_tokens,
            parallel=serve.parallel,
            threads=self.project.settings.threads,
            options=serve.options,
        )

    def _parity(self, model: str, plan: ServePlan, weights: Weights, adapter: Adapter) -> ParityReport:
        """Whether the engine serves what was trained. Where it doesn't, the evaluation still runs, and the verdict
        holds: what was measured is then not what was trained."""
        found = self.steps.run(
            f"parity:{_key(model)}",
            f"{_short(model)}: is it served as it was trained?",
            [plan, weights.sha256, adapter.id, self.dataset.id, self.task, __version__],
            ParityReport,
            lambda: parity(
                self.project,
                plan=msgspec.structs.replace(plan, port=0),
                weights=weights,
                adapter_path=adapter.path,
                samples=list(islice(building.samples(self.dataset, "held_out"), PARITY_PROMPTS)),
                progress=self.progress,
                task=self.task,
            ),
        )
        if not found.passed:
            self.progress.say(found.finding().text)
        return found

    def _judge(self, report: CandidateReport, plan: ServePlan) -> Tried:
        """Serve the candidate, compare it with the incumbent, and join everything into a verdict."""
        assert report.ruling is not None
        evaluation = self.steps.run(
            f"evaluate:{_key(report.model)}",
            f"{_short(report.model)}: prove it on held-out samples",
            [plan, self.dataset.id, self.task, self.planned_looks, self._frozen(), __version__],
            Evaluation,
            lambda: anyio.run(self._evaluate, plan),
        )
        keep(self.store, evaluation, is_new=Looks(self.store, self.dataset).is_new(evaluation.id))
        judged = None
        if evaluation.comparison is not None:
            judged = verdict.join(
                evaluation.comparison,
                ruling=report.ruling,
                fit=report.fit,
                findings=[report.parity.finding()] if report.parity is not None else [],
                version=__version__,
            )
            self.store.put(judged, made_from=judged.made_from)
        report = msgspec.structs.replace(
            report,
            untrained=evaluation.untrained,
            measured=evaluation.measured,
            comparison=evaluation.comparison,
            verdict=judged,
            latency=evaluation.latency,
            disagreements=evaluation.disagreements,
            served_as=served_name(plan),
        )
        return Tried(report, plan)

    async def _evaluate(self, plan: ServePlan) -> Evaluation:
        """Replay the held-out samples against the candidate, and a few against the base without its adapter."""
        async with start(plan, log_dir=self.project.state / "engines", name="evaluate") as endpoint:
            return await evaluate(
                dataset=self.dataset,
                task=self.task,
                endpoint=endpoint,
                model=served_name(plan),
                untrained_model=plan.model if plan.adapters else None,
                untrained_samples=UNTRAINED_SAMPLES,
                concurrency=plan.parallel,
                cache_dir=self.project.state / "evaluations" / content_id(plan)[:12],
                count_looks=Looks(self.store, self.dataset).count,
                planned_looks=self.planned_looks,
                without_incumbent=True,
                frozen=self._frozen(),
                progress=self.progress,
            )

    def _frozen(self) -> dict[str, tuple[str, ...]]:
        """The incumbent's answers recorded by `freehold freeze`."""
        return read_frozen(frozen_file(self.project, self.dataset.id))


def engine_of(project: Project) -> EngineName:
    """The engine that serves candidates: llama.cpp unless the project names another."""
    engine = project.config.serve.engine
    return "llamacpp" if engine == "auto" else engine


def brings_weights(project: Project) -> bool:
    """Whether the engine has its weights already, so that there is nothing to fetch, fit or train."""
    return engine_of(project) in {"remote", "echo"}


def steps_each(project: Project) -> int:
    """Steps of one candidate's way."""
    return STEPS_AS_IS if brings_weights(project) else STEPS_TRAINED


def served_name(plan: ServePlan) -> str:
    """The model name a plan's candidate answers to."""
    return plan.adapters[0].name if plan.adapters else plan.model


def _stopped(report: CandidateReport, why: str) -> Tried:
    return Tried(msgspec.structs.replace(report, stopped=why), None)


def _key(model: str) -> str:
    return content_id(model)[:8]


def _short(model: str) -> str:
    return model.rsplit("/", 1)[-1]
