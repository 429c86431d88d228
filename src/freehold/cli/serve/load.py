"""`freehold load`: how an endpoint does under load."""

from __future__ import annotations

from pathlib import Path

import click

from freehold.cli.options import config_option, json_option, print_json, variable_name
from freehold.cli.output import echo


@click.command("load")
@click.argument("url", required=False)
@click.option("--model", help="Model to ask for (default: the first the endpoint lists).")
@click.option(
    "--streams", default="1,4,8", show_default=True, help="Requests at once, one level after another."
)
@click.option(
    "--seconds",
    default=15.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="How long each level is held.",
)
@click.option("--traces", "from_traces", is_flag=True, help="Ask what the project's traces asked.")
@click.option("--api-key-env", callback=variable_name, help="Environment variable with the endpoint's key.")
@config_option
@json_option("freehold.types.serving:LoadReport")
def command(
    url: str | None,
    model: str | None,
    streams: str,
    seconds: float,
    from_traces: bool,
    api_key_env: str | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Drive the endpoint at URL (default: this project's gateway) and print what it did.

    Only load endpoints that are yours.

    \b
    Example:
      freehold load --streams 1,4,8,32
      freehold load http://127.0.0.1:8420 --traces --seconds 30 --json
    """
    from freehold.cli.progress import progress
    from freehold.workflows.project import open_project
    from freehold.workflows.serve import measure
    from freehold.workflows.serve.measure import find_endpoint

    project = open_project(config_path)
    wanted = measure.parse_streams(streams)
    endpoint = find_endpoint(url or project.gateway_url, api_key_env=api_key_env)
    with progress() as shown:
        report = measure.load(
            project,
            endpoint=endpoint,
            model=model or endpoint.models[0].name,
            workload=measure.workload_of(project, from_traces=from_traces),
            streams=wanted,
            seconds=seconds,
            progress=shown,
        )
    if as_json:
        print_json(report)
        return
    echo(
        f"{'streams':>7} {'req/s':>8} {'prompt tok/s':>13} {'tok/s':>8} {'TTFT p50':>9} {'p95 ms':>8} "
        f"{'gap p50':>8} {'p95 ms':>8} {'total p50':>10} {'p95 ms':>8} {'errors':>7}"
    )
    for level in report.levels:
        echo(
            f"{level.streams:7} {level.requests_per_second:8.2f} {level.prompt_tokens_per_second:13.0f} "
            f"{level.completion_tokens_per_second:8.1f} {level.ttft_ms.p50 or 0:9.0f} "
            f"{level.ttft_ms.p95 or 0:8.0f} {level.inter_token_ms.p50 or 0:8.1f} "
            f"{level.inter_token_ms.p95 or 0:8.1f} {level.total_ms.p50 or 0:10.0f} "
            f"{level.total_ms.p95 or 0:8.0f} {sum(level.errors.values()):7}"
        )
    for level in report.levels:
        for kind, count in sorted(level.errors.items()):
            echo(f"errors  {level.streams} streams: {count} × {kind}")
    echo(f"knee    {report.knee_streams} streams give 90% of the best tokens/s")
