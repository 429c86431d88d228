"""`freehold engines`: what can serve here, and building llama.cpp for this CPU."""

from __future__ import annotations

import click

from freehold.cli.options import json_option, print_json


@click.group("engines")
def command() -> None:
    """List the engines, and build llama.cpp for this CPU.

    \b
    Example:
      freehold engines list
      freehold engines install llamacpp --native
    """


@command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List the engines and whether they can be used here.

    \b
    Example:
      freehold engines list --json
    """
    from freehold.settings import load
    from freehold.workflows.engines import list_engines

    lines = list_engines(load())
    if as_json:
        print_json(lines)
        return
    for line in lines:
        click.echo(f"{line.name:10} {'yes' if line.available else 'no':4} {line.note}")


@command.command("install")
@click.argument("engine", type=click.Choice(["llamacpp"]))
@click.option("--native", "is_native", is_flag=True, required=True, help="Build it for this very CPU.")
@click.option("--force", is_flag=True, help="Build even where it cannot help.")
@json_option
def install_command(engine: str, is_native: bool, force: bool, as_json: bool) -> None:
    """Build an engine for this CPU, measure it, and use it where it is faster.

    Takes about seven minutes on two cores and 1 GiB of disk; a second run goes on where the first stopped.
    Needs a C++ compiler and cmake.

    \b
    Example:
      freehold engines install llamacpp --native
    """
    from freehold.cli.progress import progress
    from freehold.settings import load
    from freehold.workflows.engines import install_native
    from freehold.workflows.project import open_project

    with progress() as shown:
        built = install_native(load(), log_dir=open_project().state / "engines", force=force, progress=shown)
    if as_json:
        print_json(built)
        return
    for name, speed in (("built", built.speed), ("prebuilt", built.wheel_speed)):
        if speed is not None:
            click.echo(
                f"{name:9} {speed.prompt_tokens_per_second:8,.0f} prompt · "
                f"{speed.completion_tokens_per_second:6,.0f} generated tokens/s"
            )
    click.echo(f"used from now on: {'the build' if built.chosen else 'the prebuilt library'}")
