"""Generations of one model, each swapped in only where it is proven: what each look at one may err by.

Generation k = 1, 2, ... is looked at on items that no look was at before. It is swapped in only where three things are
proven there: it is not worse than the one served before it by the margin, not worse than the anchor (the first
that was promoted), and what it would answer with the incumbent behind it is not worse than the incumbent. One promise
that does not hold makes the swap wrong, and a wrong swap needs the test of that very promise to err. So each of the
three has the whole level of its generation (intersection-union: Berger 1982).

The levels share one budget, the probability that any swap ever breaks one of these promises (online fallback: Tian &
Ramdas 2021; Wiens & Dmitrienko 2005 for a fixed number):

    level_k = budget gamma_k + (level_{k-1} if generation k-1 was swapped in, else 0),    gamma_k = k^-1.6 / zeta(1.6)

Why it holds. Call a generation bad where one of its promises does not hold: until the first bad one is swapped in, each
bad one hands nothing on, so the levels of any two are made of different gammas, and all of theirs add up to at most the
budget, whatever the good ones did and however many follow. Given all that was before it, a bad one is swapped in with
at most its level. So the first bad swap ever happens with at most the budget (a union bound).

That asks for p-values that hold given the past: a generation may be trained on anything that was looked at before, and
on none of the items it is looked at by. Those must be audited without knowing its answers. A level is spent when the
look is taken, before its result is known: a look that was broken off counts as one that swapped nothing, and another
at the same generation has the next number. A generation that was proven and not swapped in hands on nothing, which
errs on the side of care.

*Better than the one before* is another claim, with a budget of its own: the same recursion, in which only such a claim
hands its level on. It is made only of a generation that is swapped in, so its level is never above that of the swap.

Not covered: looks that share items (`looks`), another anchor or budget (each begins a new sequence with an error of its
own), and how far the anchor may be from the incumbent, which its own proof has promised.

Sources: Tian & Ramdas 2021, Statistical Methods in Medical Research 30:976; Wiens & Dmitrienko 2005, Journal of
Biopharmaceutical Statistics 15:929; Berger 1982, Technometrics 24:295.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from freehold.errors import UsageError
from freehold.types.evaluation import PairedResult
from freehold.types.record import Record

BUDGET = 0.05
"""Probability that any swap ever breaks a promise; and, apart from it, that any claim of better is ever false."""
DECAY = 1.6
"""44 % of the budget is the first look's, 88 % the first twenty's. A slower decay gives more to later ones."""
_ZETA = 2.2857656656801293  # of `DECAY`: the shares of all looks add up to 1


class GenerationLook(Record, frozen=True, kw_only=True):
    """What came of one look: nothing, as of one that was broken off, unless it is said."""

    swapped: bool = False
    better: bool = False
    """Whether it was claimed to be better than the one before; only of one that was swapped in."""


class GenerationLevel(Record, frozen=True, kw_only=True):
    """What the look of this number may err by.

    Both are one-sided, as `DecisionRule.alpha` is: the probability of a promote at exactly minus the margin; the limits
    of a result at alpha are those of a two-sided interval at 1 - 2 alpha. Nothing is halved, so a budget of 0.05 is 5 %
    of wrong swaps.
    """

    number: int
    swap_alpha: float
    better_alpha: float


def gamma(number: int) -> float:
    """The share of the budget that is the look's own, whatever came of those before it."""
    return float(number**-DECAY) / _ZETA


def next_level(history: Sequence[GenerationLook], *, budget: float = BUDGET) -> GenerationLevel:
    """The level of the look after those of `history`, the oldest first. To be stored before the look is taken.

    Raises `UsageError` for a budget outside (0, 0.5), and for a look that claims better of what was not swapped in.
    """
    if not 0 < budget < 0.5:
        raise UsageError(
            f"the budget is {budget:g}, expected between 0 and 0.5", hint="0.05 is the usual choice"
        )
    for number, look in enumerate(history, 1):
        if look.better and not look.swapped:
            raise UsageError(f"look {number} claims better of a generation that was not swapped in")
    return GenerationLevel(
        number=len(history) + 1,
        swap_alpha=_level((look.swapped for look in history), budget),
        better_alpha=_level((look.better for look in history), budget),
    )


def conclude(
    level: GenerationLevel,
    *,
    served: PairedResult,
    anchor: PairedResult,
    mixture: PairedResult,
    better: PairedResult,
) -> GenerationLook:
    """What comes of a look: swapped in where all three proofs promote, and better where that is shown besides.

    `served`, `anchor` and `mixture` are at `swap_alpha`: against the generation served before, against the anchor, and
    what would be served against the incumbent. `better` is against the generation served before, at `better_alpha`.
    Raises `ValueError` for one at a larger alpha than the level.
    """
    proofs = (served, anchor, mixture)
    if max(one.alpha for one in proofs) > level.swap_alpha or better.alpha > level.better_alpha:
        raise ValueError(f"a comparison errs by more than look {level.number} may")
    swapped = all(one.promoted for one in proofs)
    return GenerationLook(swapped=swapped, better=swapped and "superior" in better.reasons)


def _level(handed_on: Iterable[bool], budget: float) -> float:
    """The level after looks of which some hand theirs on."""
    level = budget * gamma(1)
    for number, hands_on in enumerate(handed_on, 2):
        level = budget * gamma(number) + (level if hands_on else 0.0)
    return level
