"""`freehold mcp`: the server for coding agents, what only its user confirms, and `freehold skill`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from freehold.cli.operation import CONFIG, Reply, group, opened, operation, opt
from freehold.cli.options import budget
from freehold.cli.output import Aside, Block, echo
from freehold.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from freehold.agents.skill import InstalledSkill
    from freehold.workflows.project import Project

AGENTS = ("claude", "codex", "cursor", "gemini", "copilot", "agents")
_WORDS = {
    "new": "new",
    "updated": "brought up to date",
    "same": "unchanged",
    "removed": "removed",
    "changed_by_you": "left",
}


@group("mcp", invoke_without_command=True)
def mcp(
    *,
    confirms: str = opt(
        "Who asks you: the client, where it can, or a terminal alone (freehold mcp confirm).",
        "--confirm",
        "client",
        choices=["client", "terminal"],
    ),
    allowed: tuple[Path, ...] = opt("A folder besides the project's own.", "--allow"),
    max_requests: int = opt(
        "Requests to models that tools may send while the server runs.", default=1000, ge=0
    ),
    budget_usd: Decimal = opt("Dollars they may spend.", default="5", parse=budget, metavar="USD"),
    with_words: bool = opt("Let the agent see words of traffic: questions, answers, rejected lines."),
    read_only: bool = opt("Only the tools that change nothing."),
    config_path: Path | None = CONFIG,
) -> None:
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
    if click.get_current_context().invoked_subcommand is not None:
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

    def build() -> Any:
        from freehold.agents.mcp import server
        from freehold.agents.mcp.calling import AgentLimits, AgentServer
        from freehold.agents.mcp.tools import TOOLS
        from freehold.workflows.project import open_project

        limits = AgentLimits(
            max_requests=max_requests, budget_usd=budget_usd, with_words=with_words, read_only=read_only
        )
        root = open_project(config_path, looks=True).root
        agent = AgentServer(root, TOOLS, limits, allowed=allowed)
        return server.build(agent, elicits=confirms == "client", say=lambda text: echo(text, err=True))

    serve_stdio(build)


@operation("confirm", "freehold.agents.mcp.confirming:ConfirmationRequest[]", within=mcp)
def confirm(*, project: Project = opened(looks=True), as_json: bool) -> Reply | None:
    """Show what an agent asks to do, and let it: prints a code, once, for you to give to the agent.

    Needs a terminal. A code is for one call with exactly these arguments, and lasts a quarter of an hour. With --json
    the requests are listed and none is let through.

    \b
    Examples:
      freehold mcp confirm
      freehold mcp confirm --json
    """
    import msgspec

    from freehold.agents.mcp.calling import confirmations_of

    desk = confirmations_of(project.root)
    waiting = desk.waiting()
    if as_json:
        return Reply([msgspec.structs.replace(one, code=None) for one in waiting], lambda _: ())
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "a confirmation needs a terminal: it is you who agrees, not a program",
            hint="run freehold mcp confirm in a terminal of your own",
        )
    if not waiting:
        echo("nothing waits for you", err=True)
    for one in waiting:
        echo(click.style(f"\n{one.tool}", bold=True) + f"  asked at {one.asked_at:%H:%M:%S} UTC")
        echo(f"  {one.what}")
        if click.confirm("Let the agent do this, once?", default=False, err=True):
            echo(f"  give the agent this code: {click.style(desk.approve(one), bold=True)}")
        else:
            desk.refuse(one)
            echo("  refused")
    return None


@group("skill")
def skill() -> None:
    """Teach a coding agent how to use freehold: a skill (agentskills.io), a page for each subject.

    \b
    Example:
      freehold skill install
    """


@operation("install", "freehold.agents.skill:InstalledSkill[]", within=skill)
def install_skill(
    *,
    agents: tuple[str, ...] = opt(
        "For this one; repeatable (default: those whose folder is here). agents: the open standard's folder.",
        "--agent",
        choices=AGENTS,
    ),
    at_home: bool = opt("For all projects: into the home folder.", "--user"),
) -> Reply:
    """Put the skill where the agent looks for it, or bring it up to date. A file that you have changed is left:
    remove it to get the new one.

    Folders: .claude/skills, .agents/skills (Codex and the open standard), .cursor/skills, .gemini/skills and
    .github/skills (Copilot), here or with --user in the home folder. Exit code 1 where a file was left because you
    changed it.

    \b
    Examples:
      freehold skill install
      freehold skill install --agent claude --agent codex --user
      freehold skill install --json
    """
    from freehold.agents.skill import FOLDERS, agents_in_use
    from freehold.agents.skill import install as work
    from freehold.workflows.project import current_folder

    base = Path.home() if at_home else current_folder()
    named = [name for name in FOLDERS if name in agents] or agents_in_use(base)
    if not named:
        raise UsageError(
            f"no agent's folder is in {base}", hint="name one: freehold skill install --agent claude"
        )
    made = work(named, base, at_home=at_home)
    return Reply(made, _installed, int(any(one.kept for one in made)))


def _installed(made: Sequence[InstalledSkill]) -> Iterator[Block]:
    for one in made:
        counts: Counter[str] = Counter(file.change for file in one.files)
        said = ", ".join(f"{counts[change]} {word}" for change, word in _WORDS.items() if counts[change])
        yield f"{one.agent}: {one.folder}  {said}"
        yield from (Aside(f"  left, you changed it: {path}") for path in one.kept)
