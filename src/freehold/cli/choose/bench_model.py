"""`freehold bench-model`: measured tokens a second."""

from __future__ import annotations

from pathlib import Path

import click

from freehold.cli.options import config_option, json_option, print_json
from freehold.cli.output import echo


@click.command("bench-model")
@click.argument("model")
@click.option("--engine", default="auto", show_default=True, help="auto, llamacpp, vllm, ollama or echo.")
@click.option("--quant", "quantization", help="Quantization, for example Q4_K_M.")
@config_option
@json_option("freehold.types.machine:MeasuredSpeed")
def command(
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
    from freehold.workflows.serve.bench import bench

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
