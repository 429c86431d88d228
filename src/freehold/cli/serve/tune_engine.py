"""`freehold tune-engine`: the fastest way to run a model here, found by measuring."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import config_option, json_option, print_json
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.engines.llamacpp.tuning import TuningResult


@click.command("tune-engine")
@click.argument("model")
@click.option("--prompt-tokens", default=400, show_default=True, help="Size of the prompts to make fast.")
@click.option("--completion-tokens", default=48, show_default=True, help="Size of the answers.")
@click.option(
    "--parallel", default=4, show_default=True, help="Requests at once when guessing ahead is tried."
)
@click.option(
    "--quants",
    default="Q4_0,Q4_1,Q8_0,Q4_K_M",
    show_default=True,
    help="Quantizations to compare; empty to keep the present one.",
)
@click.option(
    "--agree",
    default=0.9,
    show_default=True,
    help="Share of next tokens that a change of the arithmetic may not fall below.",
)
@click.option("--traces", "from_traces", is_flag=True, help="Guess ahead on what the project's traces asked.")
@click.option("--requests", "file", type=click.Path(path_type=Path), help="Or on the requests of this file.")
@click.option("--again", is_flag=True, help="Forget an interrupted run and start over.")
@config_option
@json_option("freehold.engines.llamacpp.tuning:TuningResult")
def command(
    model: str,
    prompt_tokens: int,
    completion_tokens: int,
    parallel: int,
    quants: str,
    agree: float,
    from_traces: bool,
    file: Path | None,
    again: bool,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Measure how MODEL runs fastest on this machine with llama.cpp, and use that from now on.

    Tried in turn, each next to the best so far: quantization, threads, batch, cache type and attention, guessing
    ahead. Takes one to five minutes for a small model. freehold serve uses what was found wherever you ask for
    nothing else.

    \b
    Example:
      freehold tune-engine HuggingFaceTB/SmolLM2-135M-Instruct
      freehold tune-engine google/gemma-3-270m --prompt-tokens 1500 --completion-tokens 20 --traces
    """
    from freehold.cli.progress import progress
    from freehold.engines.llamacpp.measure import RequestSize
    from freehold.workflows.project import open_project
    from freehold.workflows.serve import load, tune

    project = open_project(config_path)
    workload = None
    if from_traces or file is not None:
        workload = load.workload_of(
            project, from_traces=from_traces, file=file, completion_tokens=completion_tokens
        )
    with progress() as shown:
        found = tune.tune(
            project,
            model,
            tune.TuningRequest(
                size=RequestSize(prompt_tokens, completion_tokens),
                parallel=parallel,
                quantizations=tuple(part.strip().upper() for part in quants.split(",") if part.strip()),
                agree=agree,
            ),
            workload=workload,
            again=again,
            progress=shown,
        )
    if as_json:
        print_json(found)
        return
    tell(found)


def tell(found: TuningResult) -> None:
    """The table of what was measured, and what is used from now on."""
    echo(
        f"{'':2}{'step':15} {'way':42} {'prompt':>8} {'written':>8} {'s/request':>10} {'req/s':>7} {'same':>6}"
    )
    step, before = "", None
    for trial in found.trials:
        says = trial.settings.describe(before)
        if trial.step != step:
            if step:
                says = "before all steps" if trial.step == "all steps" else "as before"
            step, before = trial.step, trial.settings
        speed = trial.speed
        echo(
            f"{'✓' if trial.taken else '':2}{trial.step:15} "
            f"{says[:42]:42} "
            f"{f'{speed.prompt_tokens_per_second:,.0f}' if speed else '':>8} "
            f"{f'{speed.completion_tokens_per_second:,.0f}' if speed else '':>8} "
            f"{trial.seconds:10.3f} "
            f"{f'{trial.requests_per_second:.2f}' if trial.requests_per_second else '':>7} "
            f"{f'{trial.agreement:.0%}' if trial.agreement is not None else '':>6}"
        )
    echo(f"\nused from now on: {found.settings.describe()}")
    echo(f"one request is {found.speedup:.2f} times as fast as before (both measured by turns)")
    if found.load_average is not None and found.load_average > found.cores:
        echo(
            f"the machine was busy (load {found.load_average:.1f} on {found.cores} cores): "
            "ratios hold, speeds are lower bounds",
            err=True,
        )
