"""The files that training leaves: their names, their hashes, and the order of rows llama.cpp wants."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from freehold.types.model import Weights
from freehold.types.record import Record

if TYPE_CHECKING:
    import torch


PEFT_WEIGHTS = "adapter_model.safetensors"
PEFT_CONFIG = "adapter_config.json"
GGUF = "adapter.gguf"
TEMPLATE = "chat_template.jinja"
WHOLE_WEIGHTS = "model.safetensors"
WHOLE_GGUF = "model.gguf"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def permuted(rows: torch.Tensor, heads: int) -> torch.Tensor:
    """Reorder output rows from the two halves of rotary embedding to the neighbours that llama.cpp turns."""
    return (
        rows.reshape(heads, 2, rows.shape[0] // heads // 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)
    )


Precision = Literal["bf16", "f16", "f32"]


class MergeJob(Record, frozen=True, kw_only=True):
    """What to merge into what. `adapter_path` is the adapter's folder. `target` is a folder for safetensors; with
    `quantization` it is a GGUF file in one of `merge_gguf.QUANTIZATIONS`."""

    weights: Weights
    adapter_path: str
    target: str
    precision: Precision = "bf16"
    quantization: str | None = None


class Merged(Record, frozen=True, kw_only=True):
    """What a merge wrote: `changed` tensors (or layers) had an adapter on them."""

    files: tuple[str, ...]
    changed: int
