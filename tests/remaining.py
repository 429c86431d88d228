"""What the rules of the house still find, by rule and place: lists that may only shrink.

``tests/remaining.toml`` holds them. A test compares what it finds with its table: a new case fails, and one that was
mended fails until it is struck from the list. ``python -m tests.remaining`` writes the file, and refuses where a rule
finds more than before. The cases of a renamed file move to its new name.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).parents[1] / "src" / "freehold"
FILE = Path(__file__).with_suffix(".toml")
HEAD = "# What test_house.py and test_words.py still find. Made by `python -m tests.remaining`; may only shrink.\n"


def listed(rule: str) -> Counter[str]:
    """Cases that the file lists for a rule, by place. Raises `KeyError` for a rule it does not have."""
    return Counter(tomllib.loads(FILE.read_text())[rule])


def compare(rule: str, found: Counter[str]) -> str:
    """Why `found` is not what is listed, in words; empty where it is."""
    known = listed(rule)
    more = [
        f"{place} ({known[place]} listed, {n} found)"
        for place, n in sorted(found.items())
        if n > known[place]
    ]
    less = [place for place, n in sorted(known.items()) if n > found[place]]
    lines = [f"{rule}: new: {place}" for place in more]
    lines += [f"{rule}: mended, strike it by `python -m tests.remaining`: {place}" for place in less]
    return "\n".join(lines)


class SourceFile(NamedTuple):
    """A Python file of the source. `place` is its path below ``src/freehold``."""

    place: str
    text: str
    tree: ast.Module


@cache
def source_files() -> tuple[SourceFile, ...]:
    """Every Python file of the source, read once."""
    return tuple(
        SourceFile(path.relative_to(SOURCE).as_posix(), text, ast.parse(text))
        for path in sorted(SOURCE.rglob("*.py"))
        for text in [path.read_text()]
    )


def write(rules: dict[str, Callable[[], Counter[str]]]) -> str:
    """Write what each rule finds. A rule that finds more than is listed keeps its list; returns what is new there."""
    tables, refused = [HEAD], []
    for rule, find in rules.items():
        found = find()
        if found.total() > listed(rule).total():
            refused.append(compare(rule, found))
            found = listed(rule)
        tables.append(f'["{rule}"]\n' + "".join(f'"{place}" = {found[place]}\n' for place in sorted(found)))
    FILE.write_text("\n".join(tables))
    return "\n".join(refused)


if __name__ == "__main__":
    from tests import test_house, test_words

    sys.exit(write(test_house.RULES | test_words.RULES) or 0)
