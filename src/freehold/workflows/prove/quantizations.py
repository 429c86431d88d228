"""`freehold fit --measure answers`: what each quantization loses on the task, and the smallest that is not worse.

The widest weights on this machine answer first; all others are compared with them, sample by sample. Smaller ones
follow in order of size, until one is not shown to be no worse. In an order fixed beforehand each test may use the whole
alpha: all together err no more often than one (Maurer, Hothorn & Lehmacher 1995).
"""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import anyio
import msgspec

from freehold import __version__
from freehold.datasets import building
from freehold.engines import start
from freehold.engines.llamacpp import native
from freehold.engines.weights.store import WeightsStore
from freehold.errors import EngineError, UsageError
from freehold.evals.comparing import SideBySide
from freehold.evals.replay import ReplayOptions, answers
from freehold.evals.scorers import score_all, scorer_of
from freehold.evals.task_comparison import compare_by_task, prepared
from freehold.hardware.gguf_header import read_header, shape_from_gguf
from freehold.hardware.probes import probe_machine
from freehold.hardware.quantization import known, weights_bytes
from freehold.progress import Progress, Silent
from freehold.store import open_store
from freehold.types.choosing import LossOutcome, QuantLoss, QuantLosses
from freehold.types.dataset import Sample, SplitName
from freehold.types.endpoint import ServePlan
from freehold.types.evaluation import Comparison, EvalResult, Task
from freehold.types.model import Weights
from freehold.types.record import content_id
from freehold.workflows.data.dataset import find_dataset
from freehold.workflows.project import Project
from freehold.workflows.serve.plan import ServeRequest, plan
from freehold.workflows.weights.made import UNQUANTIZED, make_quantization, widest

LADDER = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "Q3_K_M", "Q2_K")
"""Tried when none are named: those llama.cpp makes without calibration text."""
OUTCOMES: dict[str, LossOutcome] = {"promote": "not_worse", "reject": "worse", "hold": "not_proven"}


class _MeasuredAnswers(NamedTuple):
    results: list[EvalResult]
    comparison: Comparison | None
    tokens_per_second: float | None


def measure(
    project: Project,
    model_id: str,
    *,
    task: Task,
    quantizations: tuple[str, ...] = (),
    split: SplitName = "validation",
    dataset_id: str | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> QuantLosses:
    """Measure quantizations of a model on samples of the project's dataset, and keep the record.

    What is not here is made from the widest weights by llama.cpp. Answers are kept by weights, so a stopped
    measurement continues where it was. Raises `UsageError` without samples and for quantizations that are not smaller,
    `UnknownModelError` without weights, `EngineError` when nothing smaller is here and nothing can be made.
    """
    progress = progress or Silent()
    with open_store(project.store_url) as records:
        dataset = find_dataset(records, dataset_id)
    samples = list(islice(building.samples(dataset, split), limit))
    if not samples:
        raise UsageError(
            f"dataset {dataset.id[:12]} has no {split} samples", hint="--split train, or validation in [data]"
        )
    reference = widest(model_id, WeightsStore(project.settings.home))
    names = _smaller(project, reference, quantizations)
    task = prepared(task, project.state / "quants")
    progress.step(f"{reference.quantization} answers", note=f"{len(samples)} {split} samples")
    first = anyio.run(_measured, project, reference, samples, task, None, progress)
    rows = [_row(reference, first, "reference")]
    skipped: list[tuple[str, str]] = []
    if not rows[0].mean:  # nothing right, so nothing to lose
        names = []
    for name in names:
        try:
            weights = make_quantization(model_id, name, project.settings, progress=progress)
        except EngineError as error:
            skipped.append((name, error.message))
            continue
        progress.step(f"{name} answers", note=f"{len(samples)} {split} samples")
        found = anyio.run(_measured, project, weights, samples, task, (reference, first.results), progress)
        assert found.comparison is not None
        rows.append(_row(weights, found, OUTCOMES[found.comparison.verdict]))
        if rows[-1].outcome != "not_worse":
            break
    take = next(row for row in reversed(rows) if row.outcome in ("reference", "not_worse"))
    made = QuantLosses(
        id="",
        model=reference.model_id,
        machine=probe_machine().name,
        dataset_id=dataset.id,
        split=split,
        task=task,
        rows=tuple(rows),
        take=take.quantization,
        reasons=tuple(_reasons(rows, take, task, split)),
        skipped=tuple(skipped),
        made_from=(dataset.id, *(f"weights:{row.weights_sha256}" for row in rows)),
        version=__version__,
    )
    made = msgspec.structs.replace(made, id=content_id(made))
    with open_store(project.store_url) as records:
        records.put(made, made_from=made.made_from)
    return made


def latest(project: Project, model_id: str) -> QuantLosses | None:
    """The newest measurement of a model in this project, by its id, the part after the slash, or its file."""
    name = (Path(model_id).stem if model_id.endswith(".gguf") else model_id).lower()
    with open_store(project.reading_url) as records:
        found = [
            one
            for one in records.records(QuantLosses)
            if name in (one.model.lower(), one.model.lower().rpartition("/")[2])
        ]
    return found[-1] if found else None


def _smaller(project: Project, reference: Weights, wanted: tuple[str, ...]) -> list[str]:
    """Quantizations to try, largest first. Without llama.cpp's program only those that are here."""
    home = project.settings.home
    header = read_header(Path(reference.path or ""))
    shape = shape_from_gguf(header)
    sizes = {name: weights_bytes(shape, name) for name in map(known, wanted or LADDER)}
    smaller = sorted(
        (name for name in sizes if sizes[name] < header.tensor_bytes), key=lambda name: -sizes[name]
    )
    if not smaller:
        raise UsageError(
            f"nothing asked for is smaller than {reference.quantization}, the widest weights of "
            f"{reference.model_id} that are here",
            hint=f"freehold models pull {reference.model_id} with a wider one, or name smaller ones: --quant Q3_K_M",
        )
    if native.quantize(home) is None:
        store = WeightsStore(home)
        smaller = [name for name in smaller if store.find(reference.model_id, name) is not None]
        if not smaller:
            raise EngineError(
                f"no smaller weights of {reference.model_id} are here, and llama.cpp's program that makes them is "
                "not built",
                hint="freehold engines install llamacpp",
            )
    return smaller


def plan_of(project: Project, weights: Weights) -> ServePlan:
    """How weights are served for the measurement: as the project would serve them, on llama.cpp."""
    serve = project.config.serve
    request = ServeRequest(
        engine="llamacpp",
        context_tokens=serve.context_tokens,
        parallel=serve.parallel,
        options=serve.options if serve.engine in ("auto", "llamacpp") else {},
    )
    return plan(weights, request, project.settings)


async def _measured(
    project: Project,
    weights: Weights,
    samples: list[Sample],
    task: Task,
    against: tuple[Weights, list[EvalResult]] | None,
    progress: Progress,
) -> _MeasuredAnswers:
    """Let the weights answer the samples, score, and compare with the reference's results if there are some."""
    plan = plan_of(project, weights)
    name = f"{weights.model_id} {weights.quantization}"
    references = [sample.target for sample in samples]
    async with start(plan, log_dir=project.state / "engines", name="quants") as endpoint:
        began = time.monotonic()
        replies = await answers(
            endpoint,
            plan.model,
            samples,
            task,
            options=ReplayOptions(
                plan.parallel, project.state / "quants" / f"answers-{weights.sha256[:16]}.jsonl"
            ),
            on_progress=lambda done, of: progress.update(done, of, unit="samples"),
        )
        seconds = time.monotonic() - began
    async with scorer_of(task) as scorer:
        results = await score_all(scorer, name, samples, [one.answer for one in replies], references)
    written = [one.usage.completion_tokens or 0 for one in results if one.usage is not None]
    rate = None if any(one.cached for one in replies) or not sum(written) else sum(written) / seconds
    if against is None:
        return _MeasuredAnswers(results, None, rate)
    wider, before = against
    compared = await compare_by_task(
        SideBySide(samples, references, before, results, f"{wider.model_id} {wider.quantization}", name),
        task,
    )
    return _MeasuredAnswers(results, compared.comparison, rate)


def _row(weights: Weights, found: _MeasuredAnswers, outcome: LossOutcome) -> QuantLoss:
    values = [one.score.value for one in found.results if one.score.value is not None]
    return QuantLoss(
        quantization=weights.quantization,
        weights_bytes=weights.bytes,
        weights_sha256=weights.sha256,
        n=len(values),
        mean=sum(values) / len(values) if values else None,
        format_failures=sum(not one.score.format_ok for one in found.results),
        outcome=outcome,
        tokens_per_second=found.tokens_per_second,
        comparison=found.comparison,
    )


def _reasons(rows: list[QuantLoss], take: QuantLoss, task: Task, split: SplitName) -> list[str]:
    reference, last = rows[0], rows[-1]
    n = reference.n
    if not reference.mean:
        found = [
            f"{reference.quantization} got nothing right on {n} {split} samples, so no loss can show: train it "
            "first, or look at its answers (freehold evaluate --items 5)"
        ]
    elif take is reference:
        found = [f"no smaller one was shown to lose at most {task.margin:g} on {n} {split} samples"]
    else:
        found = [
            f"{take.quantization} is the smallest shown to lose at most {task.margin:g} against "
            f"{reference.quantization} on {n} {split} samples"
        ]
    if last.outcome == "worse":
        found.append(f"{last.quantization} is worse, so nothing smaller was tried")
    elif last.outcome == "not_proven":
        needed = last.comparison.needed_n if last.comparison is not None else None
        more = (
            f" (about {needed:,} {split} samples would show it, there are {n:,})"
            if needed and needed > n
            else ""
        )
        found.append(f"{last.quantization} is not shown to be no worse{more}, so nothing smaller was tried")
    if reference.quantization not in UNQUANTIZED:
        found.append(
            f"the widest weights here are {reference.quantization}: what those have lost already is not measured"
        )
    if split == "train":
        found.append("samples of the training split: of use only for weights that were not trained on them")
    return found
