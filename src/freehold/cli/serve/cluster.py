"""`freehold cluster`: one plan on several machines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import config_option, json_option, print_json
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.progress import Progress
    from freehold.types.serving import ClusterPlan, ClusterState
    from freehold.workflows.project import Project


@click.group("cluster")
def command() -> None:
    """Serve one plan on several machines through Ray.

    [cluster] in freehold.toml says how many replicas, where and with what.

    \b
    Example:
      freehold cluster up HuggingFaceTB/SmolLM2-135M-Instruct
      freehold cluster status
    """


adapters_option = click.option(
    "--adapter", "adapters", multiple=True, metavar="NAME=PATH", help="Serve an adapter as MODEL:NAME."
)


@command.command("up")
@click.argument("model")
@adapters_option
@config_option
@json_option("freehold.types.serving:ClusterState")
def up_command(model: str, adapters: tuple[str, ...], config_path: Path | None, as_json: bool) -> None:
    """Start MODEL's replicas on the cluster, and say where it answers.

    With [cluster] address the replicas stay when this command ends, until freehold cluster down. Without one the
    cluster is this command: it serves until Ctrl-C.

    \b
    Example:
      freehold cluster up HuggingFaceTB/SmolLM2-135M-Instruct
    """
    from freehold.cli.progress import progress
    from freehold.workflows.project import open_project
    from freehold.workflows.serve import cluster

    project = open_project(config_path)
    with progress() as shown:
        made = _plan(project, model, adapters, shown)
        cluster.up(project, made, ready=lambda state: _tell(state, as_json), progress=shown)


@command.command("status")
@config_option
@json_option("freehold.types.serving:ClusterState")
def status_command(config_path: Path | None, as_json: bool) -> None:
    """Say how the replicas are and on which machine each is.

    \b
    Example:
      freehold cluster status --json
    """
    from freehold.workflows.project import open_project
    from freehold.workflows.serve import cluster

    _tell(cluster.status(open_project(config_path)), as_json)


@command.command("down")
@config_option
@json_option("freehold.types.serving:TakenDown")
def down_command(config_path: Path | None, as_json: bool) -> None:
    """Take the replicas off the cluster; requests under way are finished.

    \b
    Example:
      freehold cluster down
    """
    from freehold.workflows.project import open_project
    from freehold.workflows.serve import cluster

    was_there = cluster.down(open_project(config_path))
    if as_json:
        from freehold.types.serving import TakenDown

        print_json(TakenDown(was_running=was_there))
        return
    echo("stopped" if was_there else "nothing of this project was running", err=True)


def _plan(project: Project, model: str, adapters: tuple[str, ...], shown: Progress) -> ClusterPlan:
    from freehold.workflows.serve import cluster
    from freehold.workflows.serve.plan import of_config, pull_and_plan
    from freehold.workflows.weights.trained import mount

    planned = pull_and_plan(
        model,
        of_config(project.config.serve),
        project.settings,
        adapters=[mount(text, model) for text in adapters],
        progress=shown,
    )
    return cluster.plan(project, planned)


def _tell(state: ClusterState, as_json: bool) -> None:
    if as_json:
        print_json(state)
        return
    echo(f"{state.status.lower()}   {state.nodes} machine{'s' if state.nodes != 1 else ''}")
    for replica in state.replicas:
        echo(f"replica   {replica.id}  {replica.state.lower():10} on {replica.node[:12]}")
    if state.endpoint is not None:
        echo(f"url       {state.endpoint.base_url}/v1")
        for model in state.endpoint.models:
            echo(f"model     {model.name}")
    if state.message:
        echo(state.message, err=True)
