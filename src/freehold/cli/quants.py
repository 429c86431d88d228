"""`freehold quants`: the quantizations of a model, and which to take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import config_option, json_option, print_json

if TYPE_CHECKING:
    from freehold.types.quants import QuantRow, Quants


@click.command("quants")
@click.argument("model")
@click.option(
    "--context", type=click.IntRange(1), default=4096, show_default=True, help="Tokens per request."
)
@click.option("--concurrency", type=click.IntRange(1), default=1, show_default=True, help="Requests at once.")
@click.option("--kv-type", default="f16", show_default=True, help="Type of the KV cache: f16, q8_0, q4_0 …")
@click.option("--machine", "machine_spec", help='Another machine: a file, or words like "2x L4".')
@click.option("--make", "made", help="Make this quantization here from the widest weights there are.")
@config_option
@json_option
def command(
    model: str,
    context: int,
    concurrency: int,
    kv_type: str,
    machine_spec: str | None,
    made: str | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """List the quantizations of MODEL: bytes, whether each fits here, how fast it is, and which to take.

    MODEL is a catalog id or a GGUF file. Bytes are those of known files (in the store, in the catalog, seen on a
    hub) or computed tensor by tensor. Speeds are measured ones where there are some, else estimates.
    Exit code 1 when none fits.

    \b
    Example:
      freehold quants HuggingFaceTB/SmolLM2-135M-Instruct
      freehold quants HuggingFaceTB/SmolLM2-135M-Instruct --make Q4_0
      freehold quants google/gemma-3-27b-it --context 32768 --machine "RTX 4090"
    """
    from freehold.types.machine import Workload
    from freehold.workflows.bench_model import all_measured
    from freehold.workflows.machine import find_machine
    from freehold.workflows.project import open_project
    from freehold.workflows.quants import quants

    project = open_project(config_path)
    if made is not None:
        from freehold.cli.progress import progress
        from freehold.workflows.quants_make import make

        with progress() as bar:
            weights = make(model, made, project.settings, progress=bar)
        click.echo(f"{weights.model_id} {weights.quantization}: {weights.path}", err=True)
        model = weights.model_id if not Path(model).is_file() else model
    found = quants(
        model,
        machine=find_machine(machine_spec, project.settings, measure=True),
        workload=Workload(context_tokens=context, concurrency=concurrency),
        settings=project.settings,
        speeds=all_measured(project) if machine_spec is None else (),
        kv_type=kv_type,
    )
    if as_json:
        print_json(found)
    else:
        _show(found)
    if found.take is None:
        raise SystemExit(1)


def _show(found: Quants) -> None:
    from freehold.hardware.fit import gib

    work = found.workload
    click.echo(
        f"{found.model} on {found.machine}: {work.context_tokens:,} tokens × {work.concurrency}, "
        f"{gib(found.available_bytes)} available"
    )
    click.echo()
    click.echo(
        f"  {'':<10} {'bits':>5} {'weights':>10} {'in all':>10} {'longest':>9}  {'writes tokens/s':<20} known"
    )
    for row in found.rows:
        click.echo(_line(row, row.quantization == found.take))
    click.echo()
    click.echo(f"take {found.take}" if found.take else "none fits")
    for reason in found.reasons:
        click.echo(f"  · {reason}")


def _line(row: QuantRow, taken: bool) -> str:
    from freehold.hardware.fit import gib

    speed = ""
    if row.speed is not None:
        low, high = row.speed.decode_tokens_per_second
        speed = f"{low:,.0f} to {high:,.0f}" + (" measured" if row.speed.how == "measured" else "")
    longest = f"{row.largest_context_tokens:,}" if row.largest_context_tokens else "–"
    total = gib(row.total_bytes) if row.fits else f"{gib(row.total_bytes)} ✗"
    return (
        f"{'→' if taken else ' '} {row.quantization:<10} {row.bits_per_weight:>5.2f} {gib(row.weights_bytes):>10} "
        f"{total:>10} {longest:>9}  {speed:<20} {', '.join(row.known)}"
    ).rstrip()
