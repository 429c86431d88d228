"""`freehold catalog`: the models freehold knows, and what is new on a hub."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from freehold.cli.options import hanging, json_option, now, print_json, short_count
from freehold.cli.output import echo
from freehold.types.units import GIB, gib

if TYPE_CHECKING:
    from freehold.catalog.synced import CatalogChange, Shadow, SyncedModel
    from freehold.types.model import Model, Shape
    from freehold.workflows.choose.catalog import ModelDetails
    from freehold.workflows.choose.catalog_status import CatalogStatus


@click.group("catalog")
def command() -> None:
    """List and show the models freehold knows, say how old that is, ask a hub what is new.

    \b
    Example:
      freehold catalog list gemma
      freehold catalog status
      freehold catalog sync Qwen/Qwen3-8B
    """


@command.command("list")
@click.argument("part", required=False)
@json_option("freehold.cli.printed:KnownModels")
def list_command(part: str | None, as_json: bool) -> None:
    """List known models, or those whose id, family or publisher contains PART. Exit code 1 when there is none.

    \b
    Example:
      freehold catalog list
      freehold catalog list mistral --json
    """
    from freehold.catalog import unlisted
    from freehold.catalog.freshness import said
    from freehold.catalog.synced import shadows
    from freehold.hardware.tensors import parameter_count
    from freehold.settings import load
    from freehold.workflows.choose.catalog import list_models

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
        for row in unlisted.rows():
            if part is not None and any(part.lower() in name.lower() for name in row.ids):
                echo(
                    hanging(
                        f"{', '.join(row.ids)} ({row.released}): {row.why}", "known without a row: ", "  "
                    ),
                    err=True,
                )
        echo(f"nothing known contains {part!r}: freehold catalog sync asks a hub", err=True)
        raise SystemExit(1)


@command.command("show")
@click.argument("model")
@json_option("freehold.cli.printed:ShippedModel", synced="freehold.catalog.synced:SyncedModel")
def show(model: str, as_json: bool) -> None:
    """Show what is known about MODEL: shape, context, chat template, tools, published files and scores.

    \b
    Example:
      freehold catalog show google/gemma-3-27b-it
    """
    from msgspec import to_builtins

    from freehold.catalog.synced import shadow_of
    from freehold.settings import load
    from freehold.types.model import Model
    from freehold.workflows.choose.catalog import details, get_model

    found = get_model(load(), model)
    if isinstance(found, Model):
        more = details(found)
        if as_json:
            print_json({**to_builtins(found), **to_builtins(more)})
        else:
            _show_shipped(found, more)
            shadow = shadow_of(load().home, found)
            if shadow is not None:
                echo(_overruled(shadow))
    elif as_json:
        print_json(found, "synced")
    else:
        _show_synced(found)


@command.command("status")
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Count days to this date (default: today).")
@json_option("freehold.workflows.choose.catalog_status:CatalogStatus")
def status_command(as_of: datetime | None, as_json: bool) -> None:
    """Say how old each part of the catalog is and what is missing from it. Exit code 1 when a part is stale.

    A part is stale when its newest row was read more days ago than such facts hold; a fact that is stale says so where
    it is used. Missing: models known to exist without a row and why, models whose way with tools was not looked up,
    licences whose text was not read.

    \b
    Example:
      freehold catalog status
      freehold catalog status --as-of 2027-06-01 --json
    """
    from freehold.settings import load
    from freehold.workflows.choose.catalog_status import status

    found = status(load(), (as_of or now()).date())
    if as_json:
        print_json(found)
    else:
        _show_status(found)
    if found.stale:
        raise SystemExit(1)


@command.command("sync")
@click.argument("models", nargs=-1)
@click.option("--owner", "owners", multiple=True, help="Only this owner on the hub; repeatable.")
@click.option(
    "--newest",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="Repositories looked at per owner.",
)
@json_option("freehold.workflows.choose.catalog:SyncResult")
def sync(models: tuple[str, ...], owners: tuple[str, ...], newest: int, as_json: bool) -> None:
    """Ask the hub what is new: releases of known publishers, or MODELS and their quantizations.

    Licence, sizes (from config.json) and files with their bytes are read, no weights. What is new is kept in the
    folder catalog/ under FREEHOLD_HOME with source and date, and shown as a difference. HF_ENDPOINT and HF_TOKEN
    are honoured.

    \b
    Example:
      freehold catalog sync
      freehold catalog sync Qwen/Qwen3-8B
      freehold catalog sync --owner mistralai --newest 5
    """
    from freehold.cli.progress import progress
    from freehold.settings import load
    from freehold.workflows.choose.catalog import sync as run

    with progress() as bar:
        found = run(load(), models=models, owners=owners, newest=newest, progress=bar)
    if as_json:
        print_json(found)
        return
    echo(f"{found.endpoint}: {found.looked_at} repositories looked at, {len(found.changes)} differences")
    for change in found.changes:
        echo(_difference(change))
    for repo, why in found.unread:
        echo(f"! {repo}: {why}", err=True)


def _show_status(found: CatalogStatus) -> None:
    width = max(len(one.part) for one in found.parts)
    echo(click.style(f"{'part':<{width}} {'rows':>6}  {'read':<24}  fresh for", dim=True))
    for one in found.parts:
        span = f"{one.oldest}" if one.oldest == one.newest else f"{one.oldest}…{one.newest}"
        line = f"{one.part:<{width}} {one.rows:>6}  {span:<24}  {one.stale_days} days"
        days = (found.as_of - one.newest).days
        if one.stale:
            line += "  " + click.style(f"stale: checked {days} days ago", fg="red")
        elif one.stale_rows:
            line += "  " + click.style(f"{one.stale_rows} rows are stale", fg="yellow")
        echo(line)
    echo(
        hanging(f"{', '.join(found.newest)} ({found.newest_released})", f"newest of {found.models} models: ")
    )
    ids = [name for row in found.unlisted for name in row.ids]
    echo(f"missing: {len(ids)} models known to exist have no row")
    for row in found.unlisted:
        echo(hanging(f"{', '.join(row.ids)} ({row.released}): {row.why}", "  - ", "    "))
    if found.tools_unknown:
        echo(hanging(", ".join(found.tools_unknown), "tools not looked up: ", "  "))
    echo(
        f"licences whose text was not read: {len(found.licenses_unread)}; where one counts, rulings say unclear"
    )
    for text in found.licenses_unread:
        echo(hanging(f"{text.name} ({text.releases} releases): {text.source}", "  - ", "    "))
    if found.own:
        echo(f"your own records: {found.own} (freehold catalog list)")
    for shadow in found.shadows:
        echo(_overruled(shadow))
    if found.stale:
        echo(f"stale: {', '.join(found.stale)}; pip install --upgrade freehold", err=True)


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
