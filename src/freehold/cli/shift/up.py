"""`freehold up`: the gateway on loopback with a model behind it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import config_option, json_option

if TYPE_CHECKING:
    from freehold.workflows.shift.up import Capture


@click.command("up")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on (default: FREEHOLD_PORT).")
@click.option("--host", help="Address to listen on. Loopback unless you say otherwise.")
@click.option("--model", help="Serve this model instead of the project's.")
@click.option(
    "--capture",
    type=click.Choice(["off", "raw", "patterns", "pii"]),
    help="Keep traces: as they are (raw), or with personal data replaced: what patterns find (patterns), or "
    "a library as well (pii). Default: [capture] in freehold.toml, else off.",
)
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes of the gateway (default: 1).")
@click.option(
    "--without-keys",
    is_flag=True,
    help="Let everybody ask who reaches --host. Needed for an address beyond loopback while there is no key.",
)
@config_option
@json_option
def command(
    port: int | None,
    host: str | None,
    model: str | None,
    capture: Capture | None,
    workers: int | None,
    without_keys: bool,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Serve this project's model on an OpenAI-compatible address, until Ctrl-C.

    What freehold migrate chose is served; without a project, the default model. The incumbent of
    freehold.toml is reachable by its own name when its key is in the environment.

    \b
    Example:
      freehold up --port 8420
      freehold up --model google/gemma-3-270m --capture patterns
    """
    from freehold.cli.progress import progress
    from freehold.cli.serve.serve import tell
    from freehold.workflows.project import open_project
    from freehold.workflows.serve.plan import of_config, pull_and_plan
    from freehold.workflows.shift.up import up

    project = open_project(config_path)
    with progress() as shown:
        plan = None
        if model is not None:
            request = of_config(project.config.serve)
            plan = pull_and_plan(model, request, project.settings, progress=shown)
        up(
            project,
            host=host,
            port=port,
            capture=capture,
            plan=plan,
            workers=workers,
            without_keys=without_keys,
            ready=lambda running: tell(running, as_json),
            progress=shown,
        )
