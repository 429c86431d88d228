"""What a run leaves: the PEFT adapter, the GGUF adapter for llama.cpp, and the manifest."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from freehold import __version__
from freehold.errors import TrainingError
from freehold.files import writing
from freehold.training import formatting
from freehold.training.artefacts import (
    GGUF,
    PEFT_CONFIG,
    PEFT_WEIGHTS,
    TEMPLATE,
    permuted,
    sha256_of,
    write_durable,
)
from freehold.training.base import Base
from freehold.training.job import MANIFEST, Job
from freehold.types.record import content_id
from freehold.types.training import Adapter, WrittenCalls

if TYPE_CHECKING:
    import torch

    from freehold.training.loop import Outcome


# The files an adapter's id is made of (with its job).
_DECISIVE = (PEFT_WEIGHTS, PEFT_CONFIG)

_LIBRARIES = ("torch", "transformers", "peft", "safetensors", "gguf")


def write(
    job: Job,
    base: Base,
    model: Any,
    outcome: Outcome,
    *,
    peak_memory_bytes: int | None,
    metadata: dict[str, Any],
    calls: WrittenCalls = "template",
) -> Adapter:
    """Write all files of an adapter, the manifest last; returns the manifest.

    Raises `StorageError` when they can't be written and `TrainingError` when the weights are not finite.
    """
    folder = Path(job.adapter_dir)
    with writing(
        f"cannot write the adapter to {folder}",
        hint="free some space and run the same command again; the training itself is not lost",
    ):
        folder.mkdir(parents=True, exist_ok=True)
        names = [*_write_lora(folder, job, base, model), TEMPLATE]
        (folder / TEMPLATE).write_text(base.tokenizer.chat_template, encoding="utf-8")
        files = {name: sha256_of(folder / name) for name in names}
    template = formatting.template_sha256(base.tokenizer)
    made = Adapter(
        id=content_id([*(files[name] for name in sorted(files) if name in _DECISIVE), job.id]),
        name=job.name,
        path=str(folder),
        base_model=job.base.model_id,
        base_sha256=job.base.sha256,
        dataset_id=job.dataset.id,
        config=job.config,
        template_sha256=template,
        seed=job.config.seed,
        steps=outcome.steps,
        train_tokens=outcome.tokens,
        train_seconds=outcome.seconds,
        final_loss=outcome.final_loss,
        peak_memory_bytes=peak_memory_bytes,
        files=files,
        versions={
            "freehold": __version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _LIBRARIES},
        },
        made_from=(job.dataset.id, job.base.sha256),
        curve=outcome.curve,
        call_format=calls,
        metadata={
            **metadata,
            "job": job.id,
            "architecture": base.architecture,
            "special_tokens": _special_tokens(base.tokenizer),
        },
    )
    write_durable(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(made)))
    return made


def _write_lora(folder: Path, job: Job, base: Base, model: Any) -> list[str]:
    tensors = _lora_tensors(model)
    broken = [name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())]
    if broken:
        raise TrainingError(f"adapter weights are not finite: {broken[0]}", hint="lower learning_rate")
    _write_peft(folder, job, model, tensors)
    if base.architecture is None:
        return [PEFT_WEIGHTS, PEFT_CONFIG]
    write_gguf(folder / GGUF, model, tensors, architecture=base.architecture, name=job.name)
    return [PEFT_WEIGHTS, PEFT_CONFIG, GGUF]


def _special_tokens(tokenizer: Any) -> dict[str, str]:
    """Those a chat template may name: ``bos_token``, ``eos_token`` …"""
    return {
        name: str(token) for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)
    }


def _lora_tensors(model: Any) -> dict[str, torch.Tensor]:
    from peft import get_peft_model_state_dict

    return {
        name: tensor.detach().cpu().contiguous() for name, tensor in get_peft_model_state_dict(model).items()
    }


def _write_peft(folder: Path, job: Job, model: Any, tensors: dict[str, torch.Tensor]) -> None:
    from safetensors.torch import save

    config = model.peft_config["default"].to_dict()
    config["base_model_name_or_path"] = job.base.model_id
    config["inference_mode"] = True
    for key, value in config.items():
        if isinstance(value, set):
            config[key] = sorted(value)
    text = json.dumps(config, indent=2, sort_keys=True, default=str)
    (folder / PEFT_CONFIG).write_text(text + "\n", encoding="utf-8")
    (folder / PEFT_WEIGHTS).write_bytes(save(tensors, metadata={"format": "pt"}))


def write_gguf(
    path: Path, model: Any, tensors: dict[str, torch.Tensor], *, architecture: str, name: str
) -> None:
    """Write a LoRA adapter as llama.cpp loads it (``general.type`` "adapter").

    llama.cpp scales by ``alpha / r``; with rsLoRA the scale is ``alpha / √r``, so alpha is written to give
    the scale that was trained with. Raises `TrainingError` for a layer llama.cpp has no name for.
    """
    import gguf

    config = model.peft_config["default"]
    text = model.config.get_text_config()
    arch = next((key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == architecture), None)
    if arch is None:
        raise TrainingError(f"llama.cpp knows no architecture {architecture!r}", hint="use the PEFT adapter")
    names = gguf.get_tensor_name_map(arch, text.num_hidden_layers)
    scale = next(float(module.scaling["default"]) for module in model.modules() if hasattr(module, "lora_A"))
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, scale * config.r)
    writer.add_name(name)
    for key, tensor in tensors.items():
        module, _, half = key.removesuffix(".weight").rpartition(".lora_")
        layer = module.removeprefix("base_model.model.")
        known = names.get_name(layer)
        if known is None or half not in ("A", "B"):
            raise TrainingError(f"llama.cpp has no name for {layer}", hint="use the PEFT adapter")
        values = tensor.float()
        if half == "B" and architecture == "llama":
            if known.endswith("attn_q"):
                values = permuted(values, text.num_attention_heads)
            elif known.endswith("attn_k"):
                values = permuted(values, text.num_key_value_heads)
        writer.add_tensor(f"{known}.weight.lora_{half.lower()}", values.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
