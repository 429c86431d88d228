"""The files that training leaves: their names, their hashes, and the order of rows llama.cpp wants."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

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
