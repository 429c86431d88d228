"""The order of a shortlist: what a task needs, by a prior, and what was measured here for and against a model; and the
shortlist put into a `freehold.toml` as `[[candidates]]`, those that it does not name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold import files
from freehold.catalog import models as catalog
from freehold.errors import ConfigError
from freehold.types.choosing import CandidateRow, TaskKind
from freehold.types.config import CandidateConfig
from freehold.types.config_file import parse
from freehold.types.evaluation import Comparison
from freehold.types.machine import Machine
from freehold.types.mixture import Mixture
from freehold.types.model import Model
from freehold.types.verdict import Verdict

MONTHS_TO_HALVE = 8
"""A model that much younger is taken to do as much with half the parameters. "Densing Law of LLMs" (Xiao et al. 2024,
arXiv 2412.04315) finds three and a half months on public benchmarks, which flatter what came after them."""
DATE_UNKNOWN = "2025-01"
"""Where the catalog has no month of release; what is older has one."""
MOST_SECONDS = 10
"""For one request: who waits longer turns to something else (Nielsen 1993, "Usability Engineering", chapter 5). A model
that takes so long loses two doublings, one that takes a tenth of it a quarter of one, one that takes twice as long
five."""
ENOUGH: dict[TaskKind, float] = {"labels": 4e9, "extraction": 9e9, "tools": 9e9}
"""Parameters beyond which a tuned model brings little on such a task, so that the cheaper one stands first. A judgement
like all of this order: adapters of models of 2 to 8B passed GPT-4 on most of the 31 tasks of LoRA Land (Zhao et al.
2024, arXiv 2405.00732), labels among the easier ones."""
ENOUGH_ON_CORES: dict[TaskKind, float] = {"labels": 1e9, "extraction": 2e9, "tools": 2e9}
"""Without an accelerator, on which more cannot be trained in a day."""
LEAST: dict[TaskKind, float] = {"code": 4e9, "agent": 4e9}
"""Parameters (the geometric mean of all and active ones) below which a model asked as it is seldom gets through the
several steps of such a task. A judgement."""
_BEYOND = 1.5
"""What a doubling beyond `ENOUGH` takes from the prior, which counts doublings."""
_CODER = re.compile(r"coder|codestral|devstral|-code\b", re.IGNORECASE)
_THINKER = re.compile(r"-R1\b|R1-Distill|QwQ|reasoning|thinking|magistral", re.IGNORECASE)
_MADE_FOR_IT, _MADE_FOR_OTHERS, _THINKS_FIRST, _UNTAUGHT = 1.5, 1.5, 3.0, 4.0
"""In doublings: of a coder for code and for other tasks, a model that reasons first where answers are short, a base
model where nothing is trained."""
_BOARDS: dict[TaskKind, re.Pattern[str]] = {
    "code": re.compile(r"SWE|Terminal|Code|Repo|Program"),
    "agent": re.compile(r"Terminal|MCP|Tool|Browse|OSWorld|Automation|BFCL|SWE"),
    "text": re.compile(r"GPQA|MMLU|IFBench|IFEval|HLE|SimpleQA|MRCR"),
}
"""Public tasks that tell something of a kind of task, where a model is asked as it is."""
_SCORED = 1.0
"""In doublings: of a model that any table of the catalog has measured on such a task, against one that none has."""
_SAME_SIZE = 0.1
"""Of logarithms: a tenth more or less is the same size."""
_FOUR_BITS = ("Q4_K_M", "AWQ", "GPTQ")
_IN_FOUR_BITS, _DOUBTFUL = 0.5, 1.0
"""What weights lose that were made for 16 bits, and what it counts that the middle of the estimate is too slow."""
ENCODERS_FIRST = 2
"""Encoders that stand before what writes; the others follow it."""

RANKED_BY = (
    "results measured here, then size and release date (eight months newer count as twice the size) up to the size "
    "that the task needs, published scores, and how long a request takes: a guess until you measure"
)


class MeasuredHere(NamedTuple):
    """The newest comparison of a model here."""

    comparison_id: str
    score: float
    rejected: bool
    said: str


def measured_of(
    comparisons: Iterable[Comparison], verdicts: Iterable[Verdict] = (), mixtures: Iterable[Mixture] = ()
) -> dict[str, MeasuredHere]:
    """What was measured, by model in lower case: the newest comparison of each counts, for it and against it, by the
    verdict that rests on it where there is one; of a mixture that was promoted its own."""
    joined = {part: one for one in verdicts for part in one.made_from}
    by_id = {one.id: one for one in mixtures}
    found: dict[str, MeasuredHere] = {}
    for alone in comparisons:
        verdict = joined.get(alone.id)
        mixture = None if verdict is None else by_id.get(verdict.mixture_id or "")
        one = alone if mixture is None or mixture.comparison is None else mixture.comparison
        if one.candidate_mean is None:
            continue
        rest = "" if mixture is None else f" with {mixture.upper or mixture.incumbent} as fallback"
        points = "" if one.difference is None else f" ({100 * one.difference:+.1f} points)"
        against = "" if one.incumbent_mean is None else f" against {one.incumbent_mean:.3f}"
        outcome = one.verdict if verdict is None else verdict.outcome
        words = {"promote": "promoted", "hold": "not promoted", "reject": "rejected"}
        found[alone.candidate.split(":")[0].lower()] = MeasuredHere(
            one.id,
            one.candidate_mean,
            outcome == "reject",
            f"measured here: {words[outcome]}{rest}, {one.candidate_mean:.3f}{against}{points}",
        )
    return found


def ranked(rows: list[CandidateRow], task: TaskKind | None, machine: Machine) -> list[CandidateRow]:
    """Rows in their order, those on the shortlist with their rank. What was rejected here stands last of them."""
    listed = {row.model for row in rows if row.outcome == "shortlisted"}
    values = _by_scores({row.model: prior(row, task, machine) for row in rows}, listed, task)
    places = {"shortlisted": 0, "unclear": 1, "excluded": 2}
    newer = superseded(rows)
    rows = [_with_successor(row, newer.get(row.model)) for row in rows]

    def key(row: CandidateRow) -> tuple[int, bool, bool, bool, bool, float, float]:
        score = -(row.measured_score if row.measured_score is not None else -1.0)
        barred = row.open_line is not None and row.measured_score is None
        old = row.model in newer
        best = -values[row.model]
        return places[row.outcome], row.rejected, barred, old, row.method is None, score, best

    ordered = sorted(rows, key=key)
    encoders = [row for row in ordered if row.method is not None and row.outcome == "shortlisted"]
    late = {row.model for row in encoders[ENCODERS_FIRST:] if row.measured_score is None}
    writing = [row for row in ordered if row.outcome == "shortlisted" and row.method is None]
    if late and writing:
        last = max(place for place, row in enumerate(ordered) if row.outcome == "shortlisted") + 1
        ordered = [
            *(row for row in ordered[:last] if row.model not in late),
            *(row for row in ordered if row.model in late),
            *ordered[last:],
        ]
    return [
        msgspec.structs.replace(row, rank=place) if row.outcome == "shortlisted" else row
        for place, row in enumerate(ordered, 1)
    ]


def superseded(rows: Iterable[CandidateRow]) -> dict[str, str]:
    """Models of a shortlist that a later one of the same makers, size and purpose has taken the place of, with its id;
    what was measured here keeps its place."""
    found: dict[str, str] = {}
    latest: dict[tuple[object, ...], Model] = {}
    listed = [row for row in rows if row.outcome == "shortlisted" and row.method is None and not row.rejected]
    models = [(row, catalog.get(row.model)) for row in listed]
    for row, model in sorted(models, key=lambda one: one[1].released or DATE_UNKNOWN, reverse=True):
        size = (
            round(math.log(row.parameters) / _SAME_SIZE),
            round(math.log(row.active_parameters) / _SAME_SIZE),
        )
        purpose = is_coder(model), thinks_first(model), model.instruct
        after = latest.setdefault((model.publisher, *size, *purpose), model)
        if after.released != model.released and row.measured_score is None:
            found[row.model] = after.id
    return found


def _with_successor(row: CandidateRow, successor: str | None) -> CandidateRow:
    if successor is None:
        return row
    return msgspec.structs.replace(row, reasons=(*row.reasons, f"{successor} is as large, and later"))


def effective_size(parameters: int, active: int) -> float:
    """What the parameters of a sparse model count as: the geometric mean of all and active ones."""
    return math.sqrt(parameters * active)


def prior(row: CandidateRow, task: TaskKind | None, machine: Machine) -> float:
    """Doublings: parameters as they would count in year 0 (the geometric mean of all and active ones, twice for each
    year), less what the task does not need, what the model was not made for, and how long a request takes here."""
    model = catalog.get(row.model)
    year, _, month = (model.released or DATE_UNKNOWN).partition("-")
    months = 12 * int(year) + int(month or 1)
    size = math.log2(effective_size(row.parameters, row.active_parameters))
    enough = (ENOUGH if machine.accelerators else ENOUGH_ON_CORES).get(task) if task is not None else None
    if enough is not None and not model.encoder:
        beyond = max(0.0, size - math.log2(enough))
        size -= (1 + _BEYOND) * beyond
    waits = (row.seconds_per_request or 0.0) / MOST_SECONDS
    slow = 2 * math.log2(1 + waits) + 2 * math.log2(max(1.0, waits))
    cut = _IN_FOUR_BITS if row.quantization in _FOUR_BITS and not model.quantization else 0.0
    lost = cut + slow + (_DOUBTFUL if row.doubtful else 0.0)
    return size + months / MONTHS_TO_HALVE + _made_for(model, task) - lost


def _by_scores(values: dict[str, float], listed: set[str], task: TaskKind | None) -> dict[str, float]:
    """Priors with what was published: who was measured counts for more, and of the models of one table, whose scores
    alone compare, those that are ahead of most of the others get its larger priors. The newest table comes last."""
    if task is None or task not in _BOARDS:
        return values
    values = dict(values)
    tables: dict[str, dict[str, dict[str, float]]] = {}
    ids = {
        part: model for model in sorted(listed) for part in (model.lower(), model.lower().rpartition("/")[2])
    }
    for row in reversed(catalog.score_rows()):
        if (model := ids.get(row.model.lower())) is not None and _BOARDS[task].search(row.task):
            tables.setdefault(row.source, {}).setdefault(model, {})[row.task] = row.score
    for model in {model for table in tables.values() for model in table}:
        values[model] += _SCORED
    for table in tables.values():
        ahead = {model: sum(_lead(table[model], other) for other in table.values()) for model in table}
        order = sorted(table, key=lambda model: (ahead[model], values[model]))
        values |= dict(zip(order, sorted(values[model] for model in table), strict=True))
    return values


def _lead(one: dict[str, float], other: dict[str, float]) -> int:
    """1 where the first is better on most of the tasks that both have, -1 where it is worse."""
    apart = [one[name] - other[name] for name in one if name in other]
    better, worse = sum(points > 0 for points in apart), sum(points < 0 for points in apart)
    return (better > worse) - (better < worse)


def _made_for(model: Model, task: TaskKind | None) -> float:
    found = 0.0
    if is_coder(model):
        found += _MADE_FOR_IT if task == "code" else -_MADE_FOR_OTHERS
    if thinks_first(model) and task != "agent":
        found -= _THINKS_FIRST
    if not model.instruct and not model.encoder and task in (None, "text", "agent", "code", "tools"):
        found -= _UNTAUGHT
    return found


def is_coder(model: Model) -> bool:
    """Made for program text above all, as its name says."""
    return _CODER.search(model.id) is not None


def thinks_first(model: Model) -> bool:
    """It writes its reasoning before each answer and cannot be told not to."""
    return _THINKER.search(model.id) is not None or "reasoning before the answer" in (model.note or "")


def first_candidates(shortlist: Iterable[CandidateRow], most: int) -> tuple[CandidateConfig, ...]:
    """What of a shortlist is worth trying: the first encoder where there are any (one tells what encoders can do), and
    the first models that write, `most` in all."""
    rows = list(shortlist)
    encoders = [row for row in rows if row.method is not None][:1]
    others = [row for row in rows if row.method is None]
    return tuple(CandidateConfig(model=row.model, method=row.method) for row in (*encoders, *others)[:most])


def put_candidates(path: Path, chosen: tuple[CandidateConfig, ...]) -> None:
    """Add what was chosen to the file's candidates.

    Raises `ConfigError` when the file says it in a way that cannot be changed safely: nothing is written then.
    """
    try:
        before = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    known = parse(before, path=str(path))
    candidates = known.candidates or ()
    more = [one for one in chosen if not _is_named(one, candidates)]
    line = as_tables(more)
    after = f"{before.rstrip()}\n\n{line}" if more else before
    try:
        same = parse(after, path=str(path)) == msgspec.structs.replace(
            known, candidates=(*candidates, *more) or None
        )
    except ConfigError:
        same = False
    if not same:
        raise ConfigError(
            f"{path}: candidates are written in a way that cannot be changed here", hint=f"add {line}"
        )
    with files.writing(f"{path}: cannot be written"):
        files.write(path, after)


def as_tables(chosen: Iterable[CandidateConfig]) -> str:
    """These candidates as `[[candidates]]` tables."""
    return "\n".join(
        f'[[candidates]]\nmodel = "{one.model}"\n'
        + (f'method = "{one.method}"\n' if one.method is not None else "")
        for one in chosen
    )


def _is_named(one: CandidateConfig, known: tuple[CandidateConfig, ...]) -> bool:
    """Whether a table names the model, with the method where it says one."""
    return any(two.model == one.model and one.method in (None, two.method) for two in known)
