"""SDKs that a project declares: `package.json`, `requirements.txt`, `pyproject.toml`, `go.mod`, `Cargo.toml` and
others."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import PurePath

from freehold.workflows.incumbent.scanning.word import Word

_NPM = ("dependencies", "devDependencies", "peerDependencies", "optionalDependencies")
_PYTHON = re.compile(r"^\s*[\"']?([A-Za-z][\w.-]*)\s*(?:\[[\w,.\s-]*\])?\s*(?:[<>=!~;@,\"'#]|$)")
_BY_LINE: dict[str, re.Pattern[str]] = {
    "go.mod": re.compile(r"^\s*(?:require\s+)?([\w.-]+\.[\w./-]+)\s+v"),
    "cargo.toml": re.compile(r"^\s*([\w-]+)\s*=\s*(?:\"[\d^~*=<>]|\{)"),
    "gemfile": re.compile(r"^\s*gem\s+[\"']([\w-]+)"),
    "pom.xml": re.compile(r"<groupId>([\w.]+)</groupId>"),
    "gradle": re.compile(r"[\"']([\w.]+):[\w.-]+:[^\"']+[\"']"),
    "csproj": re.compile(r"<PackageReference\s+Include=\"([\w.]+)\""),
}


def kind_of(name: str) -> str | None:
    """Which manifest a file is, by its name; None for others."""
    lower = PurePath(name).name.lower()
    if lower in ("package.json", "composer.json", "pyproject.toml", "pipfile", *_BY_LINE):
        return lower
    if lower.startswith("requirements") and lower.endswith((".txt", ".in")):
        return "requirements"
    return (
        "gradle"
        if lower.endswith((".gradle", ".gradle.kts"))
        else "csproj"
        if lower.endswith(".csproj")
        else None
    )


def read(source: str, kind: str) -> list[Word]:
    """The packages a manifest asks for, as imports: a Python or Rust package by the module it brings."""
    readers: dict[str, Callable[[str], Iterator[Word]]] = {
        "package.json": _json, "composer.json": _json, "requirements": _requirements, "pyproject.toml": _pyproject,
        "pipfile": _pyproject,
    }  # fmt: skip
    if kind in readers:
        return list(readers[kind](source))
    found = []
    for number, line in enumerate(source.splitlines(), 1):
        for match in _BY_LINE[kind].finditer(line):
            name = match.group(1).replace("-", "_") if kind == "cargo.toml" else match.group(1)
            found.append(Word(name, number, match.start(1) + 1, "import"))
    return found


def _json(source: str) -> Iterator[Word]:
    try:
        whole = json.loads(source)
    except (ValueError, RecursionError):  # a template; its values are read as configuration
        return
    asked = [whole.get(key) for key in (*_NPM, "require", "require-dev")] if isinstance(whole, dict) else []
    names = {name for one in asked if isinstance(one, dict) for name in one}
    for number, line in enumerate(source.splitlines(), 1):
        match = re.match(r"\s*\"([^\"]+)\"\s*:", line)
        if match is not None and match.group(1) in names:
            yield Word(match.group(1), number, match.start(1), "import")


def _requirements(source: str) -> Iterator[Word]:
    for number, line in enumerate(source.splitlines(), 1):
        match = _PYTHON.match(line.split("#")[0])
        if match is not None:
            yield Word(module(match.group(1)), number, match.start(1) + 1, "import")


def _pyproject(source: str) -> Iterator[Word]:
    for number, line in enumerate(source.splitlines(), 1):
        text = re.sub(r"(?:^|\s)#.*$", "", line)
        for match in re.finditer(r"[\"']([A-Za-z][\w.-]*)(?:\[[\w,-]*\])?\s*(?:[<>=!~;][^\"']*)?[\"']", text):
            yield Word(module(match.group(1)), number, match.start(1), "import")
        key = re.match(r"\s*([A-Za-z][\w.-]*)\s*=\s*(?:\"[\^~*\d<>=]|\{)", text)
        if key is not None:  # Poetry and Pipenv
            yield Word(module(key.group(1)), number, key.start(1) + 1, "import")


_MODULES = {
    "google-genai": "google.genai", "google-generativeai": "google.generativeai", "google-cloud-aiplatform": "vertexai",
    "llama-index": "llama_index", "semantic-kernel": "semantic_kernel",
}  # fmt: skip


def module(package: str) -> str:
    """The module of a Python package. LlamaIndex's parts are named after their place in it."""
    name = package.lower().replace("_", "-").replace(".", "-")
    part = re.fullmatch(r"llama-index-(llms|embeddings)-(.+)", name)
    if part:
        return f"llama_index.{part.group(1)}.{part.group(2).replace('-', '_')}"
    return _MODULES.get(name, name.replace("-", "_"))
