"""`freehold skill`: teach a coding agent how to use freehold."""

from __future__ import annotations

from pathlib import Path

import click

from freehold.cli.options import json_option, print_json
from freehold.cli.output import echo
from freehold.errors import UsageError

AGENTS = ("claude", "codex", "cursor", "gemini", "copilot", "agents")


@click.group("skill")
def command() -> None:
    """Teach a coding agent how to use freehold: a skill (agentskills.io), a page for each subject.

    \b
    Example:
      freehold skill install
    """


@command.command("install")
@click.option(
    "--agent",
    "agents",
    multiple=True,
    type=click.Choice(AGENTS),
    help="For this one; repeatable (default: those whose folder is here). agents: the open standard's folder.",
)
@click.option("--user", "at_home", is_flag=True, help="For all projects: into the home folder.")
@json_option("freehold.agents.skill.install:InstalledSkill[]")
def install_command(agents: tuple[str, ...], at_home: bool, as_json: bool) -> None:
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
    from freehold.agents.skill.install import FOLDERS, agents_in_use, install
    from freehold.workflows.project import current_folder

    base = Path.home() if at_home else current_folder()
    named = [name for name in FOLDERS if name in agents] or agents_in_use(base)
    if not named:
        raise UsageError(
            f"no agent's folder is in {base}", hint="name one: freehold skill install --agent claude"
        )
    made = install(named, base, at_home=at_home)
    if as_json:
        print_json(made)
    else:
        for one in made:
            counts = ", ".join(
                f"{sum(file.change == change for file in one.files)} {word}"
                for change, word in _WORDS.items()
                if any(file.change == change for file in one.files)
            )
            echo(f"{one.agent}: {one.folder}  {counts}")
            for path in one.kept:
                echo(f"  left, you changed it: {path}", err=True)
    if any(one.kept for one in made):
        raise SystemExit(1)


_WORDS = {
    "new": "new",
    "updated": "brought up to date",
    "same": "unchanged",
    "removed": "removed",
    "changed_by_you": "left",
}
