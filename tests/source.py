"""The Python files of the source, read once for the tests that look at how it is written."""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "freehold"


class SourceFile(NamedTuple):
    """A Python file of the source. `place` is its path below ``src/freehold``."""

    place: str
    text: str
    tree: ast.Module


@cache
def source_files() -> tuple[SourceFile, ...]:
    return tuple(
        SourceFile(path.relative_to(SOURCE).as_posix(), text, ast.parse(text))
        for path in sorted(SOURCE.rglob("*.py"))
        for text in [path.read_text()]
    )


@cache
def script(name: str):
    """The program ``scripts/<name>``, as a module."""
    loader = importlib.machinery.SourceFileLoader(f"script_{name}", str(ROOT / "scripts" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module
