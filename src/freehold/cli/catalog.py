"""`freehold catalog`: the models freehold knows, and what is new on a hub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click
from msgspec import to_builtins

from freehold.cli.operation import BAR, Reply, arg, group, operation, opt
from freehold.cli.options import now
from freehold.cli.output import Aside, Block, TableRows, short_count
from freehold.types.model import Model, Shape
from freehold.visible import GIB, gib

if TYPE_CHECKING:
    from freehold.catalog.synced import CatalogChange, Shadow, SyncedModel
    from freehold.progress import Progress
    from freehold.workflows.choose.catalog import ModelDetails, SyncResult


@group("catalog")
def catalog() -> None:
    """List and show the models freehold knows, ask a hub what is new.

    \b
    Example:
      freehold catalog list gemma
      freehold catalog list google/gemma-3-27b-it
      freehold catalog sync Qwen/Qwen3-8B
    """


@operation(
    "list",
    "freehold.cli.printed:KnownModels",
    model="freehold.cli.printed:ShippedModel",
    synced="freehold.catalog.synced:SyncedModel",
    within=catalog,
)
def list_command(part: str | None = arg()) -> Reply:
    """List known models, or those whose id, family or publisher contains PART. Exit code 1 when there is none.

    Where PART is the whole name of a model, show what is known about it: shape, context, chat template, tools,
    published files and scores.

    \b
    Example:
      freehold catalog list
      freehold catalog list mistral --json
      freehold catalog list google/gemma-3-27b-it
    """
    from freehold.settings import load
    from freehold.workflows.choose.catalog import details, known_model, list_models

    model = None if part is None else known_model(load(), part)
    if model is None:
        shipped, own = list_models(load(), family=part)
        found = {"shipped": shipped, "synced": own}
        return Reply(found, lambda _: _list(part, shipped, own), 0 if shipped or own else 1)
    if not isinstance(model, Model):
        return Reply(model, _synced, which="synced")
    more = details(model)
    record = {**to_builtins(model), **to_builtins(more)}
    return Reply(record, lambda _: _shipped(model, more), which="model")


def _list(part: str | None, shipped: Sequence[Model], own: Sequence[SyncedModel]) -> Iterator[Block]:
    from freehold.catalog.freshness import said
    from freehold.catalog.models import unlisted_rows
    from freehold.catalog.synced import shadows
    from freehold.hardware.tensors import parameter_count
    from freehold.settings import load

    table = TableRows([("model", "size", "context", "")])
    for model in shipped:
        count, context = short_count(parameter_count(model.shape)), f"{model.shape.context_tokens:,}"
        table.append((model.id, count, context, said("models", model.checked, now().date())))
    for one in own:
        count = short_count(parameter_count(one.shape)) if one.shape else "–"
        context = f"{one.shape.context_tokens:,}" if one.shape else "–"
        terms = one.license or "no licence stated"
        table.append((one.id, count, context, f"synced {one.fetched}, {terms}"))
    if len(table) > 1:
        yield table
    ids = {one.id for one in own}
    yield from (_overruled(one) for one in shadows(load().home) if one.id in ids)
    if not shipped and not own:
        for row in unlisted_rows():
            if part is not None and any(part.lower() in name.lower() for name in row.ids):
                yield Aside(f"known without a row: {', '.join(row.ids)} ({row.released}): {row.why}")
        yield Aside(f"nothing known contains {part!r}: freehold catalog sync asks a hub")


@operation("sync", "freehold.workflows.choose.catalog:SyncResult", within=catalog)
def sync(
    models: tuple[str, ...] = arg(),
    *,
    owners: tuple[str, ...] = opt("Only this owner on the hub; repeatable.", "--owner"),
    bar: Progress = BAR,
) -> Reply:
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
    from freehold.settings import load
    from freehold.workflows.choose.catalog import sync as run

    found = run(load(), models=models, owners=owners, progress=bar)
    return Reply(found, _sync_view)


def _sync_view(found: SyncResult) -> Iterator[Block]:
    yield f"{found.endpoint}: {found.looked_at} repositories looked at, {len(found.changes)} differences"
    yield from map(_difference, found.changes)
    yield from (Aside(f"! {repo}: {why}") for repo, why in found.unread)


def _overruled(shadow: Shadow) -> str:
    """A record of the user's that is not used, and what it says otherwise."""
    color = "yellow" if shadow.differs else None
    return click.style(f"  ! {shadow.id}: {shadow.said()}", fg=color, dim=color is None)


def _difference(change: CatalogChange) -> str:
    if change.kind == "new":
        return click.style(f"+ {change.model}", fg="green") + f"  {change.after}"
    if change.kind == "quantizations":
        parts = [f"+{change.after}" if change.after else "", f"-{change.before}" if change.before else ""]
        return f"~ {change.model}  files: {' '.join(part for part in parts if part)}"
    return f"~ {change.model}  {change.kind}: {change.before} → {change.after}"


TOOLS = {
    True: "its chat template renders tools",
    False: "no tools in its chat template",
    None: "not looked up",
}


def _shipped(model: Model, more: ModelDetails) -> Iterator[Block]:
    from freehold.catalog.freshness import said
    from freehold.catalog.synced import shadow_of
    from freehold.settings import load

    yield f"{model.id}  ({model.family}, {model.publisher})"
    yield "also", ", ".join(model.aliases)
    yield from _shape(model.shape)
    yield "published", f"{model.published_parameters:,} parameters" if model.published_parameters else None
    chat = model.chat_template
    yield "chat", chat and f"{chat} (llama.cpp's name for how turns are written)"
    yield "tools", TOOLS[model.tools]
    yield "images", "yes" if model.vision else None
    yield "languages", ", ".join(model.languages)
    yield "GGUF", ", ".join(model.gguf)
    files: dict[tuple[str, str], list[str]] = {}
    for one in more.quantizations:
        files.setdefault((one.repo, one.model), []).append(f"{one.quantization} {one.bytes / GIB:.2f}")
    for (repo, of), sizes in files.items():
        yield "files", f"{repo}{'' if of == model.id else f', of {of}'}: {', '.join(sizes)} GiB"
    scores: dict[tuple[str, str], dict[str, list[str]]] = {}
    for score in more.scores:
        tasks = scores.setdefault((score.source, score.model), {})
        recalled = "" if score.seen else ", recalled"
        values = tasks.setdefault(f"{score.task} {score.metric}", [])
        values.append(f"{score.score:g} ({score.setting}{recalled})")
    for (source, name), tasks in scores.items():
        yield "scores", f"{source}, of {name}"
        for task, values in tasks.items():
            yield "scores", f"{task}: {', '.join(values)}"
    yield "released", model.released
    yield "source", f"{model.source}, {said('models', model.checked, now().date())}"
    yield "note", model.note
    if (shadow := shadow_of(load().home, model)) is not None:
        yield _overruled(shadow)


def _synced(model: SyncedModel) -> Iterator[Block]:
    yield f"{model.id}  (synced, {model.publisher or 'not a publisher of the catalog'})"
    yield "licence", f"{model.license or 'none stated'} (as its card says: freehold license rules)"
    for relation, base in model.made_from:
        yield "made from", f"{base} ({relation})"
    if model.shape is not None:
        yield from _shape(model.shape)
    yield "published", f"{model.parameters:,} parameters" if model.parameters else None
    for one in model.quantizations:
        yield "GGUF", f"{one.quantization:<10} {gib(one.bytes):>10}  {one.files[0]}"
    yield "source", f"{model.source}, read {model.fetched}"
    for note in model.notes:
        yield "note", note


def _shape(shape: Shape) -> Iterator[Block]:
    from freehold.hardware.memory import layers_in_words
    from freehold.hardware.tensors import active_parameter_count, parameter_count

    total, active = parameter_count(shape), active_parameter_count(shape)
    yield "parameters", f"{total:,}" + (f", {active:,} active per token" if active != total else "")
    yield "layers", layers_in_words(shape).removeprefix("layers: ")
    yield (
        "sizes",
        f"hidden {shape.hidden:,}, {shape.heads} heads, {shape.kv_heads} for keys and values, "
        f"vocabulary {shape.vocabulary:,}",
    )
    yield "context", f"{shape.context_tokens:,} tokens"
