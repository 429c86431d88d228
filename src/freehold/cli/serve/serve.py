"""`freehold serve`: a model and its adapters behind the gateway, each by its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import (
    allow_host_option,
    config_option,
    json_option,
    print_json,
)
from freehold.cli.output import echo
from freehold.types.engine import ENGINE_KINDS

if TYPE_CHECKING:
    from freehold.workflows.serve.hold import ServedAt


@click.command("serve")
@click.argument("models", nargs=-1, metavar="MODEL…")
@click.option(
    "--adapter", "adapters", multiple=True, metavar="NAME=PATH", help="Serve an adapter as MODEL:NAME."
)
@click.option(
    "--engine",
    type=click.Choice(["auto", *(name for name, kind in ENGINE_KINDS.items() if not kind.is_rented)]),
    help="What runs the model (default: [serve] engine, else auto).",
)
@click.option(
    "--context",
    "context_tokens",
    type=click.IntRange(min=1),
    help="Tokens for each request (default: [serve] context_tokens, else 2048).",
)
@click.option(
    "--parallel",
    type=click.IntRange(min=1),
    help="Requests served at once (default: [serve] parallel, else 4).",
)
@click.option("--kv-type", default="f16", show_default=True, help="Type of the KV cache, for example q8_0.")
@click.option("--quant", "quantization", help="Quantization of the weights.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Port (default: [serve] port, else FREEHOLD_PORT)."
)
@click.option("--host", help="Address to listen on. Loopback unless you say otherwise.")
@allow_host_option
@click.option(
    "--without-keys",
    is_flag=True,
    help="Let everybody ask who reaches --host. Needed for an address beyond loopback.",
)
@config_option
@json_option("freehold.cli.printed:Serving")
def command(  # click passes each option
    models: tuple[str, ...],
    adapters: tuple[str, ...],
    engine: str | None,
    context_tokens: int | None,
    parallel: int | None,
    kv_type: str,
    quantization: str | None,
    port: int | None,
    host: str | None,
    hosts: tuple[str, ...],
    without_keys: bool,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Serve models on one OpenAI-compatible address, each by its name, until Ctrl-C.

    MODEL is what freehold pull takes, or echo for the shipped fake. Several are all loaded at the start, and refused
    where their memory is not enough for all of them.

    \b
    Example:
      freehold serve HuggingFaceTB/SmolLM2-135M-Instruct --adapter support=.freehold/adapters/support
      freehold serve org/small org/large
      freehold serve echo --port 8500
    """
    import msgspec

    from freehold.cli.progress import progress
    from freehold.workflows.project import open_project
    from freehold.workflows.serve import serve
    from freehold.workflows.serve.plan import of_config, plans

    project = open_project(config_path).also_under(hosts)
    with progress() as shown:
        serve.check_open(project, host, without_keys=without_keys)
        serve.check_address(project, host, port)  # before a pull that may take minutes
        told = of_config(project.config.serve)
        request = msgspec.structs.replace(
            told,
            context_tokens=context_tokens or told.context_tokens,
            parallel=parallel or told.parallel,
            kv_type=kv_type,
            quantization=quantization,
        )
        made = plans(project, models, request, adapters=adapters, engine=engine, progress=shown)
        serve.serve(
            project,
            made,
            host=host,
            port=port,
            ready=lambda running: tell(running, as_json),
            progress=shown,
        )


def tell(running: ServedAt, as_json: bool) -> None:
    """Say where it answers and to which names."""
    if as_json:
        print_json({"url": running.url, "models": running.models, "logs": running.logs})
        return
    from freehold.types.endpoint import INCUMBENT

    echo(f"ready   {running.url}/v1")
    for name in running.models:
        echo(f"model   {name}")
    for endpoint in running.remote:
        for served in endpoint.models:
            echo(f"model   {served.name}   (passed on to {endpoint.name})")
    if running.others_to is not None:
        echo(f"others  whatever else is asked   (passed on to {running.others_to})")
    elif any(endpoint.name == INCUMBENT for endpoint in running.remote):
        echo('others  refused; [incumbent] others = "pass" passes them on, with the key it names', err=True)
    echo(f"logs    {running.logs}   (Ctrl-C stops)", err=True)
