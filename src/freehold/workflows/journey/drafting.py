"""What the commands that write a `freehold.toml` have in common: guesses from the data, and how TOML is spelled."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold.datasets.messages import blanked_text
from freehold.evals.normalizing import normalized_label
from freehold.types.config import DataConfig, usable_name
from freehold.types.config.matching import MatchConfig

CHARACTERS_PER_TOKEN = 3.0
"""Few on purpose (English has about four), so that an estimate is rather too high than too low."""
_LONGEST_CONTEXT = 16384
_FEW = 0.05
"""This share of calls among other answers is an agent's log, not an accident."""
_MOST_LABELS = 256
"""More are not written out: a set as long as that is seldom closed."""
_MOST_FIELDS = 64
"""Objects with more keys than that in all are not records of a few fields; each is compared by its own."""
_HIGHEST_GRADE = 10
_LINE = 100


class Guess(NamedTuple):
    """A scorer for the answers, its options, and what it was guessed from."""

    scorer: str
    options: dict[str, Any]
    why: str


def guess_scorer(answers: Sequence[str]) -> Guess:
    """How such answers are best scored: as tool calls, an agent's turns, JSON, grades, one of a few labels, or text."""
    objects: list[dict[str, Any]] = []
    numbers: list[float] = []
    lists = calls = empty = 0
    for text in answers:
        try:
            value = json.loads(text)
        except ValueError:
            continue
        objects.append(value) if isinstance(value, dict) else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            numbers.append(value)
        if isinstance(value, list):
            empty += not value
            lists += bool(value) and all(isinstance(one, str) for one in value)
            calls += bool(value) and all(isinstance(one, dict) and "function" in one for one in value)
    most = 0.95 * len(answers)
    if calls and calls + empty >= most:
        return Guess("tool_call", {}, "the answers are tool calls")
    if calls >= _FEW * len(answers):
        return Guess(
            "turn", {}, f"{calls / len(answers):.0%} of the answers are tool calls, the others words"
        )
    if len(objects) >= most:
        fields = list(dict.fromkeys(field for one in objects for field in one))
        return Guess(
            "json_fields",
            {"fields": fields} if len(fields) <= _MOST_FIELDS else {},
            "the answers are JSON objects",
        )
    if lists and lists + empty >= most:
        return Guess("json_fields", {}, "the answers are lists of labels")
    if len(numbers) >= most:
        low, high = min(numbers), max(numbers)
        if _are_grades(numbers):
            return Guess(
                "numeric", {"scale": [low, high]}, f"the answers are grades from {low:g} to {high:g}"
            )
        return Guess("numeric", {}, "the answers are numbers")
    kinds = {text.strip() for text in answers}
    if len(kinds) <= max(2, len(answers) // 3) and max(map(len, kinds)) <= 80:
        labels = _labels(answers)
        return Guess(
            "label",
            {"labels": labels} if len(labels) <= _MOST_LABELS else {},
            f"the answers are {len(kinds)} short texts again and again",
        )
    return Guess(
        "exact", {}, 'the answers are free text: exact is strict, consider scorer = "judge" or "semantic"'
    )


def _are_grades(numbers: Sequence[float]) -> bool:
    """Whole or half steps of a scale within 0 to 10, each seen several times; two of them alone are labels."""
    different = set(numbers)
    return (
        3 <= len(different) <= len(numbers) / 5
        and min(different) >= 0
        and max(different) <= _HIGHEST_GRADE
        and all(2 * number == int(2 * number) for number in different)
    )


def _labels(answers: Sequence[str]) -> list[str]:
    """The answers as a closed set: of spellings that mean the same label, the most frequent one."""
    spellings: dict[str, Counter[str]] = {}
    for text in answers:
        if normal := normalized_label(text):
            spellings.setdefault(normal, Counter())[text.strip()] += 1
    return sorted(counted.most_common(1)[0][0] for counted in spellings.values())


def options_text(guess: Guess) -> str:
    """The scorer's options as an inline table; empty where there are none."""
    options = ", ".join(f"{name} = {value(given)}" for name, given in guess.options.items())
    return f"{{ {options} }}" if options else ""


def prompt_size(messages: Sequence[dict[str, Any]], tools: Any) -> int:
    """Characters of a request, its JSON included; absent fields don't count, and a picture or a sound as its hash."""
    present = [
        {
            key: blanked_text(value) if key == "content" else value
            for key, value in one.items()
            if value is not None
        }
        for one in messages
    ]
    return len(msgspec.json.encode(present)) + (len(msgspec.json.encode(tools)) if tools else 0)


def tokens_in(characters: float) -> int:
    return int(characters / CHARACTERS_PER_TOKEN) + 1


def context_for(tokens: int) -> int:
    """A context that holds a request of `tokens`, question and answer together: a power of two."""
    context = 1024
    while context < tokens + 64 and context < _LONGEST_CONTEXT:
        context *= 2
    return context


def answer_tokens(longest: int) -> int:
    """How long an answer may become where the longest one known has `longest` characters."""
    return min(2048, max(16, tokens_in(longest * 1.5)))


def name_of(folder: Path) -> str:
    """The application's name where none is given: its folder's."""
    return usable_name(folder.resolve().name)


def place(path: Path, folder: Path) -> str:
    """A path as the file in `folder` names it."""
    inside = path.resolve()
    return (
        os.path.relpath(inside, folder.resolve()) if inside.is_relative_to(folder.resolve()) else str(inside)
    )


def quoted(text: str) -> str:
    """A TOML string; JSON escapes what TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def match_lines(match: MatchConfig) -> list[str]:
    """The keys of a `[[data.match]]` table, without those that are as they would be anyway."""
    given: dict[str, Any] = msgspec.to_builtins(match)
    default: dict[str, Any] = msgspec.to_builtins(MatchConfig())
    return [f"{key} = {value(said)}" for key, said in given.items() if said != default[key]]


def value(given: Any) -> str:
    """A TOML value: text, a number, a list of values, or an inline table of plain keys."""
    if isinstance(given, Decimal):
        return format(given.normalize(), "f")
    if isinstance(given, int | float):
        return f"{given:g}" if isinstance(given, float) else str(given).lower()
    if isinstance(given, dict):
        return f"{{ {', '.join(f'{key} = {value(one)}' for key, one in given.items())} }}"
    if not isinstance(given, list | tuple):
        return quoted(str(given))
    parts = [value(one) for one in given]
    line = f"[{', '.join(parts)}]"
    if len(line) <= _LINE:
        return line
    return "[\n" + "".join(f"  {part},\n" for part in parts) + "]"


def data_lines(data: DataConfig, files: Sequence[Path], held_out: Sequence[Path], folder: Path) -> list[str]:
    """The table ``[data]``: the files as seen from `folder`, and what differs from its defaults."""
    if not files:
        return ["[data]", 'files = []   # e.g. ["traffic.jsonl"]']

    def listed(some: Sequence[Path]) -> str:
        return f"[{', '.join(quoted(place(file, folder)) for file in some)}]"

    lines = ["[data]", f"files = {listed(files)}"]
    if held_out:
        lines.append(f"held_out_files = {listed(held_out)}   # never trained on")
    given: dict[str, Any] = msgspec.to_builtins(data)
    lines += [
        f"{key} = {quoted(str(given[key]))}"
        for key in ("format", "input", "label", "incumbent", "answers", "system")
        if given.get(key) is not None and given[key] != getattr(DataConfig(), key)
    ]
    for one in data.match:
        lines += [
            "",
            "[[data.match]]   # which requests of the log are this task (freehold tasks)",
            *match_lines(one),
        ]
    return lines
