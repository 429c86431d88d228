"""`freehold catalog`: the models freehold knows, and what is new on a hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from freehold.cli.options import hanging, json_option, now, print_json, short_count
from freehold.cli.output import echo
from freehold.visible import GIB, gib

if TYPE_CHECKING:
    from freehold.catalog.synced import CatalogChange, Shadow, SyncedModel
    from freehold.types.model import Model, Shape
    from freehold.workflows.choose.catalog import ModelDetails


@click.group("catalog")
def command() -> None:
    """List and show the models freehold knows, ask a hub what is new.

    \b
    Example:
      freehold catalog list gemma
      freehold catalog list google/gemma-3-27b-it
      freehold catalog sync Qwen/Qwen3-8B
    """


@command.command("list")
@click.argument("part", required=False)
@json_option(
    "freehold.cli.printed:KnownModels",
    model="freehold.cli.printed:ShippedModel",
    synced="freehold.catalog.synced:SyncedModel",
)
def list_command(part: str | None, as_json: bool) -> None:
    """List known models, or those whose id, family or publisher contains PART. Exit code 1 when there is none.

    Where PART is the whole name of a model, show what is known about it: shape, context, chat template, tools,
    published files and scores.

    \b
    Example:
      freehold catalog list
      freehold catalog list mistral --json
      freehold catalog list google/gemma-3-27b-it
    """
    from freehold.catalog.freshness import said
    from freehold.catalog.models import unlisted_rows
    from freehold.catalog.synced import shadows
    from freehold.hardware.tensors import parameter_count
    from freehold.settings import load
    from freehold.workflows.choose.catalog import known_model, list_models

    model = None if part is None else known_model(load(), part)
    if model is not None:
        _show(model, as_json)
        return
    shipped, own = list_models(load(), family=part)
    if as_json:
        print_json({"shipped": shipped, "synced": own})
        if not shipped and not own:
            raise SystemExit(1)
        return
    if shipped:
        echo(click.style(f"{'model':<46}{'size':>7} {'context':>10}  checked", dim=True))
    for model in shipped:
        count = short_count(parameter_count(model.shape))
        context = f"{model.shape.context_tokens:,}"
        age = said("models", model.checked, now().date()).removeprefix("checked ")
        echo(f"{model.id:<46}{count:>7} {context:>10}  {age}")
    overruled = {one.id: one for one in shadows(load().home)}
    for one in own:
        count = short_count(parameter_count(one.shape)) if one.shape else "?"
        context = f"{one.shape.context_tokens:,}" if one.shape else "?"
        echo(
            f"{one.id:<46}{count:>7} {context:>10}  synced {one.fetched}, {one.license or 'no licence stated'}"
        )
        if one.id in overruled:
            echo(_overruled(overruled[one.id]))
    if not shipped and not own:
        for row in unlisted_rows():
            if part is not None and any(part.lower() in name.lower() for name in row.ids):
                echo(
                    hanging(
                        f"{', '.join(row.ids)} ({row.released}): {row.why}", "known without a row: ", "  "
                    ),
                    err=True,
                )
        echo(f"nothing known contains {part!r}: freehold catalog sync asks a hub", err=True)
        raise SystemExit(1)


@command.command("sync")
@click.argument("models", nargs=-1)
@click.option("--owner", "owners", multiple=True, help="Only this owner on the hub; repeatable.")
@json_option("freehold.workflows.choose.catalog:SyncResult")
def sync(models: tuple[str, ...], owners: tuple[str, ...], as_json: bool) -> None:
    """Ask the hub what is new: releases of known publishers, or MODELS and their quantizations.

    Licence, sizes (from config.json) and files with their bytes are read, no weights. What is new is kept in the
    folder catalog/ under FREEHOLD_HOME with source and date, and shown as a difference. HF_ENDPOINT and HF_TOKEN
    are honoured.

    \b
    Example:
      freehold catalog sync
      freehold catalog sync Qwen/Qwen3-8B
      freehold catalog sync --owner mistralai
    """
    from freehold.cli.progress import progress
    from freehold.settings import load
    from freehold.workflows.choose.catalog import sync as run

    with progress() as bar:
        found = run(load(), models=models, owners=owners, progress=bar)
    if as_json:
        print_json(found)
        return
    echo(f"{found.endpoint}: {found.looked_at} repositories looked at, {len(found.changes)} differences")
    for change in found.changes:
        echo(_difference(change))
    for repo, why in found.unread:
        echo(f"! {repo}: {why}", err=True)


def _show(model: Model | SyncedModel, as_json: bool) -> None:
    from msgspec import to_builtins

    from freehold.catalog.synced import SyncedModel, shadow_of
    from freehold.settings import load
    from freehold.workflows.choose.catalog import details

    if isinstance(model, SyncedModel):
        if as_json:
            print_json(model, "synced")
        else:
            _show_synced(model)
        return
    more = details(model)
    if as_json:
        print_json({**to_builtins(model), **to_builtins(more)}, "model")
        return
    _show_shipped(model, more)
    if (shadow := shadow_of(load().home, model)) is not None:
        echo(_overruled(shadow))


def _overruled(shadow: Shadow) -> str:
    """A record of the user's that is not used, and what it says otherwise."""
    color = "yellow" if shadow.differs else None
    return click.style(hanging(f"{shadow.id}: {shadow.said()}", "  ! ", "    "), fg=color, dim=color is None)


def _difference(change: CatalogChange) -> str:
    if change.kind == "new":
        return click.style(f"+ {change.model}", fg="green") + f"  {change.after}"
    if change.kind == "quantizations":
        parts = [f"+{change.after}" if change.after else "", f"-{change.before}" if change.before else ""]
        return f"~ {change.model}  files: {' '.join(part for part in parts if part)}"
    return f"~ {change.model}  {change.kind}: {change.before} → {change.after}"


def _show_shipped(model: Model, more: ModelDetails) -> None:
    echo(f"{model.id}  ({model.family}, {model.publisher})")
    if model.aliases:
        echo(f"  also         {', '.join(model.aliases)}")
    _shape(model.shape)
    if model.published_parameters:
        echo(f"  published    {model.published_parameters:,} parameters")
    tools = {
        True: "its chat template renders tools",
        False: "no tools in its chat template",
        None: "not looked up",
    }
    if model.chat_template:
        echo(f"  chat         {model.chat_template} (llama.cpp's name for how turns are written)")
    echo(f"  tools        {tools[model.tools]}")
    if model.vision:
        echo("  images       yes")
    if model.languages:
        echo(f"  languages    {', '.join(model.languages)}")
    if model.gguf:
        echo(f"  GGUF         {', '.join(model.gguf)}")
    _show_published(model, more)
    if model.released:
        echo(f"  released     {model.released}")
    from freehold.catalog.freshness import said

    echo(hanging(f"{model.source}, {said('models', model.checked, now().date())}", "  source       "))
    if model.note:
        echo(hanging(model.note, "  note         "))


def _show_published(model: Model, more: ModelDetails) -> None:
    """Files by repository, scores by source."""
    files: dict[tuple[str, str], list[str]] = {}
    for one in more.quantizations:
        files.setdefault((one.repo, one.model), []).append(f"{one.quantization} {one.bytes / GIB:.2f}")
    for (repo, of), sizes in files.items():
        echo(f"  files        {repo}{'' if of == model.id else f', of {of}'}")
        echo(f"               {', '.join(sizes)} GiB")
    scores: dict[tuple[str, str], dict[str, list[str]]] = {}
    for score in more.scores:
        tasks = scores.setdefault((score.source, score.model), {})
        recalled = "" if score.seen else ", recalled"
        tasks.setdefault(f"{score.task} {score.metric}", []).append(
            f"{score.score:g} ({score.setting}{recalled})"
        )
    for (source, name), tasks in scores.items():
        echo(f"  scores       {source}, of {name}")
        for task, values in tasks.items():
            echo(f"               {task}: {', '.join(values)}")


def _show_synced(model: SyncedModel) -> None:
    echo(f"{model.id}  (synced, {model.publisher or 'not a publisher of the catalog'})")
    echo(f"  licence      {model.license or 'none stated'} (as its card says: freehold license rules)")
    for relation, base in model.made_from:
        echo(f"  made from    {base} ({relation})")
    if model.shape is not None:
        _shape(model.shape)
    if model.parameters:
        echo(f"  published    {model.parameters:,} parameters")
    for one in model.quantizations:
        echo(f"  GGUF         {one.quantization:<10} {gib(one.bytes):>10}  {one.files[0]}")
    echo(f"  source       {model.source}, read {model.fetched}")
    for note in model.notes:
        echo(hanging(note, "  note         "))


def _shape(shape: Shape) -> None:
    from freehold.hardware.memory import layers_in_words
    from freehold.hardware.tensors import active_parameter_count, parameter_count

    total, active = parameter_count(shape), active_parameter_count(shape)
    echo(f"  parameters   {total:,}" + (f", {active:,} active per token" if active != total else ""))
    echo(f"  {layers_in_words(shape).replace('layers: ', 'layers       ')}")
    echo(
        f"  sizes        hidden {shape.hidden:,}, {shape.heads} heads, {shape.kv_heads} for keys and values, "
        f"vocabulary {shape.vocabulary:,}"
    )
    echo(f"  context      {shape.context_tokens:,} tokens")
