"""`freehold train --preview` and `--dry-run`: what a run will see and take, before it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from freehold import training
from freehold.errors import TrainingError
from freehold.hardware.training_memory import PACK_TOKENS, smallest_side
from freehold.store import open_store
from freehold.training import artefacts, formatting, preview, schedule
from freehold.training import base as bases
from freehold.training.schedule import check, check_count, check_rank, weight_count
from freehold.types.config import FinetuneConfig, Method
from freehold.types.machine import MeasuredSpeed
from freehold.types.training import (
    Adapter,
    SplitMeasurement,
    TrainingPlan,
    TrainingPreview,
    WrittenCalls,
)
from freehold.workflows.fit.placing import SampleLengths, training_fit
from freehold.workflows.fit.sizes import size_model
from freehold.workflows.project import Project
from freehold.workflows.train.train import TrainingInputs

FORWARDS = 3.0
"""A training step computes about three times what reading the same tokens does: forward, and twice that back."""


class TrainingTime(NamedTuple):
    """Seconds of training, and what they are told from."""

    seconds: float
    basis: str


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
    check_count(train.usable, first_reject)
    shape = size_model(inputs.base.model_id, weights=inputs.base, settings=project.settings).shape
    check_rank(config, smallest_side(shape))
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
    at_once = max(1, min(config.batch_size, usable, int(PACK_TOKENS // mean)))
    base = inputs.base.model_id
    time = training_time(project, base, config.method, tokens, fit.machine)
    unknown = (
        f"nothing was measured yet with this base (about {weight_count(inputs.base) / 1e6:,.0f} million weights): "
        f"freehold fit {base} --measure speed, or [train] max_minutes, which shortens the schedule to fit"
    )
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
        seconds=None if time is None else time.seconds,
        seconds_basis=unknown if time is None else time.basis,
        done=training.finished_adapter(job) is not None,
        resumes=(Path(job.run_dir) / artefacts.FILE).exists(),
        notes=tuple(notes),
    )


def _tokenize(project: Project, inputs: TrainingInputs, config: FinetuneConfig) -> _TokenizedSplit:
    bases.require()
    check(config)
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
    calls = formatting.choose_calls(tokenizer, training.read_samples(inputs.dataset, "train"))
    total = inputs.dataset.split("train").samples
    samples = training.read_samples(inputs.dataset, "train")
    measured = preview.measure_split(tokenizer, samples, job.config, total)
    return _TokenizedSplit(job, tokenizer, measured, calls)


def _notes(
    config: FinetuneConfig, train: SplitMeasurement, fits: bool, time: TrainingTime | None
) -> list[str]:
    notes = []
    if train.looked_at < train.samples:
        notes.append(f"lengths are of {train.looked_at:,} of {train.samples:,} samples")
    if not fits:
        notes.append("a run that runs out of memory goes on with half as much at once, down to one sample")
    if config.max_minutes is not None and time is not None and time.seconds > 60 * config.max_minutes:
        notes.append(f"the schedule will be shortened to end in {config.max_minutes:g} minutes (max_minutes)")
    return notes


def training_time(
    project: Project, base: str, method: Method, tokens: int, machine: str
) -> TrainingTime | None:
    """Seconds of training, from what this project's machine did before: its own runs first, then its reading speed;
    None where nothing was measured with this base."""
    with open_store(project.reading_url) as store:
        results = store.records(Adapter)
        speeds = store.records(MeasuredSpeed)
    runs = [one for one in reversed(results) if one.train_seconds > 0 and one.train_tokens > 0]
    for one in runs:
        if one.base_model == base and one.config.method == method:
            speed = one.train_tokens / one.train_seconds
            return TrainingTime(tokens / speed, f"{speed:,.0f} tokens/s of the run that made {one.name}")
    for measured in reversed(speeds):
        if measured.model == base and measured.machine == machine:
            reads = measured.speed.prefill_tokens_per_second[0]
            return TrainingTime(
                tokens * FORWARDS / reads, f"a third of the {reads:,.0f} tokens/s it was measured to read"
            )
    return None
