"""A model whose weights were all trained, as the tensors of a GGUF."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from freehold.errors import TrainingError
from freehold.training.output.artefacts import WHOLE_WEIGHTS, permuted

PLAIN_ARCHITECTURES = ("llama", "qwen2", "qwen3")
"""Architectures whose tensors llama.cpp stores as they are, but for the order of rows under rotary embedding."""


class WholeTensors:
    """The tensors of a trained folder under llama.cpp's names, in its row order. A `merge_gguf.TrainedTensors`."""

    def __init__(self, folder: Path, architecture: str) -> None:
        import gguf
        from safetensors.torch import load_file

        if architecture not in PLAIN_ARCHITECTURES:
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
        self._permutes = architecture == "llama"
        self._tensors: dict[str, Any] = {}
        for name, tensor in load_file(str(folder / WHOLE_WEIGHTS)).items():
            known = names.get_name(name, try_suffixes=(".weight", ".bias"))
            if known is None:
                raise TrainingError(f"llama.cpp has no name for {name}", hint="export --as merged")
            self._tensors[known] = self._ordered(name, tensor.float()).numpy()

    def _ordered(self, name: str, tensor: Any) -> Any:
        layer = name.rsplit(".", 2)[-2]
        if not self._permutes or layer not in self._heads or tensor.ndim != 2:
            return tensor
        return permuted(tensor, self._heads[layer]).contiguous()

    def names(self) -> set[str]:
        return set(self._tensors)

    def merged(self, name: str, base: Callable[[], Any]) -> Any:
        """The new values of a tensor of `names`; its old ones, from `base`, are not needed."""
        return self._tensors[name]
