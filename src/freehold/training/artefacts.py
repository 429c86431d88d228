"""The files that training leaves: their names, hashes and order of rows; and its checkpoint.

A checkpoint is written next to the old one, flushed, and then takes its place in one step. A full disk or a kill
at any moment leaves the previous checkpoint as it was.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from freehold import files
from freehold.errors import TrainingError
from freehold.types.model import Weights
from freehold.types.record import Record
from freehold.visible import mib

if TYPE_CHECKING:
    import torch


PEFT_WEIGHTS = "adapter_model.safetensors"
PEFT_CONFIG = "adapter_config.json"
GGUF = "adapter.gguf"
TEMPLATE = "chat_template.jinja"


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


FILE = "checkpoint.safetensors"


class Position(Record, frozen=True, kw_only=True):
    """How far a run is. `steps` is the planned total; `curve` holds (step, training loss).

    `best_loss` and `best_score` are of the evaluation whose adapter is kept (see `Trainer.keeps_best`).
    """

    job: str
    step: int
    steps: int
    tokens: int
    seconds: float
    curve: tuple[tuple[int, float], ...] = ()
    best_loss: float | None = None
    best_score: float | None = None


class State(NamedTuple):
    """What a checkpoint holds: its position and tensors by name."""

    position: Position
    tensors: dict[str, torch.Tensor]


def save(folder: Path, position: Position, tensors: dict[str, torch.Tensor]) -> None:
    """Write a checkpoint atomically. Raises `StorageError`; the previous one is then intact."""
    from safetensors.torch import save as to_bytes

    data = to_bytes(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        metadata={"position": msgspec.json.encode(position).decode()},
    )
    write_durable(folder / FILE, data)


def write_durable(path: Path, data: bytes) -> None:
    """Replace a file of a run in one step, once it is on the disk. Raises `StorageError`."""
    with (
        files.writing(
            f"cannot write {path} ({mib(len(data), 1)})",
            hint="free some space and run the same command again: training goes on from the last checkpoint",
        ),
        files.replacing(path, durable=True) as partial,
    ):
        partial.write_bytes(data)


def load(folder: Path, job: str) -> State | None:
    """Read the checkpoint of this job; None when there is none.

    Raises `TrainingError` when the file is damaged or belongs to another job.
    """
    path = folder / FILE
    if not path.exists():
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            position = msgspec.json.decode(file.metadata()["position"], type=Position)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, msgspec.MsgspecError, KeyError, TypeError) as error:
        raise TrainingError(
            f"checkpoint {path} cannot be read: {error}", hint=f"remove {path} to start from the beginning"
        ) from error
    if position.job != job:
        raise TrainingError(
            f"checkpoint {path} belongs to another job", hint=f"remove {path} to start from the beginning"
        )
    return State(position, tensors)
