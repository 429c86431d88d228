"""`freehold console`: watch a rollout in the browser, and move traffic back with one button."""

from __future__ import annotations

import getpass
import secrets
from pathlib import Path

import click

from freehold.cli.options import allow_host_option, config_option
from freehold.cli.output import echo


@click.command("console")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8425, show_default=True, help="Port; 0 takes a free one."
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to bind. Loopback unless you say otherwise.",
)
@allow_host_option
@click.option("--open/--no-open", "open_browser", default=False, help="Open the page in a browser.")
@config_option
def command(
    port: int, host: str, hosts: tuple[str, ...], open_browser: bool, config_path: Path | None
) -> None:
    """Watch routes, rollouts and traffic in the browser; advance, pause, promote or roll back.

    The address carries a token made for this run: anyone who has it can move traffic. What customers write is never
    shown. Ctrl-C ends it; traffic does not depend on it.

    \b
    Example:
      freehold console
      freehold console --port 0 --open
    """
    from freehold.console.serving import serve
    from freehold.workflows.project import open_project

    project = open_project(config_path)
    token = secrets.token_urlsafe(24)

    def ready(url: str) -> None:
        address = f"{url}/?token={token}"
        echo(address)
        echo("Ctrl-C ends the console. Traffic goes on without it.", err=True)
        if open_browser:
            click.launch(address)

    serve(
        project,
        host=host,
        port=port,
        hosts=hosts,
        token=token,
        who=f"{getpass.getuser()} (console)",
        ready=ready,
    )
