"""What the llama.cpp engine can be told (`ServePlan.options`)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from freehold.errors import EngineError, UsageError

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
QUANTIZED_KV = frozenset(KV_TYPES) - {"f32", "f16", "bf16"}

POOLING = {"mean": 1, "cls": 2, "last": 3}
"""Ways to pool and their numbers in llama.h (enum llama_pooling_type, as of 2026-10)."""

Speculative = Literal["off", "ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod", "draft"]
"""Ways to guess tokens ahead, checked by the model in one go: from what the prompt and the answer so far hold
(``ngram-…``, llama.cpp's names), or by a smaller model of the same vocabulary (``draft``)."""


class LlamaOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`chat_template` is Jinja text for weights that carry none. `batch` and `micro_batch` are the logical and
    physical prompt batches in tokens. `prompt_cache_mib` bounds the memory for prompts of other slots; without
    `prefix_cache` a prompt is always read from its start. `cache_reuse` is the shortest piece, in tokens, that is
    taken from the cache although something before it changed (0: only a common start is).

    `speculative` guesses tokens ahead: an n-gram of `match_tokens` seen before is followed by what followed it
    then, up to `draft_tokens`; or `draft_model`, a GGUF of the same vocabulary, writes them.

    `spin` (0 to 100) is how eagerly idle threads poll instead of sleeping: 0 leaves the cores to others.
    `threads_batch` are the threads for prompts, where they differ from those that generate.
    `key_type` is the type of the cache's keys where it differs from that of its values
    (`ServePlan.kv_type`): only values need flash attention to be quantized.
    `gpu_layers` is how many layers go to an accelerator (-1: as many as it holds). With `embeddings` the
    server embeds instead of chatting; `pooling` is how one vector is made of the tokens' (``auto``: as the weights
    say, else their mean). `binary` is a ``llama-server`` to run, ``library`` for the prebuilt one;
    by default whichever measured faster here (`freehold engines install llamacpp`).
    """

    chat_template: str | None = None
    batch: int = 2048
    micro_batch: int = 512
    threads_batch: int | None = None
    flash_attention: Literal["auto", "on", "off"] = "auto"
    key_type: str | None = None
    prompt_cache_mib: int = 512
    prefix_cache: bool = True
    cache_reuse: int = 0
    speculative: Speculative = "off"
    match_tokens: int = 3
    draft_tokens: int = 8
    draft_model: str | None = None
    spin: int = 0
    gpu_layers: int = -1
    embeddings: bool = False
    pooling: Literal["auto", "mean", "cls", "last"] = "auto"
    ready_seconds: float = 600.0
    binary: str | None = None


def check(options: LlamaOptions) -> None:
    """Raise `UsageError` or `EngineError` for options that cannot hold together."""
    positive = {
        "batch": options.batch,
        "micro_batch": options.micro_batch,
        "match_tokens": options.match_tokens,
        "draft_tokens": options.draft_tokens,
        "threads_batch": 1 if options.threads_batch is None else options.threads_batch,
    }
    for name, value in positive.items():
        if value < 1:
            raise UsageError(f"engine llamacpp: option {name} is {value}, expected at least 1")
    if not 0 <= options.spin <= 100:
        raise UsageError(f"engine llamacpp: option spin is {options.spin}, expected 0 to 100")
    if options.key_type is not None and options.key_type not in KV_TYPES:
        raise UsageError(
            f"engine llamacpp: key_type {options.key_type!r} is unknown", hint=f"known: {', '.join(KV_TYPES)}"
        )
    if options.speculative == "draft" and options.draft_model is None:
        raise UsageError(
            "engine llamacpp: speculative is draft, and no draft_model is named",
            hint='options = { speculative = "draft", draft_model = "small.gguf" }, or one of the n-gram ways',
        )
    if options.draft_model is not None and not Path(options.draft_model).is_file():
        raise EngineError(f"there is no draft model at {options.draft_model}", hint="name a GGUF file")
