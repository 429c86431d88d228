"""`freehold console`: the project in the browser, and the buttons that move traffic."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Literal

import click

from freehold.cli.options import allow_host_option, caller, config_option, now
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
@click.option(
    "--role",
    type=click.Choice(["read", "operate", "admin"]),
    default="operate",
    show_default=True,
    help="What the printed address is good for: read looks, operate moves traffic as well, admin manages keys too.",
)
@click.option(
    "--content/--no-content",
    default=True,
    show_default=True,
    help="Whether the printed address shows what customers write. A key does if its role is admin.",
)
@click.option(
    "--login",
    is_flag=True,
    help="Ask all who come for a key of the gateway; always so where --host can be reached from other machines.",
)
@config_option
def command(
    port: int,
    host: str,
    hosts: tuple[str, ...],
    open_browser: bool,
    role: Literal["read", "operate", "admin"],
    content: bool,
    login: bool,
    config_path: Path | None,
) -> None:
    """The project in the browser: where it stands, traffic, proof, rollout, keys; and the buttons that move it.

    The address carries a token made for this run: who has it may do what --role says. Others show a key of the gateway
    (freehold keys add NAME --role read|operate|admin). Ctrl-C ends it; traffic does not depend on it.

    \b
    Example:
      freehold console
      freehold console --port 0 --open
      freehold console --role read --no-content
      freehold console --host 0.0.0.0 --allow-host ops.example.com
    """
    from freehold.console.serving import serve
    from freehold.console.sessions import Visitor
    from freehold.engines.ports import is_loopback
    from freehold.workflows.project import open_project
    from freehold.workflows.shift import keys

    project = open_project(config_path)
    login = login or not is_loopback(host)
    if login:
        keys.check_login(project, at=now())
    token = None if login else secrets.token_urlsafe(24)

    def ready(url: str) -> None:
        # After the #: a browser sends that part to no server.
        address = url if token is None else f"{url}/#token={token}"
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
        visitor=Visitor(f"{caller()} (console)", role, content=content),
        ready=ready,
    )
