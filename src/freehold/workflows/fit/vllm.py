"""A model as vLLM serves it: its safetensors in the form they are published, and what drafts for it."""

from __future__ import annotations

import msgspec

from freehold.catalog import models as catalog
from freehold.errors import UsageError
from freehold.hardware import vllm_memory
from freehold.hardware.memory import Draft
from freehold.settings import Settings
from freehold.types.model import PublishedForm, Shape
from freehold.workflows.fit.sizes import SizedModel, size_model

OWN_DRAFT = "mtp"
"""The word for the layers that come with a model's weights and predict more than one token."""


def as_served(sized: SizedModel, model_id: str, quantization: str | None) -> SizedModel:
    """The weights as vLLM holds them: as they are published, unless another form is asked for.

    What lies here is as its files are; of a catalog model the release that `model_id` names decides, and without one
    16 bits are taken. Raises `UsageError` for a quantization vLLM does not have.
    """
    if sized.quantized and quantization is None:
        note = "vLLM serves GGUF files slowly: it is made for safetensors"
        return sized._replace(notes=(*sized.notes, note))
    known = catalog.find(model_id)
    release = catalog.published(known, model_id) if known is not None else None
    if quantization is None and sized.stored:
        return sized._replace(quantization=sized.form or "BF16")
    if quantization is None and release is not None:
        return _released(sized, release)
    form, dense = (quantization or sized.form or "BF16").upper(), None
    if quantization is None or form == sized.form:
        dense = sized.dense
    size = vllm_memory.weights_bytes(sized.shape, form, dense)
    asked = sized._replace(
        quantization=form, dense=dense, bytes=size, basis=f"computed from the shape at {form}", stored=False
    )
    own = _released(sized, release) if release is not None else None
    if own is not None and own.bytes < size:
        return asked._replace(
            notes=(*sized.notes, f"published in {own.quantization}: {form} is larger and holds no more")
        )
    return asked


def _released(sized: SizedModel, release: PublishedForm) -> SizedModel:
    size = release.bytes or vllm_memory.weights_bytes(sized.shape, release.form, release.dense)
    how = "the size of its index" if release.bytes is not None else "computed from the catalog's shape"
    rest = f", other layers in {release.dense}" if release.dense is not None else ""
    return sized._replace(
        name=release.id or sized.name,
        quantization=release.form,
        dense=release.dense,
        bytes=size,
        basis=f"as published: {release.form}{rest}; {how}",
        notes=(
            *sized.notes,
            f"published in {release.form}{rest}: {release.source}, checked {release.checked}",
        ),
    )


def release_in(model_id: str, form: str) -> str | None:
    """The id of a release of this model in a form, by its makers; None where the catalog names none."""
    known = catalog.find(model_id)
    found = [one.id for one in known.published if one.form == form] if known is not None else []
    return next((one for one in found if one is not None), None)


def draft_of(name: str, sized: SizedModel, model_id: str, *, safetensors: bool, settings: Settings) -> Draft:
    """What `name` drafts with: a smaller model of the same vocabulary, or ``mtp``, the model's own layers.

    Raises `UsageError` for a draft with another vocabulary, or as large as the model, and for ``mtp`` where no such
    layers are known.
    """
    if name.lower() == OWN_DRAFT:
        return _own_draft(sized, model_id, safetensors=safetensors)
    small = size_model(name, settings=settings)
    if safetensors:
        small = as_served(small, name, None)
    if small.shape.vocabulary != sized.shape.vocabulary:
        raise UsageError(
            f"{small.name} has a vocabulary of {small.shape.vocabulary:,} entries, {sized.name} of "
            f"{sized.shape.vocabulary:,}: it cannot draft for it",
            hint="a smaller model of the same family",
        )
    if small.bytes >= sized.bytes:
        raise UsageError(f"{small.name} is not smaller than {sized.name}: drafting with it gains nothing")
    return Draft(small.shape, small.bytes, f"weights of the draft {small.name}, {small.quantization}")


def _own_draft(sized: SizedModel, model_id: str, *, safetensors: bool) -> Draft:
    known = catalog.find(model_id)
    count = known.draft_layers if known is not None else 0
    if not safetensors:
        raise UsageError(
            "--draft mtp is counted for vLLM: GGUF files leave these layers out",
            hint="--engine vllm, or a small model of the same family: --draft MODEL",
        )
    if not count:
        raise UsageError(
            f"{sized.name} has no multi-token-prediction layers that the catalog knows of",
            hint="a smaller model of the same family: --draft MODEL",
        )
    shape = _last_layers(sized.shape, count)
    joined = (
        2 * shape.hidden * shape.hidden * 2 * count
    )  # what joins a token and the state before it, in 16 bits
    size = vllm_memory.layers_bytes(shape, sized.quantization, sized.dense) + joined
    return Draft(shape, size, f"{count} multi-token-prediction layer; embeddings are the model's own")


def _last_layers(shape: Shape, count: int) -> Shape:
    """`count` layers like the last one."""
    experts = shape.experts
    if experts is not None:
        experts = msgspec.structs.replace(experts, dense_layers=0, every=1, offset=0)
    heads = shape.kv_heads_at(shape.layers - 1)
    return msgspec.structs.replace(
        shape,
        layers=count,
        attention=(shape.attention[-1],) * count,
        kv_heads=heads or shape.kv_heads,
        kv_heads_by_layer=(),
        experts=experts,
    )
