"""What full fine-tuning leaves: a folder transformers and vLLM load, and, from a GGUF base, a GGUF that serves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from freehold.errors import TrainingError
from freehold.training.base import Base, choose_precision
from freehold.training.job import Job

WEIGHTS = "model.safetensors"
GGUF = "model.gguf"

# Architectures whose tensors llama.cpp stores as they are, but for the order of rows under rotary embedding.
_PLAIN = ("llama", "qwen2", "qwen3")


def write(folder: Path, job: Job, base: Base) -> list[str]:
    """Write the model; returns the names of its files. Raises `TrainingError` and `OSError`."""
    import torch

    broken = next(
        (name for name, one in base.model.named_parameters() if not bool(one.isfinite().all())), None
    )
    if broken is not None:
        raise TrainingError(f"trained weights are not finite: {broken}", hint="lower learning_rate")
    half = choose_precision(job.config.precision, base.device).name == "bf16"
    model: Any = base.model.to(torch.bfloat16 if half else torch.float32)
    model.config.use_cache = True
    model.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)
    config = folder / "config.json"
    raw = json.loads(config.read_text(encoding="utf-8"))
    raw.pop("quantization_config", None)
    config.write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")
    if job.base.format == "gguf" and base.architecture in _PLAIN:
        from freehold.training import merge_gguf
        from freehold.training.merge import MergeJob

        merge_gguf.merge(
            MergeJob(
                weights=job.base, adapter_path=str(folder), target=str(folder / GGUF), quantization="Q8_0"
            )
        )
    wanted = (".safetensors", ".json", ".gguf", ".jinja", ".model", ".txt")
    for file in folder.iterdir():
        if file.is_file():
            file.chmod(0o644)
    return sorted(file.name for file in folder.iterdir() if file.is_file() and file.suffix in wanted)


class WholeTensors:
    """The tensors of a trained folder under llama.cpp's names, in its row order. A `merge_gguf.Learned`."""

    def __init__(self, folder: Path, architecture: str) -> None:
        import gguf
        from safetensors.torch import load_file

        if architecture not in _PLAIN:
            raise TrainingError(
                f"whole {architecture} models are not written as GGUF here", hint="export --as merged"
            )
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        arch = next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == architecture)
        names = gguf.get_tensor_name_map(arch, int(config["num_hidden_layers"]))
        self._heads = {
            "q_proj": int(config["num_attention_heads"]),
            "k_proj": int(config.get("num_key_value_heads") or config["num_attention_heads"]),
        }
        self._turned = architecture == "llama"
        self._tensors: dict[str, Any] = {}
        for name, tensor in load_file(str(folder / WEIGHTS)).items():
            known = names.get_name(name, try_suffixes=(".weight", ".bias"))
            if known is None:
                raise TrainingError(f"llama.cpp has no name for {name}", hint="export --as merged")
            self._tensors[known] = self._ordered(name, tensor.float()).numpy()

    def _ordered(self, name: str, tensor: Any) -> Any:
        from freehold.training.export import permuted

        layer = name.rsplit(".", 2)[-2]
        if not self._turned or layer not in self._heads or tensor.ndim != 2:
            return tensor
        return permuted(tensor, self._heads[layer]).contiguous()

    def names(self) -> set[str]:
        return set(self._tensors)

    def merged(self, name: str, base: Callable[[], Any]) -> Any:
        """The new values of a tensor of `names`; its old ones, from `base`, are not asked for."""
        return self._tensors[name]
