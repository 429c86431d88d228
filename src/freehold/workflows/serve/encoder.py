"""How a trained encoder is served: the one place that makes a plan of its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from freehold import __version__
from freehold.engines.encoder.folder import (
    EXTERNAL_DATA,
    MODEL,
    PACKED,
    TOKENIZER,
    read_manifest,
    sha256_of_folder,
)
from freehold.engines.encoder.runner import RUN_TOKENS
from freehold.errors import UsageError
from freehold.hardware.encoder_memory import EncoderLoad, fit_encoder
from freehold.hardware.probes import probe_machine
from freehold.settings import Settings
from freehold.types.config import ServeConfig
from freehold.types.encoder import EncoderManifest
from freehold.types.endpoint import AdapterMount, ServePlan
from freehold.types.machine import Fit, Workload


def plan_encoder(
    folder: Path,
    name: str,
    settings: Settings,
    *,
    adapters: Sequence[AdapterMount] = (),
    context_tokens: int = ServeConfig().context_tokens,
    parallel: int = ServeConfig().parallel,
    options: dict[str, Any] | None = None,
) -> ServePlan:
    """How the encoder in a folder is served under `name`, and the memory that takes.

    Raises `UsageError` for adapters, and what `read_manifest` raises.
    """
    if adapters:
        raise UsageError(
            f"{name} is a trained encoder, which takes no adapters", hint="serve adapters with their base"
        )
    manifest = read_manifest(folder)
    plan = ServePlan(
        engine="encoder",
        model=name,
        weights_path=str(folder.absolute()),
        weights_sha256=sha256_of_folder(folder, manifest),
        context_tokens=context_tokens,
        parallel=parallel,
        threads=settings.threads,
        options=options or {},
    )
    return msgspec.structs.replace(plan, memory=fit_of_encoder(plan, manifest, settings))


def fit_of_encoder(plan: ServePlan, manifest: EncoderManifest, settings: Settings) -> Fit:
    """The fit of an encoder's plan on this machine."""
    folder = Path(plan.weights_path or "")

    def size(name: str) -> int:
        path = folder / name
        return path.stat().st_size if path.is_file() else 0

    load = EncoderLoad(
        weights_bytes=size(MODEL) + size(EXTERNAL_DATA) + size(PACKED),
        tokenizer_bytes=size(TOKENIZER),
        width=manifest.width,
        max_tokens=manifest.max_tokens,
        run_tokens=RUN_TOKENS,
    )
    workload = Workload(context_tokens=plan.context_tokens, concurrency=plan.parallel)
    return fit_encoder(plan.model, load, workload, machine=probe_machine(settings.home), version=__version__)
