"""Adapters that no engine can attach to a running base, merged into weights of their own.

LoRA of linear layers is attached by name. DoRA is not: neither llama.cpp nor vLLM scales rows as it does. Such an
adapter becomes a model that is served under the name the adapter would have, made once and kept in the weights store.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import msgspec

from freehold import files
from freehold.engines.weights import local
from freehold.engines.weights.store import WeightsStore, storage_errors
from freehold.errors import EngineError, InputError
from freehold.progress import Progress, Silent
from freehold.settings import Settings
from freehold.training.artefacts import PEFT_CONFIG, PEFT_WEIGHTS, MergeJob
from freehold.training.merge import merge
from freehold.types.endpoint import AdapterMount
from freehold.types.engine import ENGINE_KINDS, EngineName
from freehold.types.model import Weights

QUANTIZATION = "Q8_0"
"""Of adapted tensors in a GGUF: rounding them to 4 bits again would lose part of what was learned."""
FULL_GROWTH = 8


def must_merge(mount: AdapterMount) -> bool:
    """Whether an adapter can only be served as a model of its own. Raises `InputError` for a damaged configuration."""
    folder = Path(mount.path)
    file = folder / PEFT_CONFIG
    if not file.is_file() or any(folder.glob("*.gguf")):
        return False
    try:
        found = msgspec.json.decode(file.read_bytes(), type=dict[str, object])
    except (OSError, msgspec.MsgspecError) as error:
        raise InputError(f"cannot be read: {error}", path=str(file)) from None
    return bool(found.get("use_dora"))


def merged(
    base: Weights,
    mount: AdapterMount,
    settings: Settings,
    *,
    engine: EngineName,
    progress: Progress | None = None,
) -> Weights:
    """`base` with an adapter merged in, as the engine reads it: a GGUF for llama.cpp, safetensors for vLLM.

    Made once, then found by the hashes of both. Raises `EngineError` (an adapter of another base, both hashes named),
    `InputError`, `TrainingError` (layers that cannot be merged), `MissingExtraError` and `StorageError`.
    """
    if mount.base_sha256 and mount.base_sha256 != base.sha256:
        raise EngineError(
            f"adapter {mount.name} was trained on weights with sha256 {mount.base_sha256}, "
            f"these have {base.sha256}",
            hint="serve the weights it was trained on, or train again on these",
        )
    progress = progress or Silent()
    as_gguf = ENGINE_KINDS[engine].reads == "gguf"
    if as_gguf and base.format != "gguf":
        raise EngineError(
            f"llama.cpp reads GGUF, and {base.model_id} is {base.format}",
            hint="serve it with the vllm engine, or name a GGUF of the base",
        )
    template = mount.chat_template or base.chat_template
    digest = hashlib.sha256(f"{base.sha256} {'gguf' if as_gguf else 'safetensors'} {template}".encode())
    for name in (PEFT_WEIGHTS, PEFT_CONFIG):
        with files.reading(Path(mount.path) / name):
            digest.update((Path(mount.path) / name).read_bytes())
    source = f"merged:{digest.hexdigest()[:16]}"
    store = WeightsStore(settings.home)
    with store.writing():
        merged_here = [one for one in store.list() if one.weights.model_id == mount.name and one.owned]
        for stored in merged_here:
            if stored.weights.source == source:
                return store.verify(stored, progress=progress)
        for stored in merged_here:  # an earlier state of the same adapter, in the same form
            if stored.weights.source.startswith("merged:") and (stored.weights.format == "gguf") == as_gguf:
                store.remove(stored)
        store.room(base.bytes * (2 if base.format == "safetensors" else FULL_GROWTH))
        progress.step("merge the adapter into its base", note=f"{mount.name}: engines attach plain LoRA only")
        target = store.folder(mount.name) / (f"{source[7:]}.gguf" if as_gguf else source[7:])
        partial = store.partial(target.name)
        try:
            merge(
                MergeJob(
                    weights=base,
                    adapter_path=mount.path,
                    target=str(partial),
                    quantization=QUANTIZATION if as_gguf else None,
                )
            )
            with storage_errors(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                partial.rename(target)
        except BaseException:
            if partial.is_dir():
                shutil.rmtree(partial, ignore_errors=True)
            else:
                partial.unlink(missing_ok=True)
            raise
        found = local.describe(target, mount.name, source, progress=progress)
        found = msgspec.structs.replace(found, chat_template=template)
        store.record(
            found,
            owned=True,
            origin=f"{base.model_id} {base.quantization} with the adapter {mount.path}",
            private=True,
        )
    return found
