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
    help="Address to bind. Where other machines reach it, all who come are asked for a key of the gateway.",
)
@allow_host_option
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
@config_option
def command(
    port: int,
    host: str,
    hosts: tuple[str, ...],
    role: Literal["read", "operate", "admin"],
    content: bool,
    config_path: Path | None,
) -> None:
    """The project in the browser: where it stands, traffic, proof, rollout, keys; and the buttons that move it.

    The address carries a token made for this run: who has it may do what --role says. Others show a key of the gateway
    (freehold keys add NAME --role read|operate|admin). Ctrl-C ends it; traffic does not depend on it.

    \b
    Example:
      freehold console
      freehold console --port 0
      freehold console --role read --no-content
      freehold console --host 0.0.0.0 --allow-host ops.example.com
    """
    from freehold.console.app import serve
    from freehold.console.guard import Visitor
    from freehold.engines.ports import is_loopback
    from freehold.workflows.project import open_project
    from freehold.workflows.shift import keys

    project = open_project(config_path)
    login = not is_loopback(host)  # who reaches it from another machine shows a key
    if login:
        keys.check_login(project, at=now())
    token = None if login else secrets.token_urlsafe(24)

    def ready(url: str) -> None:
        # After the #: a browser sends that part to no server.
        address = url if token is None else f"{url}/#token={token}"
        echo(address)
        echo("Ctrl-C ends the console. Traffic goes on without it.", err=True)

    serve(
        project,
        host=host,
        port=port,
        hosts=hosts,
        token=token,
        visitor=Visitor(f"{caller()} (console)", role, content=content),
        ready=ready,
    )
