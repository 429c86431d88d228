"""Sentences for the codes that a comparison carries: what each says, and what to do about it."""

from __future__ import annotations

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
    "gone_items_could_hide_harm": "items that were looked at before are gone, and counting them as lost the margin is "
    "not excluded",
    "removed_items_could_hide_harm": "items that were looked at before were forgotten or too old to keep, and counting "
    "them as lost the margin is not excluded",
    "unscored_pairs_could_hide_harm": "counting every unscored pair as lost, the margin is not excluded",
    "noise_could_explain_it": "the right answers are the incumbent's own single ones, and what it would lose against "
    "itself is not known",
    "measurably_worse_margin_not_excluded": "measurably worse, and the margin is not excluded",
    "slice_harm": "a declared slice is harmed",
    "judge_uncalibrated": "a model judge scored and has not been calibrated with human labels",
    "judge_inconsistent": "the judge contradicts itself too often when the order is swapped",
    "cluster_dominates": "one cluster holds more than a fifth of the items",
    "repeated_look": "these items were looked at before, and the error that was planned for is spent",
    "after_mixtures": "mixtures that answer less are tested before, and one of them was not promoted",
    "margin_not_below_incumbent": "the margin is at least the incumbent's own score: nothing could fail it",
}
"""Every reason code a comparison can carry, with its sentence."""

WAYS_OUT: dict[str, str] = {
    "gone_items_could_hide_harm": "Look at all items that were looked at before, or at none of them.",
    "removed_items_could_hide_harm": "Hold out items that no evaluation has looked at: the removed ones stay away.",
    "unscored_pairs_could_hide_harm": "Score the unscored items: others beside them leave them as they are.",
    "noise_could_explain_it": "Ask the incumbent again (freehold freeze --repeats 2), or import right answers: then "
    "both models are compared alike.",
    "slice_harm": "Look at the losses in the harmed slice; training samples like them may mend it.",
    "judge_uncalibrated": "Label some items yourself (freehold label): a number of items does not calibrate a judge.",
    "judge_inconsistent": "Take another judge or a clearer rubric: this one says nothing sure of any number of items.",
    "cluster_dominates": "Hold out items of other clusters: more of the largest one count little.",
    "repeated_look": "Items that no evaluation has looked at lift that; more beside these do not.",
    "after_mixtures": "Look at the mixtures (freehold report).",
    "margin_not_below_incumbent": "Choose a margin well below the incumbent's score.",
}
"""What to do about each obstacle that more held-out items leave where it is."""
