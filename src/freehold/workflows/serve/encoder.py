"""How a trained encoder is served: the one place that makes a plan of its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from freehold.encoders.folder import read_manifest, sha256_of_folder
from freehold.errors import UsageError
from freehold.hardware.probes import probe_machine
from freehold.settings import Settings
from freehold.types.config import ServeConfig
from freehold.types.endpoint import AdapterMount, ServePlan
from freehold.types.machine import Workload
from freehold.workflows.fit.encoder import fit_of_folder


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
    workload = Workload(context_tokens=plan.context_tokens, concurrency=plan.parallel)
    memory = fit_of_folder(name, folder, manifest, workload, machine=probe_machine(settings.home))
    return msgspec.structs.replace(plan, memory=memory)
