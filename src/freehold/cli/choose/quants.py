"""`freehold quants`: the quantizations of a model, and which to take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import config_option, hanging, json_option, only_with, print_json
from freehold.cli.output import echo
from freehold.visible import GIB, gib

if TYPE_CHECKING:
    from freehold.types.choosing import QuantLosses, QuantRow, Quants
    from freehold.workflows.project import Project


SPEED = 15
"""Columns of the speeds; a star marks measured ones."""


@click.command("quants")
@click.argument("model")
@click.option(
    "--context", type=click.IntRange(1), default=4096, show_default=True, help="Tokens per request."
)
@click.option("--concurrency", type=click.IntRange(1), default=1, show_default=True, help="Requests at once.")
@click.option("--machine", "machine_spec", help='Another machine: a file, or words like "2x L4".')
@click.option("--make", "made", help="Make this quantization here from the widest weights there are.")
@click.option(
    "--measure",
    "measured",
    is_flag=True,
    help="Let quantizations answer samples of the dataset; take the smallest that is not worse.",
)
@click.option(
    "--quant",
    "quantizations",
    multiple=True,
    help="With --measure: try this one; repeatable (default: Q8_0 down to Q2_K).",
)
@config_option
@json_option("freehold.types.choosing:Quants", measured="freehold.types.choosing:QuantLosses")
def command(  # click passes each option
    model: str,
    context: int,
    concurrency: int,
    machine_spec: str | None,
    made: str | None,
    measured: bool,
    quantizations: tuple[str, ...],
    config_path: Path | None,
    as_json: bool,
) -> None:
    """List the quantizations of MODEL: bytes, whether each fits here, how fast it is, and which to take.

    MODEL is a catalog id or a GGUF file. Bytes are those of known files (in the store, in the catalog, seen on a
    hub) or computed tensor by tensor. Speeds are measured ones where there are some, else estimates.
    With --measure each one made or found here answers samples of your dataset, largest first, and is compared with the
    widest; the smallest that is shown to be no worse is taken, then and from then on. Exit code 1 when none fits.

    \b
    Example:
      freehold quants HuggingFaceTB/SmolLM2-135M-Instruct
      freehold quants HuggingFaceTB/SmolLM2-135M-Instruct --measure
      freehold quants HuggingFaceTB/SmolLM2-135M-Instruct --make Q4_0
      freehold quants google/gemma-3-27b-it --context 32768 --machine "RTX 4090"
    """
    from freehold.types.machine import Workload
    from freehold.workflows.choose.quants import quants
    from freehold.workflows.fit.learned import all_measured
    from freehold.workflows.fit.machine import find_machine
    from freehold.workflows.project import open_project
    from freehold.workflows.prove.quantizations import latest

    only_with("--measure", measured, "quantizations")
    project = open_project(config_path)
    if made is not None:
        from freehold.cli.progress import progress
        from freehold.workflows.weights.made import make_quantization

        with progress() as bar:
            weights = make_quantization(model, made, project.settings, progress=bar)
        echo(f"{weights.model_id} {weights.quantization}: {weights.path}", err=True)
        model = weights.model_id if not Path(model).is_file() else model
    if measured:
        shown = _measure(project, model, quantizations)
        if as_json:
            print_json(shown, "measured")
        else:
            _show_losses(shown)
        return
    losses = latest(project, model)
    found = quants(
        model,
        machine=find_machine(machine_spec, project.settings, measure=True),
        workload=Workload(context_tokens=context, concurrency=concurrency),
        settings=project.settings,
        speeds=all_measured(project) if machine_spec is None else (),
        losses=losses,
    )
    if as_json:
        print_json(found)
    else:
        _show(found)
    if found.take is None:
        raise SystemExit(1)


def _measure(
    project: Project,
    model: str,
    quantizations: tuple[str, ...],
) -> QuantLosses:
    from freehold.cli.progress import progress
    from freehold.workflows.prove.quantizations import measure
    from freehold.workflows.prove.task import task_of

    with progress() as bar:
        return measure(
            project,
            model,
            task=task_of(project),
            quantizations=quantizations,
            progress=bar,
        )


def _show_losses(found: QuantLosses) -> None:

    words = {"reference": "", "not_worse": "not worse", "worse": "worse", "not_proven": "not proven"}
    echo(
        f"{found.model}: scorer {found.task.scorer}, margin {found.task.margin:g}, {found.split} samples of dataset "
        f"{found.dataset_id[:12]}"
    )
    echo()
    echo(f"  {'':<10} {'weights':>10} {'score':>7}  {'difference':<26} {'tokens/s':>8}")
    for row in found.rows:
        difference = "compared with this one"
        pair = row.comparison
        if pair is not None and pair.difference is not None:
            difference = f"{pair.difference:+.3f}"
            if pair.ci_low is not None and pair.ci_high is not None:
                difference += f" [{pair.ci_low:+.3f}, {pair.ci_high:+.3f}]"
        score = "–" if row.mean is None else f"{row.mean:.3f}"
        speed = "" if row.tokens_per_second is None else f"{row.tokens_per_second:,.0f}"
        mark = "→" if row.quantization == found.take else " "
        echo(
            f"{mark} {row.quantization:<10} {_small(row.weights_bytes):>10} {score:>7}  {difference:<26} {speed:>8}  "
            f"{words[row.outcome]}".rstrip()
        )
    for name, why in found.skipped:
        echo(f"  {name:<10} left out: {why}")
    echo(f"\ntake {found.take}")
    for reason in found.reasons:
        echo(hanging(reason, "  · "))


def _show(found: Quants) -> None:
    work = found.workload
    echo(
        f"{found.model} on {found.machine}: {work.context_tokens:,} tokens × {work.concurrency}, "
        f"{gib(found.available_bytes)} available"
    )
    echo()
    tasked = any(row.loss is not None for row in found.rows)
    task = f"{'on your task':<18} " if tasked else ""
    echo(
        f"  {'':<10} {'bits':>5} {'weights':>10} {'in all':>11} {'longest':>9}  {'tokens/s':<{SPEED}} {task}known"
    )
    for row in found.rows:
        echo(_line(row, row.quantization == found.take, tasked))
        for command in row.known:
            if command.startswith("freehold "):
                echo(hanging(command, " " * 13))
    echo()
    echo(f"take {found.take}" if found.take else "none fits")
    for reason in found.reasons:
        echo(hanging(reason, "  · "))


def _small(count: int) -> str:
    """GiB with three digits that count: quantizations of a small model differ in the third."""
    return gib(count, 3) if count < GIB else gib(count)


def _line(row: QuantRow, taken: bool, tasked: bool) -> str:
    speed = ""
    if row.speed is not None:
        low, high = row.speed.decode_tokens_per_second
        speed = f"{low:,.0f} to {high:,.0f}" + ("*" if row.speed.how == "measured" else "")
    task = ""
    if row.loss is not None:
        task = ("" if row.score is None else f"{row.score:.3f}, ") + row.loss.replace("_", " ")
    known = [where for where in row.known if not where.startswith("freehold ")]
    longest = f"{row.largest_context_tokens:,}" if row.largest_context_tokens else "–"
    total = gib(row.total_bytes) if row.fits else f"{gib(row.total_bytes)} ✗"
    return (
        f"{'→' if taken else ' '} {row.quantization:<10} {row.bits_per_weight:>5.2f} {_small(row.weights_bytes):>10} "
        f"{total:>11} {longest:>9}  {speed:<{SPEED}} {f'{task:<18} ' if tasked else ''}{', '.join(known)}"
    ).rstrip()
