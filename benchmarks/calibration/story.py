"""Blocks M and N: a whole story of looks at the same questions, and looks that share some of them.

Datasets are built by `make_samples`, items and looks counted by the product's functions, each promote decided by
`compare_scores`; only the answers are drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
import numpy as np

from benchmarks.calibration.table import Block, Cell
from freehold.datasets.building import make_samples
from freehold.datasets.sampling import Recipe
from freehold.stats import looks
from freehold.stats.binary import tango_statistic, wilson_limits, z_quantile
from freehold.stats.compare import ScoreContext, compare_scores
from freehold.stats.rules import DecisionRule
from freehold.types.dataset import Sample
from freehold.types.evaluation import LookCount
from freehold.types.identity import looked_at
from freehold.types.trace import Trace
from freehold.workflows.prove.looks import look_at

ALPHA, MARGIN, WIN = 0.025, 0.05, 0.03
QUESTIONS, ADDED, EDITS, CANDIDATES = 600, 120, 10, 6
KEEPS = 0.7
"""Share of answers that stay right or wrong when the prompt is edited; the others are drawn again."""
AT = datetime(2026, 1, 1, tzinfo=UTC)


class _Step(NamedTuple):
    """One look: the held-out samples, and whether the answers are an edit's (else another model's)."""

    samples: Sequence[Sample]
    edit: bool
    dataset: str


def _held_out(count: int, system: str, seed: int) -> list[Sample]:
    traces = [
        Trace(
            id=f"t{number}",
            at=AT,
            source="import:rows.csv",
            model="m",
            request={
                "messages": [
                    {"role": "system", "content": system},
                    {"role": "user", "content": f"Is lamp {number * 7919} in stock?"},
                ]
            },
            response={"choices": [{"message": {"role": "assistant", "content": "yes"}}]},
            gold=("yes", "no")[number % 2],
        )
        for number in range(count)
    ]
    made = make_samples(traces, Recipe(held_out=0.8, validation=0.05, seed=seed, near_duplicates=0))
    return list(made.by_split["held_out"])


def _story() -> list[_Step]:
    """Evaluate, edit the prompt ten times, add data, split again, try five more candidates; look each time."""
    steps = [
        _Step(_held_out(QUESTIONS, "Answer" + ", please" * edit, 0), edit > 0, f"edit {edit}")
        for edit in range(EDITS + 1)
    ]
    last = "Answer" + ", please" * EDITS
    steps.append(_Step(_held_out(QUESTIONS + ADDED, last, 0), True, "more data"))
    split_anew = _held_out(QUESTIONS + ADDED, last, 1)
    steps.append(_Step(split_anew, True, "split again"))
    steps += [_Step(split_anew, False, "split again")] * (CANDIDATES - 1)
    return steps


def _counts(steps: Sequence[_Step], planned: int) -> list[LookCount]:
    known, found = [], []
    for number, step in enumerate(steps):
        names = "incumbent", f"candidate {number}"
        look = look_at(
            step.samples,
            evaluation_id=f"e{number}",
            dataset_id=step.dataset,
            names=names,
            alpha=ALPHA,
        )
        found.append(looks.count(known, look, allowed=ALPHA, plan=looks.LookPlan(planned)))
        known.append(msgspec.structs.replace(look, alpha=found[-1].alpha))
    return found


def _drawn(rng: np.random.Generator, count: int) -> np.ndarray:
    """Candidate minus incumbent for each question: worse by the margin on average."""
    uniform = rng.random(count)
    return (uniform < WIN).astype(np.int8) - (uniform > 1 - WIN - MARGIN).astype(np.int8)


def _edited(rng: np.random.Generator, before: np.ndarray) -> np.ndarray:
    return np.where(rng.random(len(before)) < KEEPS, before, _drawn(rng, len(before)))


def _promotes(d: np.ndarray, alpha: float, *, look: int = 1) -> bool:
    """`compare_scores` on the pairs. What cannot pass the score test, which every promote does, is not asked."""
    wins, losses = int((d > 0).sum()), int((d < 0).sum())
    if tango_statistic(wins, losses, len(d), -MARGIN) <= z_quantile(alpha) - 1e-9:
        return False
    found = compare_scores(
        [str(place) for place in range(len(d))],
        (d <= 0).astype(float).tolist(),
        (d >= 0).astype(float).tolist(),
        DecisionRule(margin=MARGIN, alpha=alpha),
        context=ScoreContext(looks=look),
    )
    return found.verdict == "promote"


def _places(steps: Sequence[_Step]) -> list[list[int]]:
    """Which of all the story's questions each step looks at."""
    items = sorted({looked_at(sample) for step in steps for sample in step.samples})
    places = {item: place for place, item in enumerate(items)}
    return [[places[looked_at(sample)] for sample in step.samples] for step in steps]


def _told(
    rng: np.random.Generator,
    steps: Sequence[_Step],
    where: Sequence[Sequence[int]],
    plans: Mapping[int, Sequence[LookCount]],
) -> Iterator[str | int]:
    """One story: the names of the ways of counting under which it promotes."""
    answers = [_drawn(rng, 1 + max(map(max, where)))]
    for step in steps[1:]:
        answers.append(_edited(rng, answers[-1]) if step.edit else _drawn(rng, len(answers[0])))
    seen = [given[place] for given, place in zip(answers, where, strict=True)]
    for planned, counts in plans.items():
        pairs = zip(counts, seen, strict=True)
        if any(count.may_promote and _promotes(d, count.alpha) for count, d in pairs):
            yield planned
    if any(_promotes(d, ALPHA) for d in seen):
        yield "each"
    for number in _first_by_dataset(steps):
        # The rows of each edit so far, with the answers given then, and those of this look.
        rows = [answers[edit][where[number]] for edit in range(min(number, EDITS))]
        if _promotes(np.concatenate([*rows, seen[number]]), ALPHA):
            yield "before"
            return


def _first_by_dataset(steps: Sequence[_Step]) -> list[int]:
    """Steps that are the first at their dataset: the others counted as further looks before, too."""
    return [
        number
        for number, step in enumerate(steps)
        if all(step.dataset != one.dataset for one in steps[:number])
    ]


def story(runs: int, seed: int) -> Block:
    """Block M: whole stories by the rule, by one that takes each look for the first, and by the one before."""
    steps = _story()
    block = Block(
        "M",
        "false promote over a whole story",
        f"{len(steps)} looks: a first evaluation on {len(steps[0].samples)} held-out questions, {EDITS} edits of the "
        f"prompt, {ADDED} questions added, a new split, {CANDIDATES - 1} more candidates. Every candidate is worse by "
        f"exactly the margin ({MARGIN}, win rate {WIN}); an edit leaves {KEEPS:.0%} of the answers as they were; "
        f"{runs} stories, seed {seed}. In italics: each look taken for the first; and the rule before questions had an "
        "identity, under which an edit added its rows to those there and began a new count.",
        "any false promote in a story at most 0.025",
        ("looks counted", "planned", "may promote", "any false promote", "95 % interval"),
    )
    plans = {planned: _counts(steps, planned) for planned in (1, len(steps))}
    where = _places(steps)
    rng = np.random.default_rng(seed)
    hits: Counter[str | int] = Counter()
    for _ in range(runs):
        hits.update(_told(rng, steps, where, plans))
    for planned, counts in plans.items():
        able = sum(one.may_promote for one in counts)
        cell = Cell(hits[planned] / runs, ALPHA, runs=runs)
        block.rows.append(
            ("by items", str(planned), f"{able} of {len(steps)}", cell, _interval(hits[planned], runs))
        )
    for name, key, able in (
        ("*none*", "each", len(steps)),
        ("*by dataset, as before*", "before", len(_first_by_dataset(steps))),
    ):
        cell = Cell(hits[key] / runs, ALPHA, runs=runs, naive=True)
        block.rows.append((name, "1", f"{able} of {len(steps)}", cell, _interval(hits[key], runs)))
    return block


def overlapping(runs: int, seed: int) -> Block:
    """Block N: two looks that share some of their items, by what would be if the second were not counted."""
    block = Block(
        "N",
        "two looks that share some items",
        f"Two looks at 480 questions each, the second after an edit of the prompt, or of another candidate; worse by "
        f"exactly the margin as above; {runs} runs, seed {seed}. Any question in common makes the second a further "
        "look, which cannot promote. Beside it: what would be if it were not counted. With no question in common they "
        "are two stories, each with an error of its own: 5 % together. So the rule is strict where little is shared, "
        "and it needs no guess of how much is little.",
        "any false promote at most 0.025 where a question is shared",
        ("shared", "look of the second", "rule", "not counted: edit", "not counted: other candidate"),
    )
    samples = _held_out(1300, "Answer", 0)[:960]
    rng = np.random.default_rng(seed)
    for shared in (0, 48, 240, 432, 480):
        start = 480 - shared
        steps = [_Step(samples[:480], False, "one"), _Step(samples[start : start + 480], True, "two")]
        second = _counts(steps, 1)[1]
        rule = edit = other = 0
        for _ in range(runs):
            first = _drawn(rng, 960)
            one = _promotes(first[:480], ALPHA)
            after_edit = _promotes(_edited(rng, first)[start : start + 480], ALPHA)
            of_other = _promotes(_drawn(rng, 960)[start : start + 480], ALPHA)
            rule += one or (second.may_promote and after_edit)
            edit += one or after_edit
            other += one or of_other
        target = ALPHA if shared else None
        block.rows.append(
            (
                f"{shared / 480:.0%}",
                str(second.number),
                Cell(rule / runs, target, runs=runs),
                Cell(edit / runs),
                Cell(other / runs),
            )
        )
    return block


def _interval(hits: int, runs: int) -> str:
    low, high = wilson_limits(hits, runs, ALPHA)
    return f"{low:.4f} to {high:.4f}"
