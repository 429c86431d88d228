"""What the llama.cpp engine can be told (`ServePlan.options`)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from freehold.errors import EngineError, UsageError
from freehold.hardware.gguf_header import read_header
from freehold.types.endpoint import ServePlan

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

Speculative = Literal["off", "ngram-simple", "draft"]
"""Ways to guess tokens ahead, checked by the model in one go: what followed the same `MATCH_TOKENS` in the prompt and
the answer so far, or a smaller model of the same vocabulary."""
MATCH_TOKENS, DRAFT_TOKENS = 2, 8
"""Tokens that must be the same, and those that are guessed at most (benchmarks/serving/forms.py)."""


class LlamaOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`chat_template` is Jinja text for weights that carry none. `micro_batch` is the physical prompt batch in tokens.
    `prompt_cache_mib` bounds the memory for prompts of other slots; without `prefix_cache` a prompt is always read from
    its start. `speculative` guesses tokens ahead, with ``draft`` by `draft_model`, a GGUF of the same vocabulary.

    `gpu_layers` is how many layers go to an accelerator (-1: as many as it holds). With `embeddings` the
    server embeds instead of chatting. `binary` is a ``llama-server`` to run, ``library`` for the prebuilt one;
    by default whichever measured faster here (`freehold engines install llamacpp`).
    """

    chat_template: str | None = None
    micro_batch: int = 512
    flash_attention: Literal["auto", "on", "off"] = "auto"
    prompt_cache_mib: int = 512
    prefix_cache: bool = True
    speculative: Speculative = "off"
    draft_model: str | None = None
    gpu_layers: int = -1
    embeddings: bool = False
    ready_seconds: float = 600.0
    binary: str | None = None


def means(plan: ServePlan, options: LlamaOptions) -> bool:
    """Whether one vector is made of the tokens' mean: where weights that are to embed name no way of their own, as a
    chat model's do, and llama.cpp refuses to embed without one."""
    if not options.embeddings or plan.weights_path is None:
        return False
    metadata = read_header(Path(plan.weights_path)).metadata
    return f"{metadata.get('general.architecture')}.pooling_type" not in metadata


def check(options: LlamaOptions) -> None:
    """Raise `UsageError` or `EngineError` for options that cannot hold together."""
    if options.micro_batch < 1:
        raise UsageError(f"engine llamacpp: option micro_batch is {options.micro_batch}, expected at least 1")
    if options.speculative == "draft" and options.draft_model is None:
        raise UsageError(
            "engine llamacpp: speculative is draft, and no draft_model is named",
            hint='options = { speculative = "draft", draft_model = "small.gguf" }, or ngram-simple',
        )
    if options.draft_model is not None and not Path(options.draft_model).is_file():
        raise EngineError(f"there is no draft model at {options.draft_model}", hint="name a GGUF file")
