"""`freehold freeze`: record the incumbent's answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from freehold.cli.options import address, config_option, json_option, print_json, variable_name
from freehold.cli.output import echo


@click.command("freeze")
@click.option(
    "--endpoint",
    "url",
    callback=address,
    help="Address of the incumbent's API (default: [incumbent] base_url).",
)
@click.option("--model", help="The incumbent's model name (default: [incumbent] model).")
@click.option(
    "--api-key-env",
    callback=variable_name,
    help="Environment variable that holds the key (default: [incumbent] api_key_env).",
)
@click.option("--dataset", "dataset_id", help="Dataset: id, name or folder (default: the latest).")
@click.option(
    "--split",
    type=click.Choice(["held_out", "validation", "train"]),
    default="held_out",
    show_default=True,
    help="Whose requests to ask.",
)
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How often to ask each; 2 or more show the incumbent's own noise.",
)
@config_option
@json_option("freehold.types.evaluated:Freeze")
def command(  # click passes each option
    url: str | None,
    model: str | None,
    api_key_env: str | None,
    dataset_id: str | None,
    split: Any,
    repeats: int,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Record the incumbent's answers to your requests, before it is retired.

    Evaluations use them from then on. Asked again it goes on where it stopped.

    \b
    Example:
      freehold freeze --repeats 3
      freehold freeze --endpoint https://api.openai.com --model gpt-4o-2024-08-06 --api-key-env OPENAI_API_KEY
    """
    import anyio

    from freehold.cli.progress import progress
    from freehold.workflows.project import open_project
    from freehold.workflows.prove.freeze import IncumbentAddress, freeze

    project = open_project(config_path)
    with progress() as shown:

        async def work() -> Any:
            return await freeze(
                project,
                IncumbentAddress(url, model, api_key_env),
                dataset_id=dataset_id,
                split=split,
                repeats=repeats,
                progress=shown,
            )

        made = anyio.run(work)
    if as_json:
        print_json(made)
        return
    echo(f"{made.answered:,} answers of {made.model} to {made.samples:,} samples are frozen")
    if made.failed:
        echo(f"  {made.failed:,} requests failed or were cut; run it again for those that did not come")
    if made.self_noise is not None:
        echo(f"  self-noise {made.self_noise:.3f}: the share of samples its own answers score differently on")
    if made.retires is not None and made.days_left is not None:
        left = f"in {made.days_left:,} days" if made.days_left > 0 else "already past"
        echo(f"  its maker shuts it down on {made.retires}, {left}")
    if made.completion_tokens is not None:
        echo(f"  tokens {made.prompt_tokens or 0:,} in, {made.completion_tokens:,} out")
    if made.cost_usd is not None:
        echo(f"  about ${made.cost_usd:.2f} at the list price")
    echo(f"  {made.file}")
