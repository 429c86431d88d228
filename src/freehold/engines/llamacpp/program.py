"""The command of a plan: the prebuilt library in a child process, or a ``llama-server`` built for this CPU."""

from __future__ import annotations

import sys

from freehold.engines import keys
from freehold.engines.llamacpp.options import DRAFT_TOKENS, MATCH_TOKENS, LlamaOptions, means
from freehold.engines.supervisor import Program
from freehold.types.endpoint import ServePlan

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
            (sys.executable, "-m", "freehold.engines.llamacpp.child"),
            QUIET_THREADS,
            keys.first_lines(plan, key_env),
        )
    key = keys.value_of(key_env)
    return Program(
        (sys.executable, "-m", "freehold.engines.lifeline", binary, *arguments(plan, options)),
        QUIET_THREADS | ({KEY_VARIABLE: key} if key is not None else {}),
    )


def arguments(plan: ServePlan, options: LlamaOptions) -> list[str]:
    """``llama-server``'s arguments, the same settings as `freehold.engines.llamacpp.child.parameters`."""
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
