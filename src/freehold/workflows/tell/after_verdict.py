"""What a verdict leaves to do: the way on from each of its reasons. Pure."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from freehold.types.journey import NextAction, OtherWay, VerdictFacts
from freehold.verdict.reasons import REASONS

ANOTHER_MODEL = OtherWay(sentence="Choose another model", command="freehold assess --write 3")
MORE_SAMPLES = OtherWay(
    sentence="Hold out samples that no evaluation has seen", command="freehold import FILE --held-out"
)
MIXTURE = OtherWay(
    sentence="Let the incumbent answer what the candidate is not sure of", command="freehold defer plan"
)
IN_DETAIL = OtherWay(sentence="Read the evidence", command="freehold report --open")


class _Way(NamedTuple):
    """A way on. `command` may hold ``{model}``."""

    sentence: str
    command: str
    others: tuple[OtherWay, ...] = (IN_DETAIL,)


_HELD_OUT = _Way("Hold out more samples, then prove again", MORE_SAMPLES.command, (IN_DETAIL, MIXTURE))

_TOO_LITTLE = (
    "interval_spans_margin", "measurably_worse_margin_not_excluded", "exact_test_not_passed",
    "rare_losses_could_hide_harm", "too_few_pairs", "cluster_dominates", "repeated_look", "gone_items_could_hide_harm",
    "removed_items_could_hide_harm",
)  # fmt: skip
WAYS: dict[str, _Way] = {
    **dict.fromkeys(_TOO_LITTLE, _HELD_OUT),
    "license_not_allowed": _Way(
        "Choose a model whose licence allows this use",
        ANOTHER_MODEL.command,
        (OtherWay(sentence="See what the licence says", command="freehold license {model}"), IN_DETAIL),
    ),
    "license_needs_separate_license": _Way(
        "Get a licence from the publisher, or choose another model",
        "freehold license {model}",
        (ANOTHER_MODEL, IN_DETAIL),
    ),
    "license_unclear": _Way(
        "Settle what the licence leaves open", "freehold license {model}", (ANOTHER_MODEL, IN_DETAIL)
    ),
    "license_not_ruled": _Way("Have the licence ruled on", "freehold license {model}"),
    "does_not_fit": _Way(
        "Find a quantization that fits this machine",
        "freehold fit {model} --quants",
        (ANOTHER_MODEL, IN_DETAIL),
    ),
    "worse_than_margin": _Way(
        "Stay on the incumbent for now, and try a better candidate",
        ANOTHER_MODEL.command,
        (MIXTURE, IN_DETAIL),
    ),
    "no_scored_pairs": _Way("See why no pair of answers has two scores", IN_DETAIL.command, ()),
    "unscored_pairs_could_hide_harm": _Way("See why answers were not scored", IN_DETAIL.command, ()),
    "noise_could_explain_it": _Way(
        "Ask the incumbent a second time, then prove again", "freehold freeze --repeats 2", (IN_DETAIL,)
    ),
    "slice_harm": _Way(
        "Bring in more traffic of the slice that loses, or leave it to the incumbent",
        "freehold import FILE",
        (
            OtherWay(
                sentence="Leave the slice to the incumbent: [defer] always_incumbent",
                command="freehold defer plan",
            ),
            IN_DETAIL,
        ),
    ),
    "judge_uncalibrated": _Way("Calibrate the judge with labels of your own", "freehold label"),
    "judge_inconsistent": _Way(
        "Name another judge in [task] options, then prove again", "freehold migrate", (IN_DETAIL,)
    ),
    "margin_not_below_incumbent": _Way(
        "State a smaller [task] margin, then prove again", "freehold migrate", (IN_DETAIL,)
    ),
    "after_mixtures": _Way("See what was planned with a fallback", "freehold report"),
    "parity_not_ok": _Way(
        "Compare what is served with what was trained on more samples", "freehold parity --samples 48"
    ),
    "retained_not_ok": _Way(
        "Train so that it keeps its other skills: fewer epochs, or [train] retain", "freehold migrate"
    ),
}
"""The way on from each reason that calls for hold or reject. A code that is not here leads to the report."""


def after_verdict(verdict: VerdictFacts) -> NextAction:
    """What to do about a verdict that is not a promotion. The reason that stands first decides; the ways on from the
    next ones are other ways."""
    code = verdict.codes[0] if verdict.codes else ""
    way = WAYS.get(code, _Way("Read why", IN_DETAIL.command, (ANOTHER_MODEL,)))
    more = [
        OtherWay(sentence=other.sentence, command=other.command)
        for other in (WAYS.get(one) for one in verdict.codes[1:])
        if other is not None and other.command != way.command
    ]
    others = {one.command: one for one in (*more, *way.others)}
    sentence = way.sentence
    if way is _HELD_OUT and verdict.needed_n is not None and verdict.n is not None:
        missing = verdict.needed_n - verdict.n
        if missing > 0:
            sentence = f"Hold out about {missing:,} more samples, then prove again"
    return NextAction(
        sentence=sentence,
        command=_filled(way.command, verdict),
        why=_why(verdict),
        others=tuple(
            OtherWay(sentence=one.sentence, command=_filled(one.command, verdict)) for one in others.values()
        ),
    )


def _filled(command: str, verdict: VerdictFacts) -> str:
    """The command for this candidate's model, whose name is quoted: it is copied into a shell."""
    return command.format(model=shlex.quote(verdict.model))


def _why(verdict: VerdictFacts) -> str:
    if not verdict.codes:
        return f"the verdict is {verdict.outcome}"
    known = REASONS.get(verdict.codes[0])
    return known if known is not None else verdict.texts[0].rstrip(".")
