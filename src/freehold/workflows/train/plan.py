"""`freehold train --preview` and `--dry-run`: what a run will see and take, before it runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

from freehold import training
from freehold.errors import TrainingError
from freehold.hardware.tensors import active_parameter_count
from freehold.hardware.training_memory import adapted, runs_fused, smallest_side
from freehold.store import open_store
from freehold.training import base as bases
from freehold.training import checkpoint, formatting, preview, probe, schedule
from freehold.training.defaults import weight_count
from freehold.training.methods import checks, table
from freehold.types.config import FinetuneConfig
from freehold.types.machine import MeasuredSpeed
from freehold.types.model import Shape
from freehold.types.planning.training_plan import SplitMeasurement, TrainingPlan, TrainingPreview
from freehold.types.training import Adapter, WholeModel, WrittenCalls
from freehold.workflows.fit.sizes import size_model
from freehold.workflows.fit.training import SampleLengths, training_fit
from freehold.workflows.project import Project
from freehold.workflows.train.train import TrainingInputs

FORWARDS = 3.0
"""A training step computes about three times what reading the same tokens does: forward, and twice that back."""


class _Time(NamedTuple):
    """Seconds of training, what they are told from, and shortest and longest where they are estimated."""

    seconds: float | None
    basis: str
    range: tuple[float, float] | None = None


class _TokenizedSplit(NamedTuple):
    job: training.Job
    tokenizer: Any
    train: SplitMeasurement
    calls: WrittenCalls


def preview_run(
    project: Project, inputs: TrainingInputs, *, config: FinetuneConfig, count: int
) -> TrainingPreview:
    """The first `count` training samples through the base's own chat template, and the split in numbers.

    Only the tokenizer is loaded. Raises `MissingExtraError`, `WeightsError`, `TrainingError`, `InputError`.
    """
    job, tokenizer, train, calls = _tokenize(project, inputs, config)
    samples = training.read_samples(inputs.dataset, "train")
    return TrainingPreview(
        base_model=inputs.base.model_id,
        dataset_id=inputs.dataset.id,
        method=config.method,
        template_sha256=formatting.template_sha256(tokenizer),
        call_format=calls,
        samples=tuple(preview.preview_samples(tokenizer, samples, job.config, count)),
        train=train,
    )


def plan_run(project: Project, inputs: TrainingInputs, *, config: FinetuneConfig) -> TrainingPlan:
    """What the run would be: options, steps, memory, time. Nothing is trained.

    Raises what `preview_run` raises, and `TrainingError` when no sample could be trained on.
    """
    job, _, train, calls = _tokenize(project, inputs, config)
    config = job.config
    if not train.usable:
        first = train.first_left_out[0].reason if train.first_left_out else "the split is empty"
        raise TrainingError(
            f"none of {train.looked_at:,} samples looked at can be trained on; the first: {first}",
            hint="freehold train --preview 3 shows them, or says why not",
        )
    first_reject = train.first_left_out[0].reason if train.first_left_out else None
    checks.check_count(train.usable, first_reject)
    shape = size_model(inputs.base.model_id, weights=inputs.base, settings=project.settings).shape
    checks.check_rank(config, smallest_side(shape, config.target_modules))
    usable = round(train.samples * train.usable / train.looked_at)
    steps = schedule.total_steps(usable, config)
    mean = train.tokens / train.usable
    fit = training_fit(
        inputs.base.model_id,
        config=config,
        lengths=SampleLengths(
            train.longest_tokens,
            learned_tokens=max(1, round(train.learned_tokens / train.usable)),
            shared_tokens=min(train.shared_tokens, train.longest_tokens - 1),
        ),
        settings=project.settings,
        weights=inputs.base,
    )
    tokens = round(mean * usable * steps / schedule.steps_per_epoch(usable, config.batch_size))
    at_once = max(1, min(config.batch_size, usable, int(config.pack_tokens // mean)))
    time = _measured_time(project, inputs, config, tokens, fit.machine)
    if time is None:
        unshared = 1 - (train.shared_tokens / mean) * (1 - 1 / at_once)
        work = probe.TokenCounts(tokens * unshared, tokens * train.learned_tokens / train.tokens)
        time = _probed_time(project, inputs, config, shape, work)
    notes = list(_notes(config, train, fit.fits, time))
    if calls == "tagged":
        notes.append(formatting.TAGGED_NOTE)
    return TrainingPlan(
        job_id=job.id,
        base_model=inputs.base.model_id,
        dataset_id=inputs.dataset.id,
        adapter_dir=job.adapter_dir,
        config=config,
        train=train,
        steps=steps,
        samples_at_once=at_once,
        parts_per_step=-(-min(config.batch_size, usable) // at_once),
        train_tokens=tokens,
        fit=fit,
        seconds=time.seconds,
        seconds_basis=time.basis,
        seconds_range=time.range,
        done=training.finished_adapter(job) is not None,
        resumes=(Path(job.run_dir) / checkpoint.FILE).exists(),
        notes=tuple(notes),
    )


def _tokenize(project: Project, inputs: TrainingInputs, config: FinetuneConfig) -> _TokenizedSplit:
    bases.require()
    table.check(config)
    bases.check_method(inputs.base, config)
    job = training.make(
        config=config,
        dataset=inputs.dataset,
        base=inputs.base,
        out_dir=project.state / "adapters",
        name=inputs.name,
    )
    tokenizer = bases.load_tokenizer(inputs.base)
    formatting.template_sha256(tokenizer)  # a base without a template is reported at once
    calls = formatting.choose_calls(
        tokenizer, training.read_samples(inputs.dataset, "train"), job.config.call_format
    )
    total = inputs.dataset.split("train").samples
    samples = training.read_samples(inputs.dataset, "train")
    measured = preview.measure_split(tokenizer, samples, job.config, total)
    return _TokenizedSplit(job, tokenizer, measured, calls)


def _notes(config: FinetuneConfig, train: SplitMeasurement, fits: bool, time: _Time) -> list[str]:
    notes = []
    if train.looked_at < train.samples:
        notes.append(f"lengths are of {train.looked_at:,} of {train.samples:,} samples")
    if not fits:
        notes.append("a run that runs out of memory goes on with half as much at once, down to one sample")
    longest = time.range[1] if time.range is not None else time.seconds
    if config.max_minutes is not None and longest is not None and longest > 60 * config.max_minutes:
        sure = time.range is None or time.range[0] > 60 * config.max_minutes
        notes.append(
            f"the schedule {'will' if sure else 'may'} be shortened to end in {config.max_minutes:g} minutes "
            "(max_minutes)"
        )
    return notes


def _measured_time(
    project: Project, inputs: TrainingInputs, config: FinetuneConfig, tokens: int, machine: str
) -> _Time | None:
    """Seconds of training, from what this project's machine did before: its own runs first, then its reading speed."""
    with open_store(project.store_url) as store:
        results = [*store.records(WholeModel), *store.records(Adapter)]
        speeds = store.records(MeasuredSpeed)
    runs = [one for one in reversed(results) if one.train_seconds > 0 and one.train_tokens > 0]
    for one in runs:
        if one.base_model == inputs.base.model_id and one.config.method == config.method:
            speed = one.train_tokens / one.train_seconds
            return _Time(tokens / speed, f"{speed:,.0f} tokens/s of the run that made {one.name}")
    for measured in reversed(speeds):
        if measured.model == inputs.base.model_id and measured.machine == machine:
            reads = measured.speed.prefill_tokens_per_second[0]
            return _Time(
                tokens * FORWARDS / reads, f"a third of the {reads:,.0f} tokens/s it was measured to read"
            )
    return None


def _probed_time(
    project: Project, inputs: TrainingInputs, config: FinetuneConfig, shape: Shape, work: probe.TokenCounts
) -> _Time:
    """Seconds of training from half a second of matrix products; nothing on a GPU."""
    device = bases.choose_device()
    if device != "cpu":
        return _Time(
            None,
            f"nothing was measured yet with this base (about {weight_count(inputs.base) / 1e6:,.0f} million weights): "
            f"freehold bench-model {inputs.base.model_id}, or train with --max-minutes, which shortens the schedule "
            "to fit",
        )
    bf16 = bases.choose_precision(config.precision, device).name == "bf16"
    products = probe.products_per_second(shape, bf16=bf16, threads=config.threads or project.settings.threads)
    head = float(shape.hidden * shape.vocabulary)
    passed = active_parameter_count(shape) - head * (1 if shape.tied_embeddings else 2)
    adapter = 0.0
    if config.method != "full":
        layers = adapted(shape, config.target_modules)
        adapter = float(sum(config.r * sum(layer.dims) * layer.active for layer in layers))
    found = probe.seconds(
        probe.operations(work, passed, head, adapter, config), products, fused=runs_fused(shape, config)
    )
    return _Time(
        math.sqrt(found[0] * found[1]),
        f"estimated: nothing was measured yet with this base, but products of its sizes in "
        f"{'bf16' if bf16 else 'float32'} make {products / 1e9:,.0f} GFLOP/s just now",
        found,
    )
