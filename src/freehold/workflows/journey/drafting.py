"""What the commands that write a `freehold.toml` have in common: guesses from the data, and how TOML is spelled."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold.datasets.importing import Imported
from freehold.datasets.messages import blanked_text
from freehold.evals.text import normalized_label
from freehold.stats import power as planner
from freehold.stats.rules import MIN_PAIRS_PROMOTE
from freehold.types.config import DataConfig, MatchConfig
from freehold.types.config_file import usable_name

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
        "exact",
        {},
        'the answers are free text: choose scorer = "judge" or "semantic" ("exact" fails almost every answer)',
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


def api_of(found: Imported) -> str:
    """``anthropic``, ``responses`` or ``openai``, by the form of the recorded answer, else by the model's name."""
    response = found.response or {}
    if response.get("type") == "message" or str(found.request.get("model", "")).startswith("claude"):
        return "anthropic"
    return "responses" if response.get("object") == "response" else "openai"


def spoken(mapping: dict[str, str], apis: Counter[str]) -> dict[str, str]:
    """The mapping with the answer's field as this API calls it."""
    field = {"anthropic": "response.content", "responses": "response.output"}.get(next(iter(apis), ""))
    chat = "response.choices[0].message"
    return {name: field if field and source == chat else source for name, source in mapping.items()}


def incumbent_lines(incumbent: str | None, apis: Counter[str]) -> list[str]:
    if incumbent is None:
        return [
            "# [incumbent]   # the model you pay for today",
            '# model = "gpt-4o-2024-08-06"',
        ]
    anthropic = incumbent.startswith("claude") or (
        apis.most_common(1) and apis.most_common(1)[0][0] == "anthropic"
    )
    if anthropic:
        return [
            "[incumbent]",
            f"model = {quoted(incumbent)}",
            'api = "anthropic"',
            '# base_url = "https://api.anthropic.com"   # to forward traffic to it and to record its answers',
            '# api_key_env = "ANTHROPIC_API_KEY"        # the name of the variable, never the key',
        ]
    return [
        "[incumbent]",
        f"model = {quoted(incumbent)}",
        '# base_url = "https://api.openai.com/v1"   # to forward traffic to it and to record its answers',
        '# api_key_env = "OPENAI_API_KEY"           # the name of the variable, never the key',
    ]


# The margin that a drafted `freehold.toml` begins with: two points, or the least that so short a log can prove. A
# margin comes from what a drop costs, never from how many records there are. One that cannot be proven ends the
# journey before its first step, though, so a short log begins with one that can, and the file says what two points
# take.

WANTED = 0.02
"""The usual margin: `TaskConfig` has it as well."""
_WIDER = (0.03, 0.05, 0.08, 0.1, 0.15)
_LEFT = 0.95
"""Share of records that are left once repeats are gone; the rest is slack."""


class DraftedMargin(NamedTuple):
    """A margin with what is to be said of it: a comment on its line, and lines before it."""

    margin: float
    said: str
    before: tuple[str, ...] = ()
    least: int | None = None
    """Records that it takes at least, where these can prove nothing."""

    @property
    def lines(self) -> list[str]:
        """As they stand in the file."""
        return [*(f"# {line}" for line in self.before), f"margin = {self.margin:g}   # {self.said}"]


def drafted_margin(records: int, *, share: float) -> DraftedMargin:
    """The margin for a log of that many records, of which the `share` will be held out; each scores 0 or 1.

    Two points where the items can prove them at all; else the least of a few round margins that they can; two points
    again where they can prove none.
    """
    items = math.floor(records * share * _LEFT)
    usual = "largest drop you accept: two points"
    if _provable(WANTED, items):
        return DraftedMargin(WANTED, usual)
    least = _records(planner.zero_loss_n(WANTED), share)
    good = _records(planner.items_needed(WANTED), share)
    takes = f"Two points (0.02) take about {least:,} records, {good:,} for a good chance of a promotion"
    margin = next((one for one in _WIDER if _provable(one, items)), None)
    if margin is None:
        few = f"Of {records:,} records about {items:,} are held out"
        least_of_all = _records(MIN_PAIRS_PROMOTE, share)
        return DraftedMargin(
            WANTED,
            usual,
            (
                f"{few}: too few to prove anything. {least_of_all:,} records would allow a margin of "
                f"{100 * _WIDER[-1]:g} points.",
                f"{takes}.",
            ),
            least_of_all,
        )
    said = f"largest drop you accept: {100 * margin:g} points, the least that {items:,} held-out records can prove"
    return DraftedMargin(margin, said, (f"{takes}: import more, or hold out more ([data] held_out).",))


def _provable(margin: float, items: int) -> bool:
    """Whether a candidate that never differs from the incumbent is promoted."""
    return items >= max(MIN_PAIRS_PROMOTE, planner.zero_loss_n(margin))


def _records(items: int, share: float) -> int:
    return math.ceil(items / share / _LEFT)
