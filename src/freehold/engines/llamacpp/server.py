"""llama.cpp's server: what it can be told (`ServePlan.options`), and its settings, the same for the prebuilt library
in a child process and for a ``llama-server`` built for this CPU.

As a child process it reads the plan on the first line of stdin and the key it asks for on the second; the closing
of stdin ends it. Set so that freehold's promises hold: no context shift (a prompt over the context is an error,
never cut), no shrinking of the context to fit memory, a cache per slot (each has the full context), adapters at
scale 0 unless a request asks for one, no user interface, no CORS.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any, Literal

import msgspec

from freehold import logs
from freehold.engines import keys
from freehold.engines.lifeline import watch_parent
from freehold.engines.supervisor import Program
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
    by default the build of this CPU, where `freehold engines install llamacpp` made one.
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


def check_options(options: LlamaOptions) -> None:
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


KEY_VARIABLE = "LLAMA_API_KEY"
"""Where ``llama-server`` looks for the key it is to ask for; on its command line every user would see it."""


BARRIER_SPINS = 4_000
"""Turns of libgomp's waiting loop before a thread sleeps: longer than most barriers last, and no longer.

Measured (docs/concepts/serving-speed.md): 20,000 give 2 % more with the machine nearly alone, and a quarter of the pace
where others want the cores too; with 200 half of the pace is lost.
"""
QUIET_THREADS = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": str(BARRIER_SPINS)}
"""Environment that lets idle OpenMP threads sleep soon instead of spinning on.

A thread that spins takes the core from whatever it waits for where other work wants the cores as well. But a small
model has thousands of barriers a second, and threads that sleep at each of them lose half the speed.
"""


def program(
    plan: ServePlan, options: LlamaOptions, binary: str | None, key_env: str | None = None
) -> Program:
    """What to run for a plan whose port and threads are set. Both ways give the same server, set the same.

    It asks for the key that the environment variable `key_env` holds.
    """
    if binary is None:
        return Program(
            (sys.executable, "-m", "freehold.engines.llamacpp.server"),
            QUIET_THREADS,
            keys.first_lines(plan, key_env),
        )
    key = keys.value_of(key_env)
    return Program(
        (sys.executable, "-m", "freehold.engines.lifeline", binary, *arguments(plan, options)),
        QUIET_THREADS | ({KEY_VARIABLE: key} if key is not None else {}),
    )


def arguments(plan: ServePlan, options: LlamaOptions) -> list[str]:
    """``llama-server``'s arguments, the same settings as `freehold.engines.llamacpp.server.parameters`."""
    found = [
        "--model", str(plan.weights_path), "--alias", plan.model,
        "--host", plan.host, "--port", str(plan.port),
        "--parallel", str(plan.parallel), "--ctx-size", str(plan.context_tokens * plan.parallel),
        "--no-kv-unified", "--no-context-shift", "--fit", "off",
        "--ubatch-size", str(options.micro_batch),
        "--cache-type-k", plan.kv_type, "--cache-type-v", plan.kv_type,
        "--cache-ram", str(options.prompt_cache_mib), "--flash-attn", options.flash_attention,
        "--threads", str(plan.threads), "--threads-batch", str(plan.threads), "--poll", "0", "--poll-batch", "0",
        "--jinja", "--no-ui", "--no-slots", "--metrics", "--offline", "--cors-origins", "",
    ]  # fmt: skip
    if not options.prefix_cache:
        found += ["--no-cache-prompt"]
    most = str(DRAFT_TOKENS)
    if options.speculative == "draft":
        found += ["--spec-type", "draft-simple", "--model-draft", str(options.draft_model)]
        found += ["--spec-draft-n-max", most]
    elif options.speculative != "off":
        found += ["--spec-type", "ngram-simple", "--spec-ngram-simple-size-n", str(MATCH_TOKENS)]
        found += ["--spec-ngram-simple-size-m", most]
    if options.gpu_layers >= 0:
        found += ["--n-gpu-layers", str(options.gpu_layers)]
    if plan.adapters:
        found += ["--lora-init-without-apply"]
        for mount in plan.adapters:
            found += ["--lora-scaled", f"{mount.path}:0.0"]
    if options.chat_template is not None:
        found += ["--chat-template", options.chat_template]
    if options.embeddings:
        found += ["--embeddings"]
        if means(plan, options):
            found += ["--pooling", "mean"]
    return found


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
