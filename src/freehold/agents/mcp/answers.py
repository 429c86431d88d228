"""What an agent reads: a record as a short JSON object, in the words of tools, and the last ones that were cut.

An answer enters the context of the agent's model, and mostly goes to another company with it. So small parts go before
large ones, customers' words stay here unless the user allows them, and what is cut is named and can be read without
doing the work again. An agent has no command line: what freehold tells people in commands and options is put into the
words of tools. Commands that are left as they are have no tool: they are for the agent's user.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection
from itertools import accumulate
from typing import Any

import msgspec

from freehold.errors import UsageError
from freehold.types.record import content_id

MOST_BYTES = 4_000
FULL_BYTES = 100_000
PRIVATE = frozenset({"disagreements", "first_rejects", "first_reject", "first", "items"})
"""Fields that hold what people wrote: questions and answers of traffic, rejected lines of a log."""
_WORDS = "words of traffic; the user can allow them: freehold mcp --with-words"
_LEAST = 48
"""Bytes below which nothing is shown in part."""
_MOST_KEPT = 16
_MOST_TOLD = 12
_INDEX = re.compile(r"\[(-?\d*)(:?)(-?\d*)\]")


class Answers:
    """Makes answers of what tools return, and keeps the last ones that were cut. `say` puts texts into tools' words."""

    def __init__(self, say: Callable[[str], str] = str, *, with_words: bool = False) -> None:
        self._say, self._with_words = say, with_words
        self._kept: dict[str, dict[str, Any]] = {}

    def kept(self, id: str | None) -> dict[str, Any]:
        """An answer that was cut, in full."""
        if id not in self._kept:
            raise UsageError(f"no answer {id} is kept", hint="call again: the last that were cut are kept")
        return self._kept[id]

    def document(self, value: Any, *, part: str = "", full: bool = False) -> dict[str, Any]:
        """A record, a list of records or plain values as a JSON object without nulls, of `MOST_BYTES` unless `full`.

        `part` is a path in it: ``candidates[0].ruling``, ``rows[40:80]``. `left_out` says what was cut, by path, and
        `more` how to read it.
        """
        words: dict[str, str] = {}
        whole = self._cleaned(_object(msgspec.to_builtins(value)), "", words)
        wanted, most = _part(whole, part), FULL_BYTES if full else MOST_BYTES
        room = most
        while True:
            left = dict(words)
            made = dict(_object(_fitted(wanted, room, _INDEX.sub("[]", part), left)))
            if left:
                told = sorted(left.items(), key=lambda one: (one[0].count("."), one[1] == _WORDS))
                more = {"…": f"{len(left) - _MOST_TOLD} more"} if len(left) > _MOST_TOLD else {}
                made["left_out"] = {**dict(told[:_MOST_TOLD]), **more}
            if left.keys() - words.keys():
                how = "part=PATH, as rows[40:80]; or full=true"
                made["more"] = f'read(kind="answer", id="{self._keep(whole)}", {how})'
            over = _size(made) - most
            if over <= 0 or room <= 0:
                return made
            room -= max(over, _LEAST)

    def _keep(self, whole: dict[str, Any]) -> str:
        id = content_id(whole)[:8]
        self._kept[id] = whole
        if len(self._kept) > _MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        return id

    def _cleaned(self, value: Any, path: str, words: dict[str, str], *, theirs: bool = False) -> Any:
        """Without nulls in objects, without words of traffic (`words` says where), with 6 digits of a float."""
        if isinstance(value, str):
            return value if theirs else self._say(value)
        if isinstance(value, float):  # JSON has no number for the others
            return (
                (float(f"{value:.6g}") if abs(value) < 1e6 else round(value))
                if math.isfinite(value)
                else None
            )
        if isinstance(value, list | tuple):
            return [self._cleaned(one, f"{path}[]", words, theirs=theirs) for one in value]
        if not isinstance(value, dict):
            return value
        made = {}
        for name, one in value.items():
            inner = f"{path}.{name}".removeprefix(".")
            if name in PRIVATE and one and not self._with_words:
                words[inner] = _WORDS
            elif one is not None:
                made[name] = self._cleaned(one, inner, words, theirs=theirs or name in PRIVATE)
        return made


def _fitted(value: Any, room: float, path: str, left: dict[str, str]) -> Any:
    """`value` in about `room` bytes, cut from its largest part on; `left` says of each path what is missing there."""
    size = _size(value)
    if size <= room:
        return value
    if room < _LEAST or not isinstance(value, str | list | dict):
        left[path] = f"{size:,} bytes"
        return None
    if isinstance(value, str):
        left[path] = f"{len(value) - int(room):,} of {len(value):,} characters"
        return value[: int(room)]
    if isinstance(value, dict):
        level = _level([len(name) + 4 + _size(one) for name, one in value.items()], room)
        made = {
            name: _fitted(one, level - len(name) - 4, f"{path}.{name}".removeprefix("."), left)
            for name, one in value.items()
        }
        return {name: one for name, one in made.items() if one is not None}
    # Of a list the first entries: whole, or a few in part where less than three fit whole.
    sizes = [_size(one) + 1 for one in value]
    whole = sum(total <= room for total in accumulate(sizes))
    shown = whole if whole >= 3 else min(len(value), max(1, int(room) // 400))
    if shown < len(value):
        left[path or "list"] = f"{len(value) - shown:,} of {len(value):,}"
    level = math.inf if shown == whole else _level(sizes[:shown], room)
    return [_fitted(one, level, f"{path}[]", left) for one in value[:shown]]


def _level(sizes: list[int], room: float) -> float:
    """The size to which the large ones are cut so that all fit; of too many parts, that of the largest that fits."""
    ascending, left = sorted(sizes), room
    for rank, size in enumerate(ascending):
        share = left / (len(sizes) - rank)
        if size > share >= _LEAST:
            return share
        if size > left:
            return ascending[rank - 1] if rank else 0
        left -= size
    return math.inf


def _part(value: Any, path: str) -> Any:
    """What lies at a path; names may hold dots."""
    rest = path
    while rest:
        known = value if isinstance(value, dict) else ()
        names = [name for name in known if rest == name or rest.startswith((f"{name}.", f"{name}["))]
        index = _INDEX.match(rest) if isinstance(value, list) else None
        if names:
            step = max(names, key=len)
            value = value[step]
        elif index and index[2]:
            step, value = index[0], value[int(index[1] or 0) : int(index[3]) if index[3] else None]
        elif index and index[1] and value[int(index[1]) :]:
            step, value = index[0], value[int(index[1])]
        else:
            hint = f"there are: {', '.join(list(known)[:40])}" if known else "of a list: [0], [1:5] …"
            raise UsageError(f"{path}: there is nothing at {rest}", hint=hint)
        rest = rest[len(step) :].removeprefix(".")
    return value


def _object(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    return {"list": value} if isinstance(value, list | tuple) else {"value": value}


def _size(value: Any) -> int:
    return len(msgspec.json.encode(value))


COMMANDS = {
    "assess": "assess_models", "audit": 'read(kind="audit")', "compare": "compare_scores", "cost": "estimate_cost",
    "dataset": 'read(kind="dataset")', "dataset check": 'read(kind="dataset")', "dataset show": 'read(kind="dataset")',
    "dataset build": 'make(kind="dataset")',
    "defer plan": 'run_step(kind="mixture")', "doctor": 'read(kind="diagnosis")', "down": 'gateway(kind="stop")',
    "evaluate": "evaluate_served", "evaluate --a": "evaluate_answers", "fit": "check_fit", "forget": "forget",
    "freeze": 'run_step(kind="freeze")', "import": "import_traffic", "init": "draft_project",
    "license": "check_license", "migrate": "migrate", "migrate --dry-run": "check_migration",
    "parity": 'run_step(kind="parity")',
    "power": "plan_power", "fit --quants": 'check_fit(quantization="all")', "report": 'read(kind="report")',
    "report --evaluations": 'read(kind="evaluations")', "report --open": 'read(kind="report")',
    "rescue": "prepare_rescue", "retirements": 'read(kind="retirements")',
    "rollout advance": 'move_traffic(kind="advance")', "rollout pause": 'move_traffic(kind="pause")',
    "rollout promote": 'move_traffic(kind="promote")', "rollout rollback": 'move_traffic(kind="roll_back")',
    "rollout start": 'move_traffic(kind="begin")', "rollout status": 'read(kind="rollout")', "scan": "scan_code",
    "status": 'read(kind="status")', "store backup": 'make(kind="backup")', "store check": 'read(kind="store")',
    "tasks": "find_tasks", "train": 'run_step(kind="train")', "up": 'gateway(kind="start")', "watch": "watch_promoted",
    "watch --history": 'read(kind="checks")',
}  # fmt: skip
"""Commands that have a tool; a longer one comes before the group it is of."""
FOR_PEOPLE = (
    "catalog", "console", "dataset card", "dataset diff", "dataset export",
    "defer", "demo", "engines", "fit --make", "fit --measure", "improve", "keys", "label",
    "license comply", "license identify", "license init", "models", "rollout", "routes", "serve",
    "settings", "skill", "store", "traces", "trust",
)  # fmt: skip
"""Commands that have none."""
OPTIONS = {"context": "context_tokens", "gold": "gold_file", "license": "declared", "quant": "quantization"}
"""Options that are called otherwise as an argument."""
OF_THE_SERVER = frozenset({"allow", "budget_usd", "max_requests"})
"""Arguments of tools by whose names an option is meant that the user starts the server with."""
_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]+)(?![\w-])")
_KILL = re.compile(r"stop it: kill \d+")


class Wording:
    """Puts texts into the words of the tools that a server has, and of their arguments."""

    def __init__(self, tools: Collection[str], arguments: Collection[str]) -> None:
        self._said = {name: said for name, said in COMMANDS.items() if said.partition("(")[0] in tools}
        self._arguments = set(arguments) - OF_THE_SERVER
        names = "|".join(map(re.escape, sorted((*COMMANDS, *FOR_PEOPLE), key=len, reverse=True)))
        self._command = re.compile(rf"(`?)\bfreehold ({names})(?![\w-])(?: --([a-z][a-z-]+))?")

    def __call__(self, text: str) -> str:
        if "freehold " in text:
            text = self._command.sub(self._tool, text)
        if "--" in text and "freehold " not in text:  # a command's that stays are the command's
            text = _OPTION.sub(lambda found: self._argument(found[1]) or found[0], text)
        return _KILL.sub("cancel it there", text)

    def _tool(self, found: re.Match[str]) -> str:
        """The tool of a command; where the server has none, or an option follows that it lacks, the command, for a
        terminal."""
        tick, command, option = found.groups()
        argument = option and self._argument(option)
        if command not in self._said or (option and not argument):
            return f"in a terminal: {found[0]}"
        return f"{tick}{self._said[command]} {argument}" if argument else f"{tick}{self._said[command]}"

    def _argument(self, option: str) -> str | None:
        name = OPTIONS.get(option, option.replace("-", "_"))
        return name if name in self._arguments else None
