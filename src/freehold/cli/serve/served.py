"""`freehold served`: look at a running server, and change what it serves without a restart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import config_option, json_option, print_json
from freehold.cli.output import echo
from freehold.types.units import gib

if TYPE_CHECKING:
    from freehold.engines.pool.pool import ModelStatus

port_option = click.option("--port", type=int, help="Port of the server that is meant, where several run.")


@click.group("served")
def command() -> None:
    """See what this project serves now; add and remove adapters, without a restart.

    \b
    Example:
      freehold served list
      freehold served add-adapter support=.freehold/adapters/support
    """


@command.command("list")
@port_option
@config_option
@json_option("freehold.cli.printed:RunningModels")
def list_command(port: int | None, config_path: Path | None, as_json: bool) -> None:
    """List the models of the running server: state, memory, adapters, requests under way.

    \b
    Example:
      freehold served list --json
    """
    from freehold.workflows.project import open_project
    from freehold.workflows.serve import served

    found, models = served.status(open_project(config_path), port=port)
    if as_json:
        print_json({"url": found.url, "models": models})
        return
    echo(f"{found.url}/v1", err=True)
    tell(models)


@command.command("add-adapter")
@click.argument("adapter", metavar="NAME=PATH")
@click.option("--model", help="The base it belongs to, where several models are served.")
@port_option
@config_option
@json_option("freehold.cli.printed:ServedModels")
def add_adapter(
    adapter: str, model: str | None, port: int | None, config_path: Path | None, as_json: bool
) -> None:
    """Serve an adapter as MODEL:NAME from now on. Requests under way are not disturbed.

    \b
    Example:
      freehold served add-adapter support=.freehold/adapters/support
    """
    from freehold.workflows.project import open_project
    from freehold.workflows.serve import served

    name, models = served.add_adapter(open_project(config_path), adapter, model=model, port=port)
    _show(models, as_json, f"served as {name}")


@command.command("remove-adapter")
@click.argument("name")
@port_option
@config_option
@json_option("freehold.cli.printed:ServedModels")
def remove_adapter(name: str, port: int | None, config_path: Path | None, as_json: bool) -> None:
    """Serve the adapter NAME no longer. Requests for it that are under way finish.

    \b
    Example:
      freehold served remove-adapter support
    """
    from freehold.workflows.project import open_project
    from freehold.workflows.serve import served

    _show(served.remove_adapter(open_project(config_path), name, port=port), as_json)


def _show(models: Sequence[ModelStatus], as_json: bool, said: str | None = None) -> None:
    if as_json:
        print_json({"models": models})
        return
    if said is not None:
        echo(said)
    tell(models)


def tell(models: Sequence[ModelStatus]) -> None:
    """A line a model, its adapters below it."""
    for one in models:
        parts = [gib(one.bytes, 2)] if one.bytes else []
        parts += [f"{one.busy} under way"] if one.busy else []
        parts += [f"{one.restarts} restarts"] if one.restarts else []
        echo(f"{one.state:10} {one.model}" + (f"   {', '.join(parts)}" if parts else ""))
        for adapter in one.adapters:
            echo(f"{'':10} {adapter}")
        if one.trouble:
            echo(f"{'':10} last trouble: {one.trouble}")
