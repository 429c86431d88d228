"""Room and pace of a plan before it starts: memory it takes, what a load taught about that, what would be faster."""

from __future__ import annotations

from pathlib import Path

from freehold.engines.engine import read_options
from freehold.engines.llamacpp import native
from freehold.engines.llamacpp.server import LlamaOptions
from freehold.engines.vllm import environment as vllm
from freehold.engines.weights.store import quantization_of
from freehold.errors import FreeholdError
from freehold.hardware.probes import probe_machine
from freehold.settings import Settings
from freehold.types.endpoint import ServePlan
from freehold.types.machine import Fit, Workload
from freehold.workflows.fit import learned
from freehold.workflows.fit.fit import ServingOptions, fit_model
from freehold.workflows.project import now


def advice(plan: ServePlan, settings: Settings) -> str | None:
    """What would make this plan faster on this machine, in one line; None when nothing is known to."""
    if not plan.engine_kind.measured or plan.options.get("binary") is not None:
        return None
    if vllm.has_gpu() and native.binary(settings.home) is None and vllm.find(settings.home) is None:
        return "a GPU is here, and the prebuilt llama.cpp serves from the CPU: freehold engines install vllm"
    benefit = native.can_help()
    if benefit.helps and native.read(settings.home) is None:
        return (
            f"llama.cpp can be several times as fast here ({benefit.reason}): "
            "freehold engines install llamacpp"
        )
    quantization = quantization_of(Path(plan.weights_path)) if plan.weights_path else ""
    if native.binary(settings.home) is not None and "_K" in quantization:
        return (
            f"{quantization} is slow on a CPU with {', '.join(native.cpu_flags()[:2])}: "
            "Q4_0 and Q8_0 are about twice as fast (--quant)"
        )
    return None


def fit_of(plan: ServePlan, settings: Settings) -> Fit | None:
    """The fit of a plan on this machine; None where the engine reads no GGUF here, or one of an architecture whose
    cache is not known: it is served all the same."""
    if plan.engine_kind.reads != "gguf" or plan.weights_path is None:
        return None
    mebibytes = read_options(plan.options, LlamaOptions, "llamacpp").prompt_cache_mib
    try:
        return fit_model(
            plan.weights_path,
            workload=Workload(context_tokens=plan.context_tokens, concurrency=plan.parallel),
            settings=settings,
            options=ServingOptions(
                kv_type=plan.kv_type,
                adapters=tuple(Path(mount.path) for mount in plan.adapters),
                prompt_cache_bytes=max(0, mebibytes) << 20,
            ),
        )
    except FreeholdError:
        return None


def learn_memory(plan: ServePlan, bytes: int, why: str, settings: Settings) -> None:
    """Record that a plan ran out of memory at load and is taken to need `bytes`: `freehold fit` knows from then on."""
    fit = plan.memory
    if fit is None or plan.weights_path is None:
        return
    learned_bytes = sum(part.bytes for part in fit.parts if part.name == learned.PART)
    computed_bytes = fit.total_bytes - learned_bytes
    learned.learn(
        settings.home,
        plan.weights_path,
        probe_machine(settings.home),
        plan.kv_type,
        more_bytes=max(0, bytes - computed_bytes),
        of_bytes=computed_bytes,
        why=why,
        at=now().isoformat(),
    )
