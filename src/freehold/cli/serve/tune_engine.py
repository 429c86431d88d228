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
@config_option
@json_option("freehold.engines.llamacpp.tuning:TuningResult")
def command(
    model: str, prompt_tokens: int, completion_tokens: int, config_path: Path | None, as_json: bool
) -> None:
    """Measure how MODEL runs fastest on this machine with llama.cpp, and use that from now on.

    A handful of settings is tried, one after another: threads, batch, flash attention. Takes a minute or two for a
    small model. freehold serve uses what was found wherever you ask for nothing else.

    \b
    Example:
      freehold tune-engine HuggingFaceTB/SmolLM2-135M-Instruct
      freehold tune-engine google/gemma-3-270m --prompt-tokens 1500 --completion-tokens 20
    """
    from freehold.cli.progress import progress
    from freehold.engines.llamacpp.measure import RequestSize
    from freehold.workflows.project import open_project
    from freehold.workflows.serve.engines import tune

    project = open_project(config_path)
    with progress() as shown:
        found = tune(project, model, RequestSize(prompt_tokens, completion_tokens), progress=shown)
    if as_json:
        print_json(found)
        return
    tell(found)


def tell(found: TuningResult) -> None:
    """The table of what was measured, and what is used from now on."""
    echo(f"{'':2}{'settings':32} {'prompt':>8} {'written':>8} {'s/request':>10}")
    for trial in found.trials:
        echo(
            f"{'✓' if trial.taken else '':2}{trial.settings.describe():32} "
            f"{trial.speed.prompt_tokens_per_second:8,.0f} {trial.speed.completion_tokens_per_second:8,.0f} "
            f"{trial.seconds:10.3f}"
        )
    echo(f"\nused from now on: {found.settings.describe()}")
    echo(f"one request is {found.speedup:.2f} times as fast as before")
    if found.load_average is not None and found.load_average > found.cores:
        echo(
            f"the machine was busy (load {found.load_average:.1f} on {found.cores} cores): measure again when quiet",
            err=True,
        )
