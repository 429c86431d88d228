"""The models freehold knows: `models/*.toml`, one file per family, each row with source and date; models known to exist
without a row (`unlisted.toml`); and published scores, as references: what a source measured on a public task.

`scores_makers.toml` has the tables of 2025 and later, `scores.toml` single scores of before. Scores compare within one
task, metric and source only: the same people with the same harness. Settings may differ within a source (tuned against
zero-shot) and are shown.
"""

from __future__ import annotations

import datetime
import difflib
import functools
import math
import re
import tomllib
from collections.abc import Iterator
from datetime import date
from importlib.resources import files
from typing import Any, Literal

import msgspec

from freehold.catalog import tables
from freehold.errors import InputError, UnknownModelError
from freehold.types.model import Model, PublishedForm, Shape
from freehold.types.record import Record


class UnlistedModels(Record, frozen=True, kw_only=True):
    """Models without a row in `models/` and why. `released` is the month of the newest of them."""

    ids: tuple[str, ...]
    released: str
    why: str
    source: str
    checked: date


def unlisted_rows() -> tuple[UnlistedModels, ...]:
    """All rows, in file order."""
    return tables("unlisted.toml", UnlistedModels)


def why_unlisted(model_id: str) -> UnlistedModels | None:
    """The row that names a model, by its id or by whole words that its name begins with; None when there is none."""
    asked = _plain_name(model_id)
    for row in unlisted_rows():
        for name in map(_plain_name, row.ids):
            if name == asked or (name_numbers(asked) and name.startswith(f"{asked}-")):
                return row
    return None


def _plain_name(text: str) -> str:
    """A name after its slash as it is compared: small letters, ``-`` for blanks."""
    return text.lower().rpartition("/")[2].replace(" ", "-")


def name_numbers(text: str) -> list[str]:
    """Numbers of a name, in order: ``Qwen3.8-27B-FP8`` has 3.8, 27 and 8."""
    return re.findall(r"\d+(?:\.\d+)*", _plain_name(text))


def name_words(text: str) -> set[str]:
    """Words of two letters or more of a name."""
    return set(re.findall(r"[a-z]{2,}", _plain_name(text)))


def name_family(text: str) -> str | None:
    """The first of them."""
    found = re.search(r"[a-z]{2,}", _plain_name(text))
    return found[0] if found else None


SHOWN = 3
"""Models of the same family that a hint names."""
SPELT_ALIKE = 0.75
"""Two words that are this alike (`difflib`) may be one and its misspelling."""
PLAIN = frozenset({"instruct", "it", "chat", "hf", "base", "pt", "gguf"})
"""Words of how a model was trained on or is kept: with and without them it has one shape."""


class ModelRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[models]]` table. `shape` is laid over the file's `[shape]`; its `attention` is a pattern that is
    repeated over the layers (``["5*sliding", "full"]``)."""

    id: str
    shape: dict[str, Any]
    source: str
    checked: datetime.date
    aliases: tuple[str, ...] = ()
    published_parameters: int | None = None
    released: str | None = None
    instruct: bool = False
    tools: bool | None = None
    vision: bool = False
    languages: tuple[str, ...] = ()
    gguf: tuple[str, ...] = ()
    chat_template: str | None = None
    published: tuple[PublishedForm, ...] = ()
    note: str | None = None


class FamilyFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file: a family of models by one publisher. `chat_template` holds for all rows without one of their own;
    `quantization` is what the makers publish, where that is not 16 bits; `encoder` as in `Model`."""

    family: str
    publisher: str
    models: tuple[ModelRow, ...]
    shape: dict[str, Any] = {}
    chat_template: str | None = None
    quantization: str | None = None
    encoder: bool = False


@functools.cache
def all_models() -> tuple[Model, ...]:
    """Every model of the catalog, by family file and then in file order."""
    folder = files("freehold.catalog").joinpath("models")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".toml"))
    found: list[Model] = []
    for name in names:
        found.extend(read_family(folder.joinpath(name).read_text(encoding="utf-8"), name))
    return tuple(found)


def read_family(text: str, name: str) -> list[Model]:
    """Models of one family file. Raises `InputError` with the file and the place for anything not understood."""
    try:
        family = msgspec.convert(tomllib.loads(text), FamilyFile)
        return [_model(family, row) for row in family.models]
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, ValueError) as error:
        raise InputError(f"model catalog: {error}", path=name) from None


def _model(family: FamilyFile, row: ModelRow) -> Model:
    raw = {**family.shape, **row.shape}
    raw["attention"] = expand_pattern(raw.get("attention", ["full"]), raw.get("layers", 0))
    shape = msgspec.convert(raw, Shape, strict=True)
    unknown = set(raw) - {field.name for field in msgspec.structs.fields(Shape)}
    if unknown:
        raise ValueError(f"{row.id}: unknown key in shape: {', '.join(sorted(unknown))}")
    return Model(
        id=row.id,
        family=family.family,
        publisher=family.publisher,
        shape=shape,
        source=row.source,
        checked=row.checked,
        aliases=row.aliases,
        published_parameters=row.published_parameters,
        released=row.released,
        instruct=row.instruct,
        tools=row.tools,
        vision=row.vision,
        encoder=family.encoder,
        languages=row.languages,
        gguf=row.gguf,
        chat_template=row.chat_template or family.chat_template,
        quantization=family.quantization,
        published=row.published,
        note=row.note,
    )


def expand_pattern(pattern: list[str], layers: int) -> tuple[str, ...]:
    """``["2*sliding", "full"]`` over 4 layers: sliding, sliding, full, sliding."""
    cycle: list[str] = []
    for part in pattern:
        count, star, kind = part.partition("*")
        cycle.extend([kind] * int(count) if star else [part])
    if not cycle or layers < 1:
        raise ValueError("a shape needs layers and an attention pattern")
    return tuple(cycle[layer % len(cycle)] for layer in range(layers))


@functools.cache
def _by_name() -> dict[str, Model]:
    names: dict[str, Model] = {}
    for model in all_models():
        releases = (one.id for one in model.published if one.id is not None)
        for name in (model.id, *model.aliases, *releases):
            names[name.lower()] = model
            names.setdefault(name.lower().rpartition("/")[2], model)
    return names


def find(model_id: str) -> Model | None:
    """A model by id, alias or release, or by the part of one after the slash, whatever the case; None when unknown."""
    return _by_name().get(model_id.lower())


_COPYISTS = frozenset(
    [
        "unsloth",
        "bartowski",
        "thebloke",
        "mlx-community",
        "lmstudio-community",
        "ggml-org",
        "quantfactory",
        "ollama",
    ]
)
"""Who publish others' models in other forms, each under its own name."""
_FORM = re.compile(
    r"[-_.:](?:gguf|mlx|awq|gptq|unsloth|bnb|imatrix|dynamic|dwq|mxfp4|nvfp4|fp8|int[48]|b?f16|\d-?bit|i?q\d(?:_\w+)?)$"
)


def copied_from(model_id: str) -> Model | None:
    """The model that a quantized or repacked copy is made from: the catalog lists the copy, or one of those who publish
    copies under the model's own name has it, or Ollama's library. None where a name does not say it surely."""
    name = model_id.lower().removeprefix("hf:").removeprefix("ollama:")
    for model in all_models():
        if name in (one.lower() for one in model.gguf):
            return model
    owner, _, bare = name.rpartition("/")
    if owner not in _COPYISTS and (owner or ":" not in bare):
        return None
    while (cut := _FORM.sub("", bare)) != bare:
        bare = cut
    plain = re.sub(r"[^a-z0-9]", "", bare)
    same = {re.sub(r"[^a-z0-9]", "", known): model for known, model in _by_name().items() if "/" not in known}
    # Ollama's names leave out that a model was trained to follow instructions, as nearly all there are.
    endings = ("", "it", "instruct", "chat") if owner else ("it", "instruct", "chat", "")
    return next((same[plain + ending] for ending in endings if plain + ending in same), None)


def published(model: Model, model_id: str) -> PublishedForm | None:
    """The release that `model_id` names: one with an id of its own, else the model's own; None when not known."""
    asked = model_id.lower()
    for one in model.published:
        if one.id is not None and asked in (one.id.lower(), one.id.lower().rpartition("/")[2]):
            return one
    return next((one for one in model.published if one.id is None), None)


def get(model_id: str) -> Model:
    """Like `find`. Raises `UnknownModelError` with what to do: see `hint`."""
    model = find(model_id)
    if model is None:
        raise UnknownModelError(f"model {model_id} is not in the catalog", hint=hint(model_id))
    return model


def read_on() -> datetime.date:
    """The day the newest row of the model catalog was read."""
    return max(model.checked for model in all_models())


def hint(model_id: str) -> str:
    """What to do about a model that the catalog lacks.

    A near name is only offered where it may be what was meant: the same numbers in the same order, as far as it has
    any. Another version or size is another model; the newest of its family are named as what the catalog has instead,
    never as what was meant.
    """
    row = why_unlisted(model_id)
    if row is not None:
        return f"it is known and has no row: {row.why} ({row.source}). {_ways(model_id)}"
    meant = meant_by(model_id)
    if meant:
        return f"did you mean {meant[0]}? {_ways(model_id)}"
    family = of_family(model_id)
    shown = ", ".join(f"{one.id} ({one.released})" if one.released else one.id for one in family)
    known = f" Of its family it has {shown}." if shown else ""
    return f"the catalog of {read_on()} does not know it: a later release, or another name.{known} {_ways(model_id)}"


def meant_by(model_id: str) -> tuple[str, ...]:
    """Catalog ids that a name may be a misspelling of, best first: see `hint`."""
    near = [one for one in nearest_all(model_id, 5) if may_mean(model_id, one)]
    return tuple(near or [one.id for one in all_models() if may_mean(model_id, one.id)])


def may_mean(asked: str, known: str) -> bool:
    """Its numbers are the first of the other's, in their order, and every word of it is spelt nearly so there."""
    said = name_numbers(asked)
    if name_numbers(known)[: len(said)] != said:
        return False
    words = name_words(known)
    return all(
        difflib.get_close_matches(word, words, n=1, cutoff=SPELT_ALIKE) for word in name_words(asked) - PLAIN
    )


def of_family(model_id: str) -> tuple[Model, ...]:
    """Models of the catalog whose name begins with the same word: those that share most words, the newest first."""
    words, family = name_words(model_id), name_family(model_id)
    if family is None:
        return ()
    found = [one for one in all_models() if name_family(one.id) == family]
    found.sort(
        key=lambda one: (
            len(words & name_words(one.id) - PLAIN),
            one.released or "",
            one.instruct,
            one.id,
        ),
        reverse=True,
    )
    return tuple(found[:SHOWN])


def _ways(model_id: str) -> str:
    sync = f"; from a hub: freehold catalog sync {model_id}" if model_id.count("/") == 1 else ""
    return f"Its config.json or a GGUF file is read directly: freehold fit PATH{sync}"


def nearest(model_id: str) -> str | None:
    """The catalog id that looks most like a misspelt one."""
    return next(iter(nearest_all(model_id, 1)), None)


def nearest_all(model_id: str, most: int = 3) -> tuple[str, ...]:
    """Catalog ids that may have been meant, best first: those that hold every word of it, else those spelt alike.

    Of the former, models that follow instructions go first (they are what people serve), then the shortest names.
    """
    said = _words(model_id)
    enough = any(len(word) > 1 for word in said)  # an "x" alone is in "8x7B", and that was not meant
    holding = [model for model in all_models() if enough and all(word in _words(model.id) for word in said)]
    if holding:
        holding.sort(key=lambda model: (not model.instruct, len(model.id), model.id))
        return tuple(model.id for model in holding[:most])
    near = difflib.get_close_matches(model_id.lower(), _by_name(), n=3 * most)
    return tuple(dict.fromkeys(_by_name()[name].id for name in near))[:most]


def _words(text: str) -> list[str]:
    """Runs of letters, and of digits with points, after the slash: ``Qwen 2.5-7B`` has four."""
    return re.findall(r"[a-z]+|[0-9][0-9.]*", text.lower().rpartition("/")[2])


class PublishedScore(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[scores]]` table."""

    task: str
    metric: str
    model: str
    kind: Literal["open", "proprietary"]
    setting: str
    score: float
    source: str
    checked: date
    n: str | None = None
    note: str | None = None
    seen: bool = True
    published: str | None = None
    """Month of the table it stands in, ``2026-04``; None: see `source`."""


class _Scored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model of a makers' table."""

    name: str
    kind: Literal["open", "proprietary"]


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One task of it: scores in the order of the models, ``nan`` where the table does not say."""

    task: str
    metric: str
    scores: tuple[float, ...]


class _MakersTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source: str
    published: str
    checked: date
    setting: str
    models: tuple[_Scored, ...]
    tasks: tuple[_Line, ...]


@functools.cache
def score_rows() -> tuple[PublishedScore, ...]:
    """All rows: makers' tables and boards, newest first, then single scores of before."""
    return (*_makers(), *tables("scores.toml", PublishedScore))


def _makers() -> Iterator[PublishedScore]:
    for table in sorted(
        tables("scores_makers.toml", _MakersTable), key=lambda one: one.published, reverse=True
    ):
        for line in table.tasks:
            for model, score in zip(table.models, line.scores, strict=True):
                if not math.isnan(score):
                    yield PublishedScore(
                        task=line.task,
                        metric=line.metric,
                        model=model.name,
                        kind=model.kind,
                        setting=table.setting,
                        score=score,
                        source=table.source,
                        checked=table.checked,
                        published=table.published,
                    )


def scores_of(names: tuple[str, ...]) -> list[PublishedScore]:
    """Scores of a model, by any of its ids or the part after the slash, whatever the case."""
    wanted = {part for name in names for part in (name.lower(), name.lower().rpartition("/")[2])}
    return [row for row in score_rows() if row.model.lower() in wanted]
