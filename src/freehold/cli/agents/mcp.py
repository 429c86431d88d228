"""`freehold mcp`: the server for coding agents, and the confirmations that only its user gives."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from freehold.cli.amounts import budget
from freehold.cli.options import config_option, hanging, json_option, print_json
from freehold.cli.output import echo
from freehold.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from freehold.agents.mcp.calling import AgentServer


@click.group("mcp", invoke_without_command=True)
@click.option(
    "--confirm",
    "confirms",
    type=click.Choice(["client", "terminal"]),
    default="client",
    show_default=True,
    help="Who asks you: the client, where it can, or a terminal alone (freehold mcp confirm).",
)
@click.option(
    "--allow",
    "allowed",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A folder besides the project's own.",
)
@click.option(
    "--max-requests",
    type=click.IntRange(0),
    default=1000,
    show_default=True,
    help="Requests to models that tools may send while the server runs.",
)
@click.option(
    "--budget-usd",
    metavar="USD",
    type=budget,
    default="5",
    show_default=True,
    help="Dollars they may spend.",
)
@click.option(
    "--with-words",
    is_flag=True,
    help="Let the agent see words of traffic: questions, answers, rejected lines.",
)
@click.option("--read-only", is_flag=True, help="Only the tools that change nothing.")
@config_option
@click.pass_context
def command(context: click.Context, /, **asked: Any) -> None:
    """Serve this project's questions to a coding agent, by the Model Context Protocol.

    The agent gets a tool for each question of freehold. What moves traffic, spends money, trains, asks an endpoint or
    deletes asks you first. It names files of the project's folder only, and sees no customer's words unless you allow
    it. Needs the extra `mcp`.

    \b
    Examples:
      claude mcp add freehold -- freehold mcp
      freehold mcp --confirm terminal --budget-usd 0
      freehold mcp --read-only
      freehold mcp confirm
    """
    if context.invoked_subcommand is not None:
        return
    from importlib.util import find_spec

    if find_spec("mcp") is None:
        raise MissingExtraError("the server for coding agents", "mcp")
    if sys.stdin.isatty():
        raise UsageError(
            "this speaks to a program on stdin and stdout, not to people",
            hint="claude mcp add freehold -- freehold mcp",
        )
    from freehold.agents.mcp.opening import serve_stdio

    serve_stdio(lambda: _library_server(asked))


def _agent(asked: dict[str, Any]) -> AgentServer:
    from freehold.agents.mcp.calling import AgentLimits, AgentServer
    from freehold.agents.mcp.tools import TOOLS
    from freehold.workflows.project import open_project

    project = open_project(asked["config_path"], looks=True)
    limits = AgentLimits(
        **{name: asked[name] for name in ("max_requests", "budget_usd", "with_words", "read_only")}
    )
    return AgentServer(project.root, TOOLS, limits, allowed=asked["allowed"])


def _library_server(asked: dict[str, Any]) -> Any:
    from freehold.agents.mcp.server import build

    return build(_agent(asked), elicits=asked["confirms"] == "client", say=lambda text: echo(text, err=True))


@command.command("confirm")
@config_option
@json_option("freehold.agents.mcp.confirming:ConfirmationRequest[]")
def confirm(config_path: Path | None, as_json: bool) -> None:
    """Show what an agent asks to do, and let it: prints a code, once, for you to give to the agent.

    Needs a terminal. A code is for one call with exactly these arguments, and lasts a quarter of an hour. With --json
    the requests are listed and none is let through.

    \b
    Examples:
      freehold mcp confirm
      freehold mcp confirm --json
    """
    from freehold.agents.mcp.calling import confirmations_of
    from freehold.workflows.project import open_project

    desk = confirmations_of(open_project(config_path, looks=True).root)
    waiting = desk.waiting()
    if as_json:
        print_json([_without_code(one) for one in waiting])
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "a confirmation needs a terminal: it is you who agrees, not a program",
            hint="run freehold mcp confirm in a terminal of your own",
        )
    if not waiting:
        echo("nothing waits for you", err=True)
    for one in waiting:
        echo(click.style(f"\n{one.tool}", bold=True) + f"  asked at {one.asked_at:%H:%M:%S} UTC")
        echo(hanging(one.what, "  "))
        if click.confirm("Let the agent do this, once?", default=False, err=True):
            echo(f"  give the agent this code: {click.style(desk.approve(one), bold=True)}")
        else:
            desk.refuse(one)
            echo("  refused")


def _without_code(request: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(request, code=None)
