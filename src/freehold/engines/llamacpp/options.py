"""What the llama.cpp engine can be told (`ServePlan.options`)."""

from __future__ import annotations

from typing import Literal

import msgspec

KV_TYPES = {
    "f32": 0,
    "f16": 1,
    "q4_0": 2,
    "q4_1": 3,
    "q5_0": 6,
    "q5_1": 7,
    "q8_0": 8,
    "iq4_nl": 20,
    "bf16": 30,
}
"""Names of KV cache types and their numbers in ggml.h (enum ggml_type, as of 2026-10)."""


class LlamaOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`chat_template` is Jinja text for weights that carry none. `batch` and `micro_batch` are the logical and
    physical prompt batches in tokens. `prompt_cache_mib` bounds the memory for prompts of other slots.
    `spin` (0 to 100) is how eagerly idle threads poll instead of sleeping: 0 leaves the cores to others.
    `gpu_layers` is how many layers go to an accelerator (-1: as many as it holds). With `embeddings` the
    server embeds instead of chatting. `binary` is a ``llama-server`` to run, ``library`` for the prebuilt one;
    by default whichever measured faster here (`freehold engines install llamacpp --native`).
    """

    chat_template: str | None = None
    batch: int = 2048
    micro_batch: int = 512
    flash_attention: Literal["auto", "on", "off"] = "auto"
    prompt_cache_mib: int = 512
    speculative: Literal["off", "ngram"] = "off"
    spin: int = 0
    gpu_layers: int = -1
    embeddings: bool = False
    ready_seconds: float = 600.0
    binary: str | None = None
