"""`freehold up`: the gateway on loopback with a model behind it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import allow_host_option, config_option, json_option

if TYPE_CHECKING:
    from freehold.workflows.shift.up import Capture


@click.command("up")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on (default: FREEHOLD_PORT).")
@click.option("--host", help="Address to listen on. Loopback unless you say otherwise.")
@allow_host_option
@click.option("--model", help="Serve this model instead of the project's.")
@click.option(
    "--capture",
    type=click.Choice(["off", "raw", "patterns", "pii"]),
    help="Keep traces: as they are (raw), or with personal data replaced: what patterns find (patterns), or "
    "a library as well (pii). Default: [capture] in freehold.toml, else off.",
)
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes of the gateway (default: 1).")
@click.option(
    "--tls-cert",
    type=click.Path(),
    help="Certificate chain in PEM: serve over TLS (default: [serve] tls_cert).",
)
@click.option(
    "--tls-key", type=click.Path(), help="Its private key in PEM. A renewed pair is taken over in seconds."
)
@click.option(
    "--without-keys",
    is_flag=True,
    help="Let everybody ask who reaches --host. Needed for an address beyond loopback while there is no key.",
)
@config_option
@json_option("freehold.cli.printed:Serving")
def command(
    port: int | None,
    host: str | None,
    hosts: tuple[str, ...],
    model: str | None,
    capture: Capture | None,
    workers: int | None,
    tls_cert: str | None,
    tls_key: str | None,
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
      freehold up --host 0.0.0.0 --tls-cert fullchain.pem --tls-key key.pem
      freehold up --host 0.0.0.0 --allow-host models.example.com
    """
    from freehold.cli.progress import progress
    from freehold.cli.serve.serve import tell
    from freehold.errors import UsageError
    from freehold.gateway.config import TlsFiles
    from freehold.workflows.project import open_project
    from freehold.workflows.serve.plan import of_config, pull_and_plan
    from freehold.workflows.shift.up import Listening, up

    if (tls_cert is None) != (tls_key is None):
        raise UsageError("--tls-cert and --tls-key need each other")
    tls = (
        TlsFiles(certificate=tls_cert, key=tls_key) if tls_cert is not None and tls_key is not None else None
    )
    project = open_project(config_path).also_under(hosts)
    with progress() as shown:
        plan = None
        if model is not None:
            request = of_config(project.config.serve)
            plan = pull_and_plan(model, request, project.settings, progress=shown)
        up(
            project,
            listening=Listening(host=host, port=port, tls=tls, workers=workers, without_keys=without_keys),
            capture=capture,
            plan=plan,
            ready=lambda running: tell(running, as_json),
            progress=shown,
        )
