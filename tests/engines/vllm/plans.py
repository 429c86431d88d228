"""Plans and arguments for vLLM."""

import msgspec

from freehold.engines.vllm import engine
from freehold.engines.vllm.environment import Installation
from freehold.engines.vllm.weights import CacheShape, VllmOptions, read_shape
from freehold.types.endpoint import AdapterMount

CONFIG = {
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "hidden_size": 576,
    "max_position_embeddings": 2048,
}


TENSORS = b"\x02\x00\x00\x00\x00\x00\x00\x00{}"


def mounted(plan, path, **fields):
    return msgspec.structs.replace(plan, adapters=(AdapterMount(name="base:x", path=str(path), **fields),))


def installation(device="cpu", version="0.32.0"):
    return Installation(
        flavour="own", version=version, python="python", torch="", transformers="", device=device, bytes=0
    )


def arguments(plan, *, device="cpu", version="0.32.0", rank=0, **options):
    shape = (
        read_shape(plan.weights_path)
        if isinstance(plan.weights_path, type(None))
        else CacheShape(2048, 23_040)
    )
    asked = VllmOptions(**options)
    slots = engine.slots_for(plan, asked, device=device)
    made = engine.arguments(
        plan, asked, installed=installation(device, version), shape=shape, rank=rank, slots=slots
    )
    return dict(zip(made, [*made[1:], None], strict=True)) | {"all": made}


def with_options(plan, **options):
    return msgspec.structs.replace(plan, options=options)
