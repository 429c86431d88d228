"""What a comparison says, in sentences: its codes, what to do about each, and the notes next to its numbers. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from freehold.types.evaluation import PairedResult

REASONS: dict[str, str] = {
    "superior": "the candidate is measurably better than the incumbent",
    "noninferior": "a drop as large as the margin is excluded",
    "noninferior_but_measurably_worse": "the candidate is measurably worse, by less than the margin accepts",
    "worse_than_margin": "the candidate is shown to be worse by more than the margin",
    "no_scored_pairs": "no pair has two scores",
    "too_few_pairs": "too few independent pairs to promote on, whatever they show",
    "interval_spans_margin": "the interval reaches below minus the margin: not proven either way",
    "exact_test_not_passed": "the score limit passes but the exact test does not",
    "rare_losses_could_hide_harm": "losses too rare to show among so few items could hide a drop beyond the margin",
    "gone_items_could_hide_harm": "items that were evaluated before are gone; if all of them count as lost, a drop as "
    "large as the margin is not excluded",
    "removed_items_could_hide_harm": "items that were evaluated before were forgotten or too old to keep; if all of "
    "them count as lost, a drop as large as the margin is not excluded",
    "unscored_pairs_could_hide_harm": "if every unscored pair counts as lost, a drop as large as the margin is not "
    "excluded",
    "noise_could_explain_it": "the right answers are the incumbent's own single ones, and what it would lose against "
    "itself is not known",
    "measurably_worse_margin_not_excluded": "the candidate is measurably worse, and a drop as large as the margin is "
    "not excluded",
    "slice_harm": "a declared slice is harmed",
    "judge_uncalibrated": "a model judge scored and has not been calibrated with human labels",
    "judge_inconsistent": "the judge contradicts itself too often when the order is swapped",
    "cluster_dominates": "one cluster holds more than a fifth of the items",
    "repeated_look": "these items were evaluated before, and the error that was planned for is spent",
    "after_mixtures": "mixtures that answer less here were tested first, and one of them was not promoted",
    "margin_not_below_incumbent": "the margin is at least the incumbent's own score: nothing could fail it",
}
"""Every reason code a comparison can carry, with its sentence."""

WAYS_OUT: dict[str, str] = {
    "gone_items_could_hide_harm": "Evaluate all items that were evaluated before, or none of them.",
    "removed_items_could_hide_harm": "Hold out items that no evaluation has used: the removed ones stay away.",
    "unscored_pairs_could_hide_harm": "Score the unscored items: more items do not change that.",
    "noise_could_explain_it": "Ask the incumbent again (freehold freeze --repeats 2), or import right answers: then "
    "both models are compared alike.",
    "slice_harm": "Look at the losses in the harmed slice; training samples like them may mend it.",
    "judge_uncalibrated": "Label some items yourself (freehold label): a number of items does not calibrate a judge.",
    "judge_inconsistent": "Take another judge or a clearer rubric: this one says nothing sure of any number of items.",
    "cluster_dominates": "Hold out items of other clusters: more of the largest one count little.",
    "repeated_look": "Hold out items that no evaluation has used: adding some to these does not help.",
    "after_mixtures": "See the mixtures (freehold report).",
    "margin_not_below_incumbent": "Choose a margin well below the incumbent's score.",
}
"""What to do about each obstacle that more held-out items leave where it is."""


# What a reader must know next to a comparison's numbers, in sentences, the most important first. Pure.
#
# *Held-out items* prove, *training samples* teach. A sentence that asks for more says of which; held-out items are
# asked for only where their number is what stands in the way.

_UNEVEN_P = 0.01
_MUCH_MORE = 2.0
"""From how many times the incumbent's errors on a margin is pointed out."""


def noted(result: PairedResult) -> PairedResult:
    """The result with its notes."""
    return msgspec.structs.replace(result, notes=tuple(_notes(result)))


def _notes(k: PairedResult) -> Iterator[str]:
    yield from _imbalance(k)
    yield f"{REASONS[k.reasons[0]].capitalize()}."
    if k.n == 0:
        yield "No number can be computed: give scores for both models on the same items."
        return
    yield from _correction(k)
    if unscored := sum(k.unscored.values()):
        yield (
            f"{unscored} of {k.n + unscored} pairs are unscored. The interval is over the others; for a promote "
            "each of them counts as lost."
        )
    if k.ci_low is None:
        yield "All items belong to one cluster: there is one independent unit and no interval."
    elif k.verdict == "hold" and "as_judged" not in k.intervals:
        yield from _settling(k)
    yield from _units(k)
    yield from _scale(k)
    if k.clone_n is not None and k.power_ceiling is not None and k.n < k.clone_n:
        yield (
            f"The incumbent could hardly pass against itself: its noise alone needs {k.clone_n} pairs; "
            f"at {k.n} a perfect clone would be promoted {k.power_ceiling:.0%} of the time."
        )
    if small := sum(part.note is not None for part in k.slices):
        yield f"{small} slices are too small to test; the absence of a flag on them does not prove safety."


def _imbalance(k: PairedResult) -> Iterator[str]:
    """Whether missing scores follow the model: the exact two-sided sign test."""
    one, other = k.unscored["candidate_only"], k.unscored["incumbent_only"]
    both = one + other
    p = min(1.0, 2 * sum(math.comb(both, few) for few in range(min(one, other) + 1)) / 2**both)
    if p < _UNEVEN_P:
        yield (
            f"Unscored items fall unevenly on the two sides ({one} candidate only, {other} incumbent only, "
            f"p = {p:.2g}): missing scores depend on the model."
        )


def _correction(k: PairedResult) -> Iterator[str]:
    judged = k.intervals.get("as_judged")
    if judged is None or k.ci_low is None or k.ci_high is None:
        return
    low, high = judged
    yield f"As judged, before human labels corrected it, the difference lies in {_interval(low, high)}."
    if high < k.ci_low or k.ci_high < low:
        yield "Judge and people disagree by more than chance: read some of the pairs they see differently."


def _units(k: PairedResult) -> Iterator[str]:
    if k.n_groups is not None:
        yield f"{k.n} pairs in {k.n_groups} clusters: the clusters are the independent units."
        if "independent" in k.intervals and k.ci_low is not None and k.ci_high is not None:
            yield (
                f"Treating the items as independent would give {_interval(*k.intervals['independent'])} "
                f"instead of {_interval(k.ci_low, k.ci_high)}."
            )
    else:
        yield "Items treated as independent: no group was declared that holds two of them."
    if k.all_items is not None:
        known = "not known" if k.all_difference is None else f"{k.all_difference:+.4f}"
        yield (
            f"Of heavy users a few items count, drawn by their ids: {k.n_items:,} of {k.all_items:,} in all, so none "
            f"of them carries the verdict. Over all items the difference is {known}."
        )


def _scale(k: PairedResult) -> Iterator[str]:
    if not k.binary:
        yield "Scores are not binary: the mean is what is compared."
    elif k.error_ratio is None and k.incumbent_mean is not None:
        yield (
            "The incumbent is right on every item. If its own answers are the reference, compare with a "
            "second run of the incumbent instead, or every candidate looks worse."
        )
    elif k.error_ratio is not None and k.error_ratio > _MUCH_MORE:
        yield f"The margin allows {k.error_ratio:.1f} times the incumbent's errors."


def _settling(k: PairedResult) -> Iterator[str]:
    """The way on from a hold: one of other measures, other training, or more items."""
    others = [WAYS_OUT[reason] for reason in k.reasons if reason in WAYS_OUT]
    if others:
        yield from others
    elif k.difference is not None and k.difference <= -k.margin:
        yield (
            "The estimate is below minus the margin: more held-out items will probably not help. "
            "Better or more training samples may, or another base model."
        )
    elif k.needed_n is not None:
        truth = "as good as the incumbent" if k.needed_n_assumes == "equal" else "as far behind as seen"
        yield (
            f"About {k.needed_n:,} held-out items ({k.needed_n - k.n:,} more) would settle it with 80% power "
            f"if the candidate is {truth}. They are for the proof; training samples do not count."
        )
        if (slightly := k.needed_n_if_slightly_worse) is not None:
            yield f"If it is worse by a quarter of the margin: about {slightly:,} held-out items."


def _interval(low: float, high: float) -> str:
    return f"[{low:+.4f}, {high:+.4f}]"
