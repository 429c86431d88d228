"""The llama.cpp engine."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import msgspec

from freehold.engines import keys, supervisor
from freehold.engines.engine import Presence, RunningEngine, read_options
from freehold.engines.llamacpp import adapters, native
from freehold.engines.llamacpp.server import KV_TYPES, QUANTIZED_KV, LlamaOptions, check_options, program
from freehold.engines.weights.store import format_of
from freehold.errors import EngineError, MissingExtraError, UsageError
from freehold.hardware.gguf_header import read_header
from freehold.hardware.probes import usable_cores as machine_cores
from freehold.processes import claim_port
from freehold.settings import Settings
from freehold.types.endpoint import Capabilities, Endpoint, ServePlan
from freehold.types.engine import ENGINE_KINDS


class LlamaEngine:
    """llama.cpp with its own OpenAI server in a child process."""

    kind = ENGINE_KINDS["llamacpp"]

    def presence(self, settings: Settings) -> Presence:
        available = importlib.util.find_spec("xllamacpp") is not None
        note = "prebuilt library" if available else "pip install 'freehold[local]'"
        build, benefit = native.read(settings.home), native.can_help()
        if build is not None:
            note = "built for this CPU"
        elif benefit.helps:
            note += f"; {benefit.reason}: freehold engines install llamacpp"
        return Presence(available=available or build is not None, note=note)

    def require(self, options: dict[str, Any], settings: Settings) -> None:
        if which(read_options(options, LlamaOptions, "llamacpp"), settings) is None:
            _require_library()

    def check(self, plan: ServePlan, settings: Settings) -> None:
        options = read_options(plan.options, LlamaOptions, "llamacpp")
        check_options(options)
        binary = which(options, settings)
        if binary is None:
            _require_library()
        if binary is not None and not Path(binary).is_file():
            raise EngineError(f"no llama-server at {binary}", hint="freehold engines install llamacpp")
        supervisor.require_loopback(plan.host, "the llama.cpp engine")
        if plan.kv_type not in KV_TYPES:
            raise UsageError(f"KV type {plan.kv_type!r} is unknown", hint=f"known: {', '.join(KV_TYPES)}")
        if plan.kv_type in QUANTIZED_KV and options.flash_attention == "off":
            raise UsageError(
                f"llama.cpp keeps values as {plan.kv_type} with flash attention only, which is switched off",
                hint="leave flash_attention at auto",
            )
        if plan.parallel < 1 or plan.context_tokens < 1:
            raise UsageError(
                f"parallel is {plan.parallel} and context_tokens {plan.context_tokens}, expected at least 1"
            )
        if plan.weights_path is None:
            raise EngineError(
                f"no weights are named for {plan.model}", hint=f"freehold models pull {plan.model}"
            )
        path = Path(plan.weights_path)
        if path.is_dir() or format_of(path) != "gguf":
            raise EngineError(
                f"llama.cpp reads GGUF, and {path} is not",
                hint="pull a GGUF of this model, or serve it with the vllm engine",
            )
        header = read_header(path)
        metadata = header.metadata
        _check_context(plan, metadata)
        if "tokenizer.chat_template" not in metadata and options.chat_template is None:
            raise EngineError(
                f"{path.name} carries no chat template, so messages cannot be turned into a prompt",
                hint='give one: [serve] options = { chat_template = "…" }, or use the instruct version',
            )
        for mount in plan.adapters:
            adapters.check_adapter(mount, header, plan.weights_sha256, settings.home)
        if plan.port:
            claim_port(plan.host, plan.port)

    async def start(
        self, plan: ServePlan, *, settings: Settings, log_dir: Path, name: str, key_env: str | None
    ) -> RunningEngine:
        options = read_options(plan.options, LlamaOptions, "llamacpp")
        base = read_header(Path(plan.weights_path or "")).metadata if plan.adapters else {}
        plan = msgspec.structs.replace(
            plan,
            threads=plan.threads or machine_cores().value,
            adapters=tuple(
                msgspec.structs.replace(mount, path=str(adapters.adapter_file(mount, base, settings.home)))
                for mount in plan.adapters
            ),
        )

        chosen = which(options, settings)

        running = await supervisor.start_child(
            plan,
            lambda ported: program(ported, options, chosen, key_env),
            name=name,
            log_dir=log_dir,
            key_env=key_env,
            ready_seconds=options.ready_seconds,
            capabilities=Capabilities(
                json_schema=not options.embeddings,
                logprobs=not options.embeddings,
                adapters=True,
                embeddings=options.embeddings,
            ),
            probe_path="/v1/embeddings" if options.embeddings else "/v1/chat/completions",
        )
        properties = await supervisor.get_json(f"{running.base_url}/props", headers=keys.bearer(key_env))
        running.endpoint = _as_told(running.endpoint, plan, properties)
        return running


def _as_told(endpoint: Endpoint, plan: ServePlan, properties: dict[str, object]) -> Endpoint:
    """With what the server says of its template and context, and each name's scales of the adapters.

    Every request says the scale of every adapter, the base's too: llama.cpp (2026-10) answers a request that says
    nothing from a cache that the adapter's request before it has filled.
    """
    template = properties.get("chat_template_caps")
    tools = bool(template.get("supports_tools")) if isinstance(template, dict) else False
    settings = properties.get("default_generation_settings")
    context = settings.get("n_ctx") if isinstance(settings, dict) else None
    models = [
        msgspec.structs.replace(
            one, upstream_name=plan.model, extra_body={**_scales(plan, one.name), **one.extra_body}
        )
        for one in endpoint.models
    ]
    return msgspec.structs.replace(
        endpoint,
        models=tuple(models) if plan.adapters else endpoint.models,
        capabilities=msgspec.structs.replace(endpoint.capabilities, tools=tools),
        context_tokens=context if isinstance(context, int) else plan.context_tokens,
    )


def _scales(plan: ServePlan, name: str) -> dict[str, object]:
    scales = [
        {"id": number, "scale": 1.0 if mount.name == name else 0.0}
        for number, mount in enumerate(plan.adapters)
    ]
    return {"lora": scales}


def _require_library() -> None:
    if importlib.util.find_spec("xllamacpp") is None:
        raise MissingExtraError("the llama.cpp engine", "local")


def which(options: LlamaOptions, settings: Settings) -> str | None:
    """The ``llama-server`` to run, or None for the library: what the plan says, else the build of this CPU."""
    if options.binary == "library":
        return None
    if options.binary is not None:
        return options.binary
    found = native.binary(settings.home)
    return str(found) if found is not None else None


def _check_context(plan: ServePlan, metadata: dict[str, object]) -> None:
    longest = metadata.get(f"{metadata.get('general.architecture')}.context_length")
    if isinstance(longest, int) and plan.context_tokens > longest:
        raise EngineError(
            f"{plan.model} has a context of {longest} tokens, {plan.context_tokens} were asked for",
            hint=f"ask for {longest} or fewer: [serve] context_tokens = {longest}",
        )


ENGINE = LlamaEngine()
