"""What a merge is told and what it leaves."""

from __future__ import annotations

from typing import Literal

from freehold.types.model import Weights
from freehold.types.record import Record

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
