"""Blocks X to Z: twenty generations of one model, each swapped in only where it is proven.

Each look draws fresh items: whether incumbent, anchor, the generation served and the new one are right, and whether
the new one is sure. A new generation changes answers of the one served: the more were swapped in, the more does it
differ from the anchor. Levels are the product's (`next_level`, for each project by what came of its looks); its tests
are those of `compare_scores`, by counts, and the first projects are put to that function itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Literal, NamedTuple

import numpy as np

from benchmarks.calibration.table import Block, Cell
from freehold.stats import exact
from freehold.stats.binary import tango_statistic, wilson_limits, z_quantile
from freehold.stats.compare import compare_scores
from freehold.stats.generations import BUDGET, GenerationLevel, GenerationLook, conclude, gamma, next_level
from freehold.stats.rules import DecisionRule
from freehold.stats.sequential import MeanLimit, log_mean_exp

GENERATIONS = 20
_RIGHT = 0.5  # the anchor: leaves room for twenty gains of two points
_BEHIND = 0.08  # how often one of incumbent and anchor is right and the other not
_SURE = (0.4, 0.8)  # how often a wrong answer and a right one are sure, and served
_SAME = 1e-9
_CHECKED = 1
_SERVED, _ANCHOR, _MIXTURE = range(3)
_LOOKS = {
    pair: GenerationLook(swapped=pair[0], better=pair[1])
    for pair in ((False, False), (True, False), (True, True))
}
Array = np.ndarray


class Plan(NamedTuple):
    """`margin`, fresh items a look, the share of items on which a generation and the one served differ, and the share
    that is unsettled: half of these are right, now the one half and now the other."""

    margin: float
    items: int
    differ: float = 0.05
    unsettled: float = 0.2


class Truth(NamedTuple):
    """What is true of each project before a look: the probability of [settled or not, incumbent, anchor, served is
    right], and how good the anchor and the one served are."""

    joint: Array
    anchor: Array
    served: Array


class Story(NamedTuple):
    """How good each new generation truly is, by its number, the truth so far and the margin; how often what is wrong
    and what is right is sure; and by how much the incumbent is ahead of the anchor, in margins."""

    name: str
    gains: Callable[[np.random.Generator, int, Truth, float], Array]
    sure: tuple[float, float] = _SURE
    ahead: float = 0.0


class Level(NamedTuple):
    """Levels of the same look in all projects."""

    swap: Array
    better: Array


class Way(NamedTuple):
    """How levels are set, what is tested, and by what: score tests, e-values or bare estimates."""

    levels: Callable[[list[tuple[GenerationLook, ...]]], Level]
    tests: tuple[int, ...] = (_SERVED, _ANCHOR, _MIXTURE)
    by: Literal["score", "e-value", "estimate"] = "score"


@lru_cache(maxsize=100_000)
def _next(history: tuple[GenerationLook, ...]) -> GenerationLevel:
    return next_level(history)


def _recycled(histories: list[tuple[GenerationLook, ...]]) -> Level:
    found = [_next(history) for history in histories]
    return Level(np.array([one.swap_alpha for one in found]), np.array([one.better_alpha for one in found]))


def _fixed(histories: list[tuple[GenerationLook, ...]]) -> Level:
    level = np.full(len(histories), BUDGET * gamma(len(histories[0]) + 1))
    return Level(level, level)


def _whole(histories: list[tuple[GenerationLook, ...]]) -> Level:
    level = np.full(len(histories), BUDGET)
    return Level(level, level)


RULE = Way(_recycled)
BEFORE_ONLY = Way(_recycled, tests=(_SERVED,))
EACH = Way(_whole)
SHARED = Way(_fixed)
BETTING = Way(_recycled, by="e-value")
GREEDY = Way(_whole, tests=(_SERVED,), by="estimate")


class Told(NamedTuple):
    """Of each project and look: what was swapped in and claimed, and what of it was wrong; the gain on the anchor."""

    swapped: Array
    claimed: Array
    broken: Array
    false_claim: Array
    gain: Array


def tell(rng: np.random.Generator, one: Story, plan: Plan, projects: int, way: Way = RULE) -> Told:
    """Twenty looks of each project, by one way of setting levels."""
    truth = _begin(one, plan, projects)
    histories: list[tuple[GenerationLook, ...]] = [()] * projects
    seen = []
    for number in range(1, GENERATIONS + 1):
        gain = one.gains(rng, number, truth, plan.margin)
        joint = _stepped(truth.joint, gain, plan)
        counts = rng.multinomial(plan.items, _with_sureness(joint, one.sure).reshape(projects, -1))
        differences = _differences(counts.reshape(projects, 2, 2, 2, 2, 2))
        level = way.levels(histories)
        swapped, better = _decided(differences, plan, level, way)
        if way is RULE and number in (1, GENERATIONS):
            for row in range(min(_CHECKED, projects)):
                _check(differences[:, :, row], plan, next_level(histories[row]), (swapped[row], better[row]))
        true = _true(joint, one.sure)
        seen.append(
            (
                swapped,
                better,
                swapped & (true <= -plan.margin + _SAME).any(axis=0),
                better & (true[_SERVED] <= _SAME),
            )
        )
        after = joint.sum(axis=4)
        served = np.where(swapped, after.sum(axis=(1, 2, 3))[:, 1], truth.served)
        truth = Truth(np.where(swapped[:, None, None, None, None], after, truth.joint), truth.anchor, served)
        pairs = zip(swapped.tolist(), better.tolist(), strict=True)
        histories = [(*history, _LOOKS[pair]) for history, pair in zip(histories, pairs, strict=True)]
    return Told(*np.array(seen).transpose(1, 2, 0), truth.served - truth.anchor)


def _begin(one: Story, plan: Plan, projects: int) -> Truth:
    """Incumbent and anchor, which is the one served at first."""
    unsettled, ahead = plan.unsettled, one.ahead * plan.margin
    of_anchor = np.array(
        [[1 - _RIGHT - unsettled / 2, _RIGHT - unsettled / 2], [unsettled / 2, unsettled / 2]]
    )
    wins, losses = (_BEHIND - ahead) / 2 / _RIGHT, (_BEHIND + ahead) / 2 / (1 - _RIGHT)
    of_incumbent = np.array([[1 - losses, wins], [losses, 1 - wins]])  # by [incumbent, anchor]
    joint = np.zeros((projects, 2, 2, 2, 2))
    for anchor in (0, 1):
        joint[..., anchor, anchor] = np.outer(of_anchor[:, anchor], of_incumbent[:, anchor])
    return Truth(joint, np.full(projects, _RIGHT), np.full(projects, _RIGHT))


def _stepped(joint: Array, gain: Array, plan: Plan) -> Array:
    """With the new generation as one axis more: settled items make it better or worse by `gain`, the unsettled ones
    make up the rest of what differs."""
    (wrong, right), unsettled = joint.sum(axis=(2, 3))[:, 0].T, joint.sum(axis=(2, 3))[:, 1]
    either_way = np.maximum(plan.differ - np.abs(gain), 0) / 2
    moved = np.array(
        [
            [_part(np.maximum(gain, 0), wrong), _part(np.maximum(-gain, 0), right)],
            [_part(either_way, unsettled[:, 0]), _part(either_way, unsettled[:, 1])],
        ]
    )
    # By [served, new, settled or not, project].
    move = np.array([[1 - moved[:, 0], moved[:, 0]], [moved[:, 1], 1 - moved[:, 1]]])
    return np.asarray(joint[..., None] * move.transpose(3, 2, 0, 1)[:, :, None, None])


def _part(of: Array, whole: Array) -> Array:
    return np.clip(of / np.maximum(whole, _SAME), 0, 1)


def _with_sureness(joint: Array, sure: tuple[float, float]) -> Array:
    """Without settledness, and with whether the new generation is sure as the last axis."""
    return np.asarray(joint.sum(axis=1)[..., None] * np.array([[1 - one, one] for one in sure]))


def _differences(counts: Array) -> Array:
    """Wins and losses of the new generation by [against served, against anchor, its mixture against the incumbent]."""
    by_served, by_anchor = counts.sum(axis=(1, 2, 5)), counts.sum(axis=(1, 3, 5))
    by_incumbent = counts.sum(axis=(2, 3))[..., 1]
    return np.array([(pair[:, 0, 1], pair[:, 1, 0]) for pair in (by_served, by_anchor, by_incumbent)])


def _true(joint: Array, sure: tuple[float, float]) -> Array:
    """The true differences that `_differences` estimates."""
    found = _differences(_with_sureness(joint, sure))
    return np.asarray(found[:, 0] - found[:, 1])


def _decided(differences: Array, plan: Plan, level: Level, way: Way) -> tuple[Array, Array]:
    """Which are swapped in, and which of them are claimed to be better."""
    wins, losses = differences[:, 0], differences[:, 1]
    n, at = plan.items, list(way.tests)
    if way.by == "estimate":
        swapped = (wins >= losses)[at].all(axis=0)
        return swapped, swapped & (wins > losses)[_SERVED]
    if way.by == "e-value":
        shown = _e_value(wins, losses, n, plan.margin) >= 1 / level.swap
        swapped = shown[at].all(axis=0)
        return swapped, swapped & (_e_value(wins, losses, n, 0.0)[_SERVED] >= 1 / level.better)
    statistic = tango_statistic(wins, losses, n, -plan.margin)
    swapped = (statistic >= _critical(level.swap, plan))[at].all(axis=0)
    shown = statistic[_SERVED] >= _critical(level.better, plan)
    above = tango_statistic(wins[_SERVED], losses[_SERVED], n, 0.0) > _by_level(level.better, z_quantile)
    return swapped, swapped & shown & above


def _critical(levels: Array, plan: Plan) -> Array:
    return _by_level(levels, partial(exact.critical_value, plan.items, -plan.margin))


def _by_level(levels: Array, value: Callable[[float], float]) -> Array:
    """A value for each level; few are different."""
    different, place = np.unique(levels, return_inverse=True)
    return np.array([value(one) for one in different.tolist()])[place]


def _e_value(wins: Array, losses: Array, n: int, margin: float) -> Array:
    """Of all items of a look against "worse by the margin", as `MeanTest` has it."""
    growth = MeanLimit(-margin, -1.0, 1.0).log_growth([1.0, -1.0, 0.0])
    counts = np.stack([wins, losses, n - wins - losses], axis=-1)
    return np.exp(log_mean_exp(counts @ growth))


def _check(differences: Array, plan: Plan, level: GenerationLevel, decided: tuple[bool, bool]) -> None:
    """Hold the counts' decision to what the product makes of the items."""

    def compared(place: int, alpha: float):
        wins, losses = differences[place].tolist()
        d = np.zeros(plan.items)
        d[:wins], d[wins : wins + losses] = 1, -1
        rule = DecisionRule(margin=plan.margin, alpha=alpha)
        names = [str(item) for item in range(plan.items)]
        return compare_scores(names, (d <= 0).astype(float).tolist(), (d >= 0).astype(float).tolist(), rule)

    look = conclude(
        level,
        served=compared(_SERVED, level.swap_alpha),
        anchor=compared(_ANCHOR, level.swap_alpha),
        mixture=compared(_MIXTURE, level.swap_alpha),
        better=compared(_SERVED, level.better_alpha),
    )
    assert (look.swapped, look.better) == decided


def _as_good(rng: np.random.Generator, number: int, truth: Truth, margin: float) -> Array:
    return np.zeros(len(truth.served))


def _by(gain: float, margins: float = 0.0) -> Callable[[np.random.Generator, int, Truth, float], Array]:
    """Each differs from the one served by as much."""
    return lambda rng, number, truth, margin: np.full(len(truth.served), gain + margins * margin)


def _wandering(rng: np.random.Generator, number: int, truth: Truth, margin: float) -> Array:
    return rng.normal(0.0, margin / 2, len(truth.served))


def _in_turn(gain: float, *, of_anchor: bool) -> Callable[[np.random.Generator, int, Truth, float], Array]:
    """A good one to hand its level on, then one worse than the anchor, or than the one served, by the margin."""

    def gains(rng: np.random.Generator, number: int, truth: Truth, margin: float) -> Array:
        edge = (truth.anchor - truth.served if of_anchor else 0.0) - margin
        return np.full(len(truth.served), gain) if number % 2 else np.full(len(truth.served), edge)

    return gains


def _last_worse(rng: np.random.Generator, number: int, truth: Truth, margin: float) -> Array:
    return np.full(len(truth.served), -margin if number == GENERATIONS else 0.02)


_NULLS = (
    Story("worse than the one before by the margin", _by(0.0, -1.0)),
    Story("as good; worse than the anchor by the margin", _in_turn(0.0, of_anchor=True)),
    Story("2 points better; worse than the anchor by the margin", _in_turn(0.02, of_anchor=True)),
    Story("2 points better; worse than the one before by the margin", _in_turn(0.02, of_anchor=False)),
    Story("half a margin worse than the one before", _by(0.0, -0.5)),
    Story("nineteen 2 points better, the last worse by the margin", _last_worse),
    Story("as good, its mixture worse by the margin", _as_good, sure=(1.0, 1.0), ahead=1.0),
)
_NO_GAIN = (Story("as good", _as_good), Story("as good on average", _wandering))


def _plans(*, full: bool, quick_items: int = 300) -> list[Plan]:
    if full:
        return [Plan(margin, n) for margin in (0.03, 0.02) for n in (1000, 300)]
    return [Plan(0.03, quick_items)]


def wrong_swaps(runs: int, seed: int, *, full: bool) -> Block:
    """Block X: projects in which any generation was swapped in that breaks a promise."""
    block = Block(
        "X",
        "wrong swaps over twenty generations",
        f"{runs} projects a row, seed {seed}; {GENERATIONS} generations, each looked at on fresh items and swapped in "
        "where it is proven not worse than the one served and than the anchor, and its mixture not worse than the "
        f"incumbent, each at the generation's level of a budget of {BUDGET:g}. A generation and the one served differ "
        "on 5 % of items; one item of five is unsettled, and half of these are right, now the one half and now the "
        "other. Broken: any was swapped in that is worse by the margin in one of the three. Two after a semicolon: in "
        "turn. Swaps: a project. Beside the rule: each look at the whole budget; the rule without anchor and "
        "incumbent; and greedy, which takes what scores no worse than the one before. In italics where that breaks "
        "the promise.",
        f"any broken in at most {BUDGET:g} of projects",
        (
            "each generation",
            "margin",
            "items",
            "swaps",
            "any broken",
            "95 % interval",
            "each at 0.05",
            "the one before only",
            "greedy",
        ),
    )
    rng = np.random.default_rng(seed)
    for plan in _plans(full=full):
        for one in _NULLS:
            told = tell(rng, one, plan, runs)
            broken = told.broken.any(axis=1)
            others = (
                tell(rng, one, plan, runs, way).broken.any(axis=1) for way in (EACH, BEFORE_ONLY, GREEDY)
            )
            block.rows.append(
                (
                    one.name,
                    f"{plan.margin:g}",
                    f"{plan.items:,}",
                    f"{told.swapped.sum(axis=1).mean():.1f}",
                    Cell(float(broken.mean()), BUDGET, runs=runs),
                    _interval(broken),
                    *(_beside(other, BUDGET) for other in others),
                )
            )
    return block


def no_gain(runs: int, seed: int, *, full: bool) -> Block:
    """Block Y: claims of better where nothing is, and what is left of the anchor after twenty generations."""
    block = Block(
        "Y",
        "twenty generations without a gain",
        f"As in block X; {runs} projects a row, seed {seed}. As good: each generation is exactly as good as the one "
        "served; on average: its difference is drawn with a standard deviation of half a margin. Claimed: any "
        "generation is said to be better than the one before, and is not. Lost: after twenty, what is served is worse "
        "than the anchor by more than the margin. Gain: of what is served, on the anchor, in points; its mean, and the "
        "lowest of forty projects. Beside: claims at 0.05 each, and what is lost where only the one before is asked.",
        f"claimed in at most {BUDGET:g} of projects, lost in at most 0.025",
        (
            "each generation",
            "margin",
            "items",
            "swaps",
            "claimed",
            "95 % interval",
            "each at 0.05",
            "lost",
            "gain",
            "2.5 % below",
            "lost, the one before only",
        ),
    )
    rng = np.random.default_rng(seed)
    for plan in _plans(full=full):
        for one in _NO_GAIN:
            told, each, before = (tell(rng, one, plan, runs, way) for way in (RULE, EACH, BEFORE_ONLY))
            claimed, lost = told.false_claim.any(axis=1), told.gain < -plan.margin - _SAME
            block.rows.append(
                (
                    one.name,
                    f"{plan.margin:g}",
                    f"{plan.items:,}",
                    f"{told.swapped.sum(axis=1).mean():.1f}",
                    Cell(float(claimed.mean()), BUDGET, runs=runs),
                    _interval(claimed),
                    _beside(each.false_claim.any(axis=1), BUDGET),
                    Cell(float(lost.mean()), 0.025, runs=runs),
                    _points(told.gain.mean()),
                    _points(np.quantile(told.gain, 0.025)),
                    _beside(before.gain < -plan.margin - _SAME, 0.025),
                )
            )
    return block


def swaps_gained(runs: int, seed: int, *, full: bool) -> Block:
    """Block Z: how many good generations are swapped in, and how many are said to be better."""
    block = Block(
        "Z",
        "power over twenty generations",
        f"As in block X, each generation truly better than the one served by the gain, in points; {runs} projects a "
        f"row, seed {seed}. Differ: the share of items on which it and the one served do. Swapped, better: shares of "
        "all generations, of which the first has the largest level where nothing is handed on. After twenty: the gain "
        "on the anchor, in points. Beside the rule: the same budget with nothing handed on; and e-values of all items "
        "of a look in place of the score tests, at the same levels.",
        "at least 0.8 swapped with 1,000 items and a gain of 2 points",
        (
            "gain",
            "differ",
            "unsettled",
            "margin",
            "items",
            "swapped",
            "better",
            "after twenty",
            "swapped, not handed on",
            "better, not handed on",
            "swapped, e-values",
            "better, e-values",
        ),
    )
    rng = np.random.default_rng(seed)
    for gain, plan in _gains(full=full):
        one = Story("", _by(gain))
        told, shared, betting = (tell(rng, one, plan, runs, way) for way in (RULE, SHARED, BETTING))
        wanted = 0.8 if gain and plan.items == 1000 else None
        block.rows.append(
            (
                f"{100 * gain:g}",
                f"{plan.differ:.0%}",
                f"{plan.unsettled:.0%}",
                f"{plan.margin:g}",
                f"{plan.items:,}",
                Cell(float(told.swapped.mean()), wanted, "at least", runs=runs, digits=3),
                f"{told.claimed.mean():.3f}",
                _points(told.gain.mean()),
                *(f"{part.mean():.3f}" for part in (shared.swapped, shared.claimed)),
                *(f"{part.mean():.3f}" for part in (betting.swapped, betting.claimed)),
            )
        )
    return block


def _gains(*, full: bool) -> list[tuple[float, Plan]]:
    plans = _plans(full=full, quick_items=1000)
    rows = [
        (gain, plan._replace(differ=differ))
        for gain in ((0.02, 0.0) if full else (0.02,))
        for plan in plans
        for differ in ((0.03, 0.05, 0.08) if full else (0.05,))
    ]
    if full:
        rows += [(0.0, plan._replace(unsettled=1.0)) for plan in plans if plan.items == 1000]
    return rows


def _points(gain: float) -> str:
    return f"{round(100 * float(gain), 1) + 0.0:+.1f}"  # without a minus before 0


def _beside(hits: Array, most: float) -> Cell:
    """What is done instead, in italics where it breaks the promise."""
    rate = float(hits.mean())
    breaks = rate > Cell(rate, most, runs=len(hits)).error * 2.6 + most
    return Cell(rate, most if breaks else None, naive=breaks)


def _interval(hits: Array) -> str:
    low, high = wilson_limits(int(hits.sum()), len(hits), 0.025)
    return f"{low:.4f} to {high:.4f}"
