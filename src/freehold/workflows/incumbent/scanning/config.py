"""Values of configuration: JSON, TOML, YAML, `.env`, ini, Dockerfile, shell and Terraform.

A word is a value where it stands alone between quotes, commas, brackets, or line ends, after an equals sign or
colon, or
after an option (`--model gpt-4o`) or the word `model`. A word in the middle of a sentence is a mention, not a use.
"""

from __future__ import annotations

import re

from freehold.catalog.retirements import HOLE
from freehold.workflows.incumbent.scanning.word import Word

_COMMENT = re.compile(r"(?:^|\s)(?:#|//).*$")
_VARIABLE = re.compile(r"\$\{[^}]*\}|\{\{[^}]*\}\}|\$\w+|\$\([^)]*\)")
_WORD = re.compile(r"[^\s\"'`,;=()\[\]{}<>|]+")
_ALONE = re.compile(r"(?:^|[\"'`,;=\[{>|:\\])\s*(?:-\s+)?$")
_AFTER_OPTION = re.compile(r"(?:^|\s)(?:--?[\w-]+|\w*model\w*:?)\s+[\"']?$", re.IGNORECASE)
_KEY = re.compile(r"[\"']?\s*[:=]")
_BEFORE = 80
"""How far a word is looked back from: a file may be one line of two megabytes."""
_END = re.compile(r"\s*(?:$|[\"'`,;\]}<|\\&])")


def read(source: str) -> list[Word]:
    """All values of a configuration file, and its keys that stand alone before an equals sign or colon."""
    found: list[Word] = []
    for number, line in enumerate(source.splitlines(), 1):
        found.extend(values(_COMMENT.sub("", line), number))
    return found


def values(line: str, number: int, column: int = 0) -> list[Word]:
    """The values in one line. A variable (`${SIZE}`, `{{ size }}`) in a value is a hole."""
    text = _VARIABLE.sub(
        lambda match: HOLE + "\a" * (len(match.group()) - 1), line
    )  # places stay as they were
    found = []
    for match in _WORD.finditer(text):
        word = match.group()
        is_key = word.endswith(":") or _KEY.match(text, match.end()) is not None
        before = text[max(0, match.start() - _BEFORE) : match.start()]
        if match.start() > _BEFORE and not before.strip():
            continue  # after that much white space nothing is known of what stands before
        alone = _ALONE.search(before) is not None and _END.match(text, match.end()) is not None
        if is_key or alone or _AFTER_OPTION.search(before) is not None:
            found.append(
                Word(word.replace("\a", "").rstrip(":"), number, column + match.start() + 1, "string")
            )
    return found


_MODEL = re.compile(
    r"(?:\b|(?<=\\[nrt]))model(?:_?name|_?id)?\\?[\"']?\s*[:=]\s*\\?[\"']([\w.:/@+-]+)", re.IGNORECASE
)


def embedded(word: Word) -> list[Word]:
    """Models that a longer string sets, as a request's body does: ``{"model": "gpt-4o"}``."""
    found = []
    for match in _MODEL.finditer(word.text):
        before = word.text[: match.start(1)]
        line = before.count("\n")
        column = len(before) - before.rfind("\n") if line else word.column
        found.append(Word(match.group(1), word.line + line, column, "string"))
    return found
