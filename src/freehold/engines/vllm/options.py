"""What the vLLM engine can be told (`ServePlan.options`)."""

from __future__ import annotations

import msgspec

KV_TYPES = {
    "f16": "auto",
    "bf16": "auto",
    "auto": "auto",
    "fp8": "fp8",
    "fp8_e4m3": "fp8_e4m3",
    "fp8_e5m2": "fp8_e5m2",
}
"""A plan's KV types and vLLM's (``--kv-cache-dtype``). llama.cpp's ``f16`` means: as the model's own numbers."""


class VllmOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`python` is the interpreter of an environment that has vLLM (default: what `freehold engines install` made).

    Memory: `gpu_memory_utilization` is the share of a GPU that vLLM takes; `kv_cache_gib` sets the cache itself, on a
    GPU or on a CPU, where by default it holds `parallel` requests of full context. `tensor_parallel` splits each layer
    over that many GPUs.

    `max_adapters` is how many one batch may mix. `tool_parser` names vLLM's parser of a model's tool calls (default:
    the one whose marks the chat template writes; ``none`` for no tools). With `embeddings` it embeds instead of
    chatting. `chat_template` is Jinja text for weights that carry none.
    """

    python: str | None = None
    gpu_memory_utilization: float | None = None
    kv_cache_gib: float | None = None
    tensor_parallel: int = 1
    max_adapters: int | None = None
    tool_parser: str | None = None
    embeddings: bool = False
    chat_template: str | None = None
    ready_seconds: float = 900.0
