"""Is the candidate good enough? Plans, and verdicts from scores or from two files of answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freehold.api.project import here
from freehold.api.values import FilePath
from freehold.errors import UsageError
from freehold.progress import Progress

if TYPE_CHECKING:
    from freehold.types.evaluated import Evaluation
    from freehold.types.evaluation import PairedResult, PowerPlan

Pair = tuple[float | bool | None, float | bool | None]
"""The incumbent's score of an item and the candidate's; None where one could not be scored."""


def power(
    margin: float,
    *,
    alpha: float = 0.025,
    power: float = 0.8,
    n: int | None = None,
    discordance: float | None = None,
    incumbent_rate: float | None = None,
    cluster_size: float = 1.0,
    icc: float = 0.0,
) -> PowerPlan:
    """How many items are needed to promote, or what `n` of them can show?

    `margin` is the largest drop you accept (0.02: two points), `alpha` one-sided. `discordance` is the share of items
    on which the two models differ; without it several are planned with. `icc` is the correlation within clusters of
    `cluster_size` items. Raises `UsageError` for impossible assumptions.
    """
    from freehold.workflows.prove.power import PowerAssumptions, PowerTarget, plan

    assumed = PowerAssumptions(
        discordance=discordance, incumbent_rate=incumbent_rate, cluster_size=cluster_size, icc=icc
    )
    return plan(PowerTarget(margin, alpha, power), assumed, n=n)


def compare(
    pairs: FilePath | Iterable[Pair],
    *,
    margin: float,
    alpha: float = 0.025,
    clusters: Sequence[str | None] | None = None,
    slices: Sequence[str] | Mapping[str, Sequence[str | None]] = (),
    bounds: tuple[float, float] = (0.0, 1.0),
    looks: int = 1,
) -> PairedResult:
    """Is the candidate good enough? A verdict from bare pairs of scores, with no model at all.

    `pairs` are (incumbent, candidate) scores of the same items, or a file of JSON lines
    ``{"id", "a", "b", "cluster"?}``. `clusters` names each item's independent unit (a conversation, a user). `slices`
    are declared parts: names of the file's fields, or a value for each item by name. `looks` says how often these items
    were compared, this time included. Raises `UsageError`, `InputError`.
    """
    from freehold.stats.compare import ScoreContext
    from freehold.stats.rules import DecisionRule
    from freehold.workflows.prove.compare import compare_file, compare_values

    rule = DecisionRule(margin=margin, alpha=alpha, lo=bounds[0], hi=bounds[1])
    context = ScoreContext(looks=looks)
    if isinstance(pairs, str | PathLike):
        if clusters is not None or isinstance(slices, Mapping):
            raise UsageError(
                "a file names clusters and slices itself", hint="give names of its fields as slices"
            )
        return compare_file(Path(pairs), rule, slices=slices, context=context)
    if not isinstance(slices, Mapping) and slices:
        raise UsageError("values are sliced by values", hint='slices={"language": ["de", "en", …]}')
    scores = list(pairs)
    if any(not isinstance(one, tuple | list) or len(one) != 2 for one in scores):
        raise UsageError("pairs are (incumbent, candidate) scores, two for each item")
    return compare_values(
        [incumbent for incumbent, _ in scores],
        [candidate for _, candidate in scores],
        rule,
        clusters=clusters,
        slices=slices if isinstance(slices, Mapping) else None,
        context=context,
    )


def evaluate(
    incumbent: FilePath,
    candidate: FilePath,
    *,
    gold: FilePath | None = None,
    scorer: str | None = None,
    options: Mapping[str, Any] | None = None,
    margin: float | None = None,
    planned_looks: int = 1,
    progress: Progress | None = None,
) -> Evaluation:
    """Is the candidate good enough, on your items? From two files of answers (JSON lines, or another tool's results).

    `gold` holds right answers where the files have none. What is not said comes from `[task]` of the project around the
    current folder; without one the scores that stand in the files count. The look at these items is counted in the
    project's store. `Project.evaluate` asks a served candidate. Raises `InputError`, `UsageError`.
    """
    return here().evaluate_files(
        incumbent,
        candidate,
        gold=gold,
        scorer=scorer,
        options=options,
        margin=margin,
        planned_looks=planned_looks,
        progress=progress,
    )
