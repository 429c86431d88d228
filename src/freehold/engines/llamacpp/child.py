"""llama.cpp's server as a child process: the plan comes on the first line of stdin, the key it asks for on the second.

The closing of stdin ends it.

Set so that freehold's promises hold: no context shift (a prompt over the context is an error, never cut), no
shrinking of the context to fit memory, a cache per slot (each has the full context), adapters at scale 0
unless a request asks for one, no user interface, no CORS.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

import msgspec

from freehold import logs
from freehold.engines.lifeline import watch_parent
from freehold.engines.llamacpp.options import DRAFT_TOKENS, KV_TYPES, MATCH_TOKENS, LlamaOptions, means
from freehold.types.endpoint import ServePlan


def parameters(plan: ServePlan, options: LlamaOptions, key: str | None = None) -> Any:
    """The library's parameters for a plan, whose server asks for `key`."""
    import xllamacpp

    found = xllamacpp.CommonParams()
    found.model.path = plan.weights_path
    found.model_alias = {plan.model}
    found.hostnames = [plan.host]
    found.port = plan.port
    found.n_parallel = plan.parallel
    found.n_ctx = plan.context_tokens * plan.parallel
    found.kv_unified = False
    found.ctx_shift = False
    found.fit_params = False
    found.n_ubatch = options.micro_batch
    found.cache_type_k = found.cache_type_v = KV_TYPES[plan.kv_type]
    found.cache_ram_mib = options.prompt_cache_mib
    found.flash_attn_type = {"auto": -1, "off": 0, "on": 1}[options.flash_attention]
    found.n_gpu_layers = options.gpu_layers
    for cpu in (found.cpuparams, found.cpuparams_batch):
        cpu.n_threads = plan.threads
        cpu.poll = 0  # idle threads sleep, and leave the cores to others
    found.cache_prompt = options.prefix_cache
    speculate(found.speculative, options)
    found.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(mount.path, 0.0) for mount in plan.adapters]
    found.lora_init_without_apply = True
    if options.chat_template is not None:
        found.chat_template = options.chat_template
    found.use_jinja = True
    found.embedding = options.embeddings
    if means(plan, options):
        found.pooling_type = xllamacpp.llama_pooling_type(
            1
        )  # LLAMA_POOLING_TYPE_MEAN (llama.h, as of 2026-10)
    found.ui = False
    found.endpoint_slots = False
    found.endpoint_metrics = True
    found.cors_origins = ""
    found.cors_credentials = False
    found.api_keys = [] if key is None else [key]
    found.offline = True
    found.verbosity = 2
    return found


def speculate(found: Any, options: LlamaOptions) -> None:
    """Set the library's ``CommonParamsSpeculative``."""
    import xllamacpp

    kinds = xllamacpp.common_speculative_type
    if options.speculative == "draft":
        found.types = [kinds.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE]
        found.draft.mparams.path = options.draft_model
        found.draft.n_max = DRAFT_TOKENS
    elif options.speculative != "off":
        found.types = [kinds.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE]
        found.ngram_simple.size_n, found.ngram_simple.size_m = MATCH_TOKENS, DRAFT_TOKENS


def main() -> None:
    """Load the model and serve until the parent lets go of stdin."""
    logs.configure()
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=ServePlan)
    key = sys.stdin.buffer.readline().decode().strip() or None
    gone = threading.Event()
    watch_parent(gone)
    import xllamacpp

    server = xllamacpp.Server(parameters(plan, msgspec.convert(plan.options, LlamaOptions), key))
    print(f"llama.cpp listens on {server.listening_address}", file=sys.stderr, flush=True)  # noqa: T201
    gone.wait()
    # Requests under way when the parent has gone have no reader; a hard exit also skips the
    # library's slow teardown of its memory maps.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
