"""`freehold fit`: memory by part against a machine; `freehold bench-model`: measured tokens a second."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from freehold.cli.options import config_option, hanging, json_option, print_json
from freehold.cli.output import echo
from freehold.types.machine import Fit
from freehold.visible import gib

if TYPE_CHECKING:
    from freehold.types.machine import MeasuredSpeed
    from freehold.workflows.project import Project


BAR_WIDTH = 40


@click.command("fit")
@click.argument("model")
@click.option(
    "--context",
    type=click.IntRange(1),
    help="Tokens of context per request (default: 4096); with --train, of a sample (1024).",
)
@click.option(
    "--concurrency", type=click.IntRange(1), default=1, show_default=True, help="Requests served at once."
)
@click.option(
    "--quant",
    "quantization",
    help="Quantization, for example Q4_K_M (default: as is here, else the largest that fits; with --engine vllm, "
    "as the makers publish the weights).",
)
@click.option(
    "--kv-type",
    default="f16",
    show_default=True,
    help="Type of the KV cache: f16, q8_0, q4_0 … of llama.cpp, fp8 of vLLM.",
)
@click.option(
    "--machine",
    "machine_spec",
    help='Another machine: a file, or words like "2x L4", "Apple M3 Max 64GB" or g5.xlarge.',
)
@click.option(
    "--engine",
    type=click.Choice(["llamacpp", "vllm"]),
    help="What serves it (default: vllm on a GPU server, else llamacpp, as freehold assess takes it).",
)
@click.option(
    "--train", "method", type=click.Choice(["lora", "qlora", "full"]), help="Fit training, not serving."
)
@json_option("freehold.types.machine:Fit")
def command(  # click passes each option
    model: str,
    context: int | None,
    concurrency: int,
    quantization: str | None,
    kv_type: str,
    machine_spec: str | None,
    engine: Literal["llamacpp", "vllm"] | None,
    method: Literal["lora", "qlora", "full"] | None,
    as_json: bool,
) -> None:
    """Say whether MODEL fits, part by part, and the largest context that does.

    MODEL is a catalog id, a path (GGUF, safetensors, a folder with config.json, an Ollama manifest; only headers
    are read) or ollama:NAME. Sizes are GiB (2^30 bytes). With --train the
    memory of a training run is counted instead: weights, adapter, gradients, optimizer, activations.
    Where this project's requests demand tool calls that the model's chat template cannot write, that is said.
    Exit code 0 when it fits, 1 when it does not.

    \b
    Example:
      freehold fit google/gemma-3-270m --context 8192 --concurrency 4
      freehold fit models/mine.gguf --kv-type q8_0 --json
      freehold fit google/gemma-3-27b-it --context 32768 --machine "RTX 4090"
      freehold fit Qwen/Qwen3-32B --engine vllm --concurrency 16 --machine "2x L40S"
      freehold fit openai/gpt-oss-120b --engine vllm --kv-type fp8 --machine H100
      freehold fit Qwen/Qwen3-4B --train qlora --context 2048 --machine L4
    """
    from freehold.errors import UsageError
    from freehold.settings import load
    from freehold.types.config import FinetuneConfig
    from freehold.types.machine import Workload
    from freehold.workflows.fit.fit import ServingOptions, fit_model
    from freehold.workflows.fit.machine import find_machine
    from freehold.workflows.fit.placing import SampleLengths, form_of, training_fit

    if method is not None and engine is not None:
        raise UsageError("--engine is of serving, --train counts a training run: ask one by one")
    settings = load()
    machine = find_machine(machine_spec, settings, measure=method is None)
    project = _project()
    if method is None:
        workload = Workload(context_tokens=4096 if context is None else context, concurrency=concurrency)
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
    else:
        found = training_fit(
            model,
            config=FinetuneConfig(method=method),
            lengths=SampleLengths(context),
            settings=settings,
            machine=machine,
        )
    if as_json:
        print_json(found)
    else:
        show(found)
    if not found.fits:
        raise SystemExit(1)


def _project() -> Project | None:
    """The project around the current folder; one whose file is broken is told, and no obstacle."""
    from freehold.errors import ConfigError
    from freehold.workflows.project import open_project

    try:
        return open_project(None, looks=True)
    except ConfigError as error:
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


def show(found: Fit) -> None:
    """The memory picture: a bar a part, then the answer with its reasons."""
    from freehold.workflows.fit.placing import served_as

    doing = f" trained ({found.training})"
    if not found.training:
        doing = f" as {served_as(found.quantization, found.engine)}"
    echo(f"{found.model}{doing} on {found.machine}")
    scale = max(found.total_bytes, found.available_bytes, 1)
    for part in found.parts:
        bar = "█" * round(BAR_WIDTH * part.bytes / scale)
        echo(f"  {part.name:<16} {gib(part.bytes):>10}  {bar or '▏'}")
        echo(click.style(hanging(part.basis, f"  {'':<16} {'':>10}  "), dim=True))
    echo(f"  {'total':<16} {gib(found.total_bytes):>10}")
    echo(f"  {'available':<16} {gib(found.available_bytes):>10}")
    echo("fits" if found.fits else "does not fit")
    for reason in found.reasons:
        echo(hanging(reason, "  · "))
    if found.largest_context_tokens and found.training:
        echo(f"  · longest sample that fits, alone: {found.largest_context_tokens:,} tokens")
    elif found.largest_context_tokens:
        echo(
            f"  · largest context at {found.workload.concurrency} at once: "
            f"{found.largest_context_tokens:,} tokens"
        )
    if found.largest_concurrency:
        echo(
            f"  · most at once with {found.workload.context_tokens:,} tokens each: {found.largest_concurrency:,}"
        )
    for way in found.ways_out:
        echo(hanging(way, "  → "))
    if found.speed is not None:
        read, write = found.speed.prefill_tokens_per_second, found.speed.decode_all_tokens_per_second
        said = (
            f"{found.speed.how}: reads {read[0]:,.0f} to {read[1]:,.0f} tokens a second, writes {write[0]:,.0f} to "
            f"{write[1]:,.0f} for {found.speed.concurrency} at once"
        )
        echo(hanging(said, "  · "))


@click.command("bench-model")
@click.argument("model")
@click.option("--engine", default="auto", show_default=True, help="auto, llamacpp, vllm, ollama or echo.")
@click.option("--quant", "quantization", help="Quantization, for example Q4_K_M.")
@config_option
@json_option("freehold.types.machine:MeasuredSpeed")
def bench_model(
    model: str,
    engine: str,
    quantization: str | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Serve MODEL for a moment and measure how fast it reads and writes here.

    The result is kept per machine, engine and weights; freehold cost takes it instead of an estimate.

    \b
    Example:
      freehold bench-model HuggingFaceTB/SmolLM2-135M-Instruct
    """
    from freehold.workflows.project import open_project
    from freehold.workflows.serve.measure import bench

    found = bench(
        open_project(config_path),
        model,
        engine=engine,
        quantization=quantization,
    )
    if as_json:
        print_json(found)
        return
    read, write = found.speed.prefill_tokens_per_second, found.speed.decode_tokens_per_second
    echo(f"{found.model} on {found.engine}, {found.machine}")
    echo(f"  reads   {read[0]:,.1f} to {read[1]:,.1f} tokens a second")
    echo(f"  writes  {write[0]:,.1f} to {write[1]:,.1f} tokens a second")
