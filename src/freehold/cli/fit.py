"""`freehold fit`: memory by part against a machine, which quantization to take, and what was measured of both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from freehold.cli.operation import BAR, CONFIG, Reply, arg, operation, opt
from freehold.cli.options import not_with
from freehold.cli.output import Block, TableRows, echo
from freehold.types.machine import Fit
from freehold.visible import GIB, gib

if TYPE_CHECKING:
    from freehold.progress import Progress
    from freehold.types.choosing import QuantLosses, QuantRow, Quants
    from freehold.types.machine import MeasuredSpeed, Workload
    from freehold.workflows.project import Project

BAR_WIDTH = 40


@operation(
    "fit",
    "freehold.types.machine:Fit",
    quants="freehold.types.choosing:Quants",
    answers="freehold.types.choosing:QuantLosses",
    speed="freehold.types.machine:MeasuredSpeed",
)
def fit(
    model: str = arg(),
    *,
    context: int | None = opt(
        "Tokens of context per request (default: 4096); with --train, of a sample (1024).", ge=1
    ),
    concurrency: int = opt("Requests served at once.", default=1, ge=1),
    quantizations: tuple[str, ...] = opt(
        "Quantization, for example Q4_K_M (default: as is here, else the largest that fits; with --engine vllm, "
        "as the makers publish the weights). Repeatable with --measure answers.",
        "--quant",
    ),
    kv_type: str = opt("Type of the KV cache: f16, q8_0, q4_0 … of llama.cpp, fp8 of vLLM.", default="f16"),
    machine_spec: str | None = opt(
        'Another machine: a file, or words like "2x L4", "Apple M3 Max 64GB" or g5.xlarge.', "--machine"
    ),
    engine: Literal["llamacpp", "vllm"] | None = opt(
        "What serves it (default: vllm on a GPU server, else llamacpp, as freehold assess takes it)."
    ),
    method: Literal["lora", "qlora"] | None = opt("Fit training, not serving.", "--train"),
    every: bool = opt(
        "List the quantizations: bytes, whether each fits, how fast it is, which to take.", "--quants"
    ),
    made: str | None = opt("Make this quantization here from the widest weights there are.", "--make"),
    measured: Literal["speed", "answers"] | None = opt(
        "speed: serve it for a moment, and keep how fast it reads and writes here. answers: let quantizations answer "
        "samples of the dataset, and take the smallest that is not worse, then and from then on.",
        "--measure",
    ),
    config_path: Path | None = CONFIG,
    bar: Progress = BAR,
) -> Reply:
    """Say whether MODEL fits, part by part, and the largest context that does.

    MODEL is a catalog id, a path (GGUF, safetensors, a folder with config.json, an Ollama manifest; only headers
    are read) or ollama:NAME. Sizes are GiB (2^30 bytes). With --train the memory of a training run is counted.
    Where this project's requests demand tool calls that the model's chat template cannot write, that is said.
    Exit code 0 when it fits, or one of --quants does, 1 when not.

    \b
    Example:
      freehold fit google/gemma-3-270m --context 8192 --concurrency 4
      freehold fit models/mine.gguf --kv-type q8_0 --json
      freehold fit google/gemma-3-27b-it --context 32768 --machine "RTX 4090" --quants
      freehold fit openai/gpt-oss-120b --engine vllm --kv-type fp8 --machine H100
      freehold fit Qwen/Qwen3-4B --train qlora --context 2048 --machine L4
      freehold fit HuggingFaceTB/SmolLM2-135M-Instruct --measure speed
    """
    from freehold.types.machine import Workload
    from freehold.workflows.project import open_project

    not_with("--train", method is not None, "engine", "every", "made", "measured")
    if len(quantizations) > 1 and measured != "answers":
        raise click.UsageError("several --quant go with --measure answers")
    quantization = quantizations[0] if quantizations else None
    if made is not None or measured is not None:
        project = open_project(config_path)
        if made is not None:
            model = _made(model, made, project, bar)
        if measured == "answers":
            return _losses(model, quantizations, project, bar)
        if measured == "speed":
            from freehold.workflows.serve.measure import bench

            found = bench(project, model, engine=engine or "auto", quantization=quantization)
            return Reply(found, _bench_view, which="speed")
    if every or made is not None:
        workload = Workload(context_tokens=context or 4096, concurrency=concurrency)
        return _quants(model, workload, machine_spec, open_project(config_path, looks=True))
    if method is not None:
        return _training(model, method, context, machine_spec)
    workload = Workload(context_tokens=context or 4096, concurrency=concurrency)
    return _serving(model, workload, (engine, quantization, kv_type), machine_spec, _project(config_path))


def _serving(
    model: str,
    workload: Workload,
    asked: tuple[Literal["llamacpp", "vllm"] | None, str | None, str],
    machine_spec: str | None,
    project: Project | None,
) -> Reply:
    from freehold.settings import load
    from freehold.workflows.fit.fit import ServingOptions, fit_model
    from freehold.workflows.fit.machine import find_machine
    from freehold.workflows.fit.placing import form_of

    settings = load()
    machine = find_machine(machine_spec, settings, measure=True)
    engine, quantization, kv_type = asked
    form = form_of(model, workload, machine, settings, (engine, quantization))
    found = fit_model(
        model,
        workload=workload,
        settings=settings,
        machine=machine,
        options=ServingOptions(form.quantization, kv_type, form.engine),
        speeds=_measured(project) if machine_spec is None and form.engine == "llamacpp" else (),
    )
    found = _with_unmet_calls(found, project, model, form.engine)
    return Reply(found, fit_view, 0 if found.fits else 1)


def _training(
    model: str, method: Literal["lora", "qlora"], context: int | None, machine_spec: str | None
) -> Reply:
    from freehold.settings import load
    from freehold.types.config import FinetuneConfig
    from freehold.workflows.fit.machine import find_machine
    from freehold.workflows.fit.placing import SampleLengths, training_fit

    settings = load()
    found = training_fit(
        model,
        config=FinetuneConfig(method=method),
        lengths=SampleLengths(context),
        settings=settings,
        machine=find_machine(machine_spec, settings, measure=False),
    )
    return Reply(found, fit_view, 0 if found.fits else 1)


def _made(model: str, quantization: str, project: Project, bar: Progress) -> str:
    """What the model with the quantization that was made is called."""
    from freehold.workflows.weights.made import make_quantization

    weights = make_quantization(model, quantization, project.settings, progress=bar)
    echo(f"{weights.model_id} {weights.quantization}: {weights.path}", err=True)
    return model if Path(model).is_file() else weights.model_id


def _losses(model: str, quantizations: tuple[str, ...], project: Project, bar: Progress) -> Reply:
    from freehold.workflows.prove.quantizations import measure
    from freehold.workflows.prove.task import task_of

    found = measure(project, model, task=task_of(project), quantizations=quantizations, progress=bar)
    return Reply(found, _losses_view, which="answers")


def _quants(model: str, workload: Workload, machine_spec: str | None, project: Project) -> Reply:
    from freehold.workflows.choose.quants import quants
    from freehold.workflows.fit.learned import all_measured
    from freehold.workflows.fit.machine import find_machine
    from freehold.workflows.prove.quantizations import latest

    found = quants(
        model,
        machine=find_machine(machine_spec, project.settings, measure=True),
        workload=workload,
        settings=project.settings,
        speeds=all_measured(project) if machine_spec is None else (),
        losses=latest(project, model),
    )
    return Reply(found, _quants_view, 0 if found.take else 1, "quants")


def _project(config_path: Path | None) -> Project | None:
    """The project around the current folder; one whose file is broken is told, and no obstacle."""
    from freehold.errors import ConfigError
    from freehold.workflows.project import open_project

    try:
        return open_project(config_path, looks=True)
    except ConfigError as error:
        if config_path is not None:
            raise
        echo(f"measured speeds are left out, and what requests demand: {error.message}", err=True)
        return None


def _measured(project: Project | None) -> tuple[MeasuredSpeed, ...]:
    from freehold.workflows.fit.learned import all_measured

    return () if project is None else all_measured(project)


def _with_unmet_calls(
    found: Fit, project: Project | None, model: str, engine: Literal["llamacpp", "vllm"]
) -> Fit:
    """With the reason that a model cannot be made to call the tools this project's requests demand, where that is so.

    It fits all the same; an adapter may bring a template that writes calls."""
    if project is None:
        return found
    import msgspec

    from freehold.hardware.fit import with_id
    from freehold.workflows.serve.tools import WAYS_OUT, unmet_of_model

    if (why := unmet_of_model(project, model, engine)) is None:
        return found
    return with_id(msgspec.structs.replace(found, reasons=(*found.reasons, f"{why}; {WAYS_OUT}")))


def fit_view(found: Fit) -> Iterator[Block]:
    """The memory picture: a bar a part, then the answer with its reasons."""
    from freehold.workflows.fit.placing import served_as

    doing = f" trained ({found.training})"
    if not found.training:
        doing = f" as {served_as(found.quantization, found.engine)}"
    yield f"{found.model}{doing} on {found.machine}"
    scale = max(found.total_bytes, found.available_bytes, 1)
    for part in found.parts:
        bar = "█" * round(BAR_WIDTH * part.bytes / scale)
        yield f"  {part.name:<16} {gib(part.bytes):>10}  {bar or '▏'}"
        yield click.style(f"  {'':<16} {'':>10}  {part.basis}", dim=True)
    yield f"  {'total':<16} {gib(found.total_bytes):>10}"
    yield f"  {'available':<16} {gib(found.available_bytes):>10}"
    yield "fits" if found.fits else "does not fit"
    yield from (f"  · {reason}" for reason in found.reasons)
    work = found.workload
    if found.largest_context_tokens and found.training:
        yield f"  · longest sample that fits, alone: {found.largest_context_tokens:,} tokens"
    elif found.largest_context_tokens:
        yield f"  · largest context at {work.concurrency} at once: {found.largest_context_tokens:,} tokens"
    if found.largest_concurrency:
        yield f"  · most at once with {work.context_tokens:,} tokens each: {found.largest_concurrency:,}"
    yield from (f"  → {way}" for way in found.ways_out)
    if found.speed is not None:
        read, write = found.speed.prefill_tokens_per_second, found.speed.decode_all_tokens_per_second
        yield (
            f"  · {found.speed.how}: reads {read[0]:,.0f} to {read[1]:,.0f} tokens a second, writes {write[0]:,.0f} to "
            f"{write[1]:,.0f} for {found.speed.concurrency} at once"
        )


def _bench_view(found: MeasuredSpeed) -> Iterator[Block]:
    read, write = found.speed.prefill_tokens_per_second, found.speed.decode_tokens_per_second
    yield f"{found.model} on {found.engine}, {found.machine}"
    yield "reads", f"{read[0]:,.1f} to {read[1]:,.1f} tokens a second"
    yield "writes", f"{write[0]:,.1f} to {write[1]:,.1f} tokens a second"


def _losses_view(found: QuantLosses) -> Iterator[Block]:
    words = {"reference": "", "not_worse": "not worse", "worse": "worse", "not_proven": "not proven"}
    yield (
        f"{found.model}: scorer {found.task.scorer}, margin {found.task.margin:g}, {found.split} samples of dataset "
        f"{found.dataset_id[:12]}"
    )
    yield ""
    table = TableRows([("", "", "weights", "score", "difference", "tokens/s", "")])
    for row in found.rows:
        difference = "compared with this one"
        pair = row.comparison
        if pair is not None and pair.difference is not None:
            difference = f"{pair.difference:+.3f}"
            if pair.ci_low is not None and pair.ci_high is not None:
                difference += f" [{pair.ci_low:+.3f}, {pair.ci_high:+.3f}]"
        score = "–" if row.mean is None else f"{row.mean:.3f}"
        speed = "" if row.tokens_per_second is None else f"{row.tokens_per_second:,.0f}"
        mark, weights = "→" if row.quantization == found.take else "", _small(row.weights_bytes)
        table.append((mark, row.quantization, weights, score, difference, speed, words[row.outcome]))
    yield table
    for name, why in found.skipped:
        yield f"  {name:<10} left out: {why}"
    yield f"\ntake {found.take}"
    yield from (f"  · {reason}" for reason in found.reasons)


def _quants_view(found: Quants) -> Iterator[Block]:
    work = found.workload
    yield (
        f"{found.model} on {found.machine}: {work.context_tokens:,} tokens × {work.concurrency}, "
        f"{gib(found.available_bytes)} available"
    )
    yield ""
    heads = "", "", "bits", "weights", "in all", "longest", "tokens/s", "on your task", "known"
    yield TableRows([heads, *(_row(row, row.quantization == found.take) for row in found.rows)])
    for row in found.rows:
        yield from (f"{row.quantization}: {where}" for where in row.known if where.startswith("freehold "))
    yield ""
    yield f"take {found.take}" if found.take else "none fits"
    yield from (f"  · {reason}" for reason in found.reasons)


def _small(count: int) -> str:
    """GiB with three digits that count: quantizations of a small model differ in the third."""
    return gib(count, 3) if count < GIB else gib(count)


def _row(row: QuantRow, taken: bool) -> tuple[str, ...]:
    speed = task = ""
    if row.speed is not None:
        low, high = row.speed.decode_tokens_per_second
        speed = f"{low:,.0f} to {high:,.0f}" + ("*" if row.speed.how == "measured" else "")
    if row.loss is not None:
        task = ("" if row.score is None else f"{row.score:.3f}, ") + row.loss.replace("_", " ")
    known = [where for where in row.known if not where.startswith("freehold ")]
    longest = f"{row.largest_context_tokens:,}" if row.largest_context_tokens else "–"
    total = gib(row.total_bytes) if row.fits else f"{gib(row.total_bytes)} ✗"
    sizes = f"{row.bits_per_weight:.2f}", _small(row.weights_bytes), total, longest
    return "→" if taken else "", row.quantization, *sizes, speed, task, ", ".join(known)
