"""llama.cpp's server as a process of ours: the plan comes on the first line of stdin, whose closing ends us.

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

from freehold.engines.lifeline import watch_parent
from freehold.engines.llamacpp.options import KV_TYPES, LlamaOptions
from freehold.types.endpoint import ServePlan


def parameters(plan: ServePlan, options: LlamaOptions) -> Any:
    """The library's parameters for a plan."""
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
    found.n_batch = options.batch
    found.n_ubatch = options.micro_batch
    found.cache_type_k = found.cache_type_v = KV_TYPES[plan.kv_type]
    found.cache_ram_mib = options.prompt_cache_mib
    found.flash_attn_type = {"auto": -1, "off": 0, "on": 1}[options.flash_attention]
    found.n_gpu_layers = options.gpu_layers
    for cpu in (found.cpuparams, found.cpuparams_batch):
        cpu.n_threads = plan.threads
        cpu.poll = options.spin
    found.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(mount.path, 0.0) for mount in plan.adapters]
    found.lora_init_without_apply = True
    if options.chat_template is not None:
        found.chat_template = options.chat_template
    found.use_jinja = True
    found.embedding = options.embeddings
    found.ui = False
    found.endpoint_slots = False
    found.endpoint_metrics = True
    found.cors_origins = ""
    found.cors_credentials = False
    found.offline = True
    found.verbosity = 2
    return found


def main() -> None:
    """Load the model and serve until the parent lets go of stdin."""
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=ServePlan)
    gone = threading.Event()
    watch_parent(gone)
    import xllamacpp

    server = xllamacpp.Server(parameters(plan, msgspec.convert(plan.options, LlamaOptions)))
    print(f"llama.cpp listens on {server.listening_address}", file=sys.stderr, flush=True)  # noqa: T201
    gone.wait()
    # Requests under way when the parent has gone have nobody to answer to; a hard exit also skips the
    # library's slow teardown of its memory maps.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
