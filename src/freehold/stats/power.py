"""Planner: how many pairs are needed, what a given n can show, what a finished run could have seen.

Sources: Tango 1998 (sample size from the score test's variance); noncentral t for continuous differences. Exact
power sums the trinomial over the promote region (`exact`). Observed power is not offered: it says nothing the interval
does not say.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

from freehold.errors import UsageError
from freehold.stats.exact import (
    GUARD_UP_TO_N,
    binomial_at_most,
    crossing,
    normal_cdf,
    promote_probability,
    promotes,
    z_quantile,
)
from freehold.stats.rules import MIN_PAIRS_PROMOTE

EXACT_UP_TO_N = 5000
PLANNED_DISCORDANCE = 0.05
"""Share of items that exactly one of two equally good models gets right, with which is planned: that of a good
candidate on a closed task. A larger share needs more items."""
PLANNING_DISCORDANCES = (0.02, 0.05, 0.1, 0.2, 0.4)
MOST_PAIRS = 10**12
"""What is planned up to: at more, the search would go on in steps below the precision of a float."""
_CERTAIN = 1e6
_SIMPSON, _SIMPSON_OF_A_BELL = 400, 100
# Degrees of freedom from which the scale's density is a bell, so that a fourth of the steps is as exact.
_BELL = 30
_RULE_OF_THREE = 3.7  # -ln(0.025), rounded up: zero discordant pairs in n still allow 3.7 / n


class BinaryPlan(NamedTuple):
    """Pairs for one assumption. `power` is exact where `exact` is true, else from the normal formula."""

    n: int
    n_normal: int
    power: float
    exact: bool


class ContinuousPlan(NamedTuple):
    """Pairs and their power by the noncentral t distribution."""

    n: int
    power_at_n: float


def _check(
    *,
    discordance: float,
    true_difference: float,
    margin: float,
    alpha: float,
    power: float,
    incumbent_rate: float | None = None,
) -> None:
    if not 0 < margin < 1:
        raise UsageError(f"margin is {margin}, expected between 0 and 1", hint="0.02 is two points")
    if not 0 < alpha < 0.5:
        raise UsageError(f"alpha is {alpha}, expected between 0 and 0.5", hint="0.025 is the usual choice")
    if not 0 < power < 1:
        raise UsageError(f"power is {power}, expected between 0 and 1", hint="0.8 is the usual choice")
    if not 0 <= discordance <= 1:
        raise UsageError(f"discordance is {discordance}, expected from 0 to 1")
    if abs(true_difference) > discordance + 1e-12:
        raise UsageError(
            f"a true difference of {true_difference} needs a discordance of at least {abs(true_difference)}, "
            f"not {discordance}",
            hint="discordance is the share of items that exactly one of the two models gets right",
        )
    if true_difference <= -margin:
        raise UsageError(
            f"a candidate that is worse by {-true_difference} can't be shown to stay within {margin}",
            hint="assume a true difference above minus the margin",
        )
    if incumbent_rate is not None:
        both = 2 * incumbent_rate + true_difference
        if discordance > min(both, 2 - both) + 1e-12:
            raise UsageError(
                f"a discordance of {discordance} is impossible at an incumbent rate of {incumbent_rate} "
                f"and a difference of {true_difference}: at most {min(both, 2 - both):g}"
            )


def z_sum(alpha: float, power: float) -> float:
    """How many standard errors lie between what is to be excluded and what is true, at an error and a power."""
    return z_quantile(alpha) + z_quantile(1 - power)


def noninferiority_n_normal(
    *,
    discordance: float,
    margin: float,
    true_difference: float = 0.0,
    alpha: float = 0.025,
    power: float = 0.8,
) -> int:
    """``ceil((z_a + z_b)^2 (psi - D^2) / (D + margin)^2)``: a little optimistic, the start of the search."""
    spread = max(discordance - true_difference**2, 0.0)
    return max(1, math.ceil(z_sum(alpha, power) ** 2 * spread / (true_difference + margin) ** 2 - 1e-9))


def exact_power(
    n: int,
    *,
    discordance: float,
    margin: float,
    true_difference: float = 0.0,
    alpha: float = 0.025,
    guard: bool = True,
) -> float:
    """Probability that n pairs pass the promote rule, by summing the trinomial. `guard` as in the verdict."""
    wins, losses = (discordance + true_difference) / 2, (discordance - true_difference) / 2
    return promote_probability(n, wins, losses, margin, alpha, guard=guard)


def noninferiority_n_binary(
    *,
    discordance: float,
    margin: float,
    true_difference: float = 0.0,
    alpha: float = 0.025,
    power: float = 0.8,
    design_effect: float = 1.0,
    incumbent_rate: float | None = None,
    guard: bool = True,
) -> BinaryPlan:
    """Pairs needed to promote with the wanted power: the normal formula, raised until exact power suffices.

    Above 5,000 pairs the formula stands. The result is multiplied by `design_effect` for clustered items.
    Raises `UsageError` for impossible assumptions.
    """
    _check(
        discordance=discordance,
        true_difference=true_difference,
        margin=margin,
        alpha=alpha,
        power=power,
        incumbent_rate=incumbent_rate,
    )
    normal = noninferiority_n_normal(
        discordance=discordance, margin=margin, true_difference=true_difference, alpha=alpha, power=power
    )

    def scaled(n: int) -> int:
        return math.ceil(n * design_effect - 1e-9)

    if normal > EXACT_UP_TO_N:
        return BinaryPlan(scaled(normal), scaled(normal), power, exact=False)

    wins, losses = (discordance + true_difference) / 2, (discordance - true_difference) / 2

    def reached(n: int) -> bool:
        return promotes(n, wins, losses, margin, alpha, power, guard=guard)

    # Power rises in n but for a saw-tooth; the step below it keeps the search short.
    low, high = 0, max(normal, 2)
    while not reached(high) and high <= 4 * EXACT_UP_TO_N:
        low, high = high, math.ceil(high * 1.1) + 2
    low = max(low, int(high / 1.3) - 3) if low else int(high * 0.6)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    value = exact_power(
        high,
        discordance=discordance,
        margin=margin,
        true_difference=true_difference,
        alpha=alpha,
        guard=guard and high <= GUARD_UP_TO_N,
    )
    return BinaryPlan(scaled(high), scaled(normal), value, exact=True)


def continuous_power(
    n: int, *, sd: float, margin: float, true_difference: float = 0.0, alpha: float = 0.025
) -> float:
    """Power of the one-sided t test of H0: mean <= -margin at n pairs."""
    df, noncentrality = n - 1, (true_difference + margin) / sd * math.sqrt(n)
    if noncentrality > _CERTAIN:
        return 1.0
    return 1 - _noncentral_t(df, noncentrality, _t_quantile(df, alpha))


def _noncentral_t(df: int, noncentrality: float, t: float) -> float:
    """P(T <= t): the normal distribution function over the scale's density, by Simpson's rule."""
    reach, steps = 10 / math.sqrt(2 * df), _SIMPSON if df < _BELL else _SIMPSON_OF_A_BELL
    low, width = max(0.0, 1 - reach), (1 + reach - max(0.0, 1 - reach)) / steps
    total = weights = 0.0
    for step in range(steps + 1):
        scale = low + width * step
        above = scale - 1
        log_density = (df - 1) * math.log1p(above) if scale > 0 else (0.0 if df == 1 else -math.inf)
        weight = (1 if step in (0, steps) else 4 if step % 2 else 2) * math.exp(
            log_density - df * above * (1 + above / 2)
        )
        weights += weight
        total += weight * normal_cdf(t * scale - noncentrality)
    return total / weights


@lru_cache(maxsize=1024)
def _t_quantile(df: int, alpha: float) -> float:
    """The upper `alpha` quantile of Student's t, of a bell by Newton's steps."""
    low = z_quantile(alpha)
    if df >= _BELL:
        height = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - math.log(df * math.pi) / 2
        for _ in range(6):
            density = math.exp(height - (df + 1) / 2 * math.log1p(low * low / df))
            low += (1 - alpha - _noncentral_t(df, 0.0, low)) / density
        return low
    high = 2 * low
    while _noncentral_t(df, 0.0, high) < 1 - alpha:
        low, high = high, 2 * high
    return crossing(lambda t: _noncentral_t(df, 0.0, t) < 1 - alpha, low, high, 1e-10 * high)[1]


def noninferiority_n_continuous(
    *,
    sd: float,
    margin: float,
    true_difference: float = 0.0,
    alpha: float = 0.025,
    power: float = 0.8,
    design_effect: float = 1.0,
) -> ContinuousPlan:
    """Smallest n whose noncentral-t power reaches the target, times `design_effect`."""
    if sd <= 0:
        raise UsageError(f"standard deviation is {sd}, expected above 0")
    if true_difference <= -margin:
        raise UsageError(
            f"a candidate that is worse by {-true_difference} can't be shown to stay within {margin}"
        )
    if (roots := abs(z_sum(alpha, power)) * sd / (true_difference + margin)) > math.sqrt(MOST_PAIRS):
        raise UsageError(
            f"a standard deviation of {sd:g} needs more than {MOST_PAIRS:,} items to show {true_difference + margin:g}"
        )
    n = max(2, math.floor(roots**2) - 3)

    def reached(pairs: int) -> float:
        return continuous_power(pairs, sd=sd, margin=margin, true_difference=true_difference, alpha=alpha)

    while reached(n) < power:
        n += 1
    while n > 2 and reached(n - 1) >= power:
        n -= 1
    return ContinuousPlan(math.ceil(n * design_effect - 1e-9), reached(n))


def discordance_upper(discordant: int, n: int, *, confidence: float = 0.8) -> float:
    """Clopper-Pearson upper limit of the discordance seen in a pilot: what to plan with."""
    if discordant >= n:
        return 1.0
    return crossing(
        lambda rate: binomial_at_most(discordant, n, rate) > 1 - confidence, discordant / n, 1.0, 1e-12
    )[1]


def smallest_detectable(discordant: float, n: float, *, alpha: float = 0.025, power: float = 0.8) -> float:
    """The margin this n could prove if both were equal: ``(z_a + z_b) sqrt(psi / n)``.

    psi is the observed discordance, floored at 3.7 / n (rule of three).
    """
    return z_sum(alpha, power) * math.sqrt(max(discordant / n, min(1.0, _RULE_OF_THREE / n)) / n)


def items_needed(margin: float, alpha: float = 0.025) -> int:
    """Items that settle it with a good chance: 80 % power for an equally good candidate that differs on a twentieth of
    them, and as many as the verdict asks for at least. The number that `init`, `power` and the check before a journey
    all name."""
    plan = noninferiority_n_binary(discordance=PLANNED_DISCORDANCE, margin=margin, alpha=alpha)
    return max(plan.n, zero_loss_n(margin, alpha), MIN_PAIRS_PROMOTE)


def zero_loss_n(margin: float, alpha: float = 0.025) -> int:
    """Pairs needed when not one is discordant: score limit, exact tail and guard must all pass."""
    z = z_quantile(alpha)
    n = math.ceil(max(z * z * (1 - margin) / margin, math.log(alpha) / math.log1p(-margin)) - 1e-9)
    while not promotes(n, 0.0, 0.0, margin, alpha, 0.5):
        n += 1
    return n


def rare_loss_n(margin: float, alpha: float = 0.025, *, true_difference: float = 0.0) -> int:
    """Pairs from which losses of the whole range too rare to be seen hide no drop of `margin`, for scores between the
    ends of the range (`continuous.rare_loss_p`). Shares of the range; `true_difference` is above -margin."""
    rate = (true_difference + margin) / (true_difference + 1)
    return math.ceil(math.log(alpha) / math.log1p(-rate))


def rare_loss_limit(n: Any, margin: float, alpha: float = 0.025) -> Any:
    """The mean difference from which n pairs without a total loss exclude a drop of `margin` by losses too rare to be
    seen: ``(rate - margin) / (1 - rate)`` with ``rate = 1 - alpha^(1/n)``. Shares of the range; n broadcasts."""
    rate = 1 - alpha ** (1 / n)
    return (rate - margin) / (1 - rate)


def partial_credit_power(
    n: int, *, sd: float, margin: float, true_difference: float = 0.0, alpha: float = 0.025
) -> float:
    """Power of the promote rule for scores between the ends of the range, with n pairs of which none is a total loss.

    The t test and the test of losses too rare to be seen both ask for a mean above a limit: the higher one decides.
    Shares of the range.
    """
    by_spread = continuous_power(n, sd=sd, margin=margin, true_difference=true_difference, alpha=alpha)
    return min(_power_of_rare_losses(n, sd, margin, true_difference, alpha), by_spread)


def _power_of_rare_losses(n: int, sd: float, margin: float, true_difference: float, alpha: float) -> float:
    return normal_cdf((true_difference - rare_loss_limit(n, margin, alpha)) * math.sqrt(n) / sd)


def partial_credit_n(
    *,
    sd: float,
    margin: float,
    true_difference: float = 0.0,
    alpha: float = 0.025,
    power: float = 0.8,
    design_effect: float = 1.0,
) -> ContinuousPlan:
    """Smallest n whose `partial_credit_power` reaches the target, times `design_effect`. Raises as
    `noninferiority_n_continuous`."""

    def reached(pairs: int) -> float:  # by the spread it is, from the first n on that is tried here
        return _power_of_rare_losses(pairs, sd, margin, true_difference, alpha)

    high = noninferiority_n_continuous(
        sd=sd, margin=margin, true_difference=true_difference, alpha=alpha, power=power
    ).n
    low = high - 1
    while reached(high) < power:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) >= power else (middle, high)
    found = partial_credit_power(high, sd=sd, margin=margin, true_difference=true_difference, alpha=alpha)
    return ContinuousPlan(math.ceil(high * design_effect - 1e-9), found)


def power_at(
    n: int, *, discordance: float, margin: float, true_difference: float = 0.0, alpha: float = 0.025
) -> float:
    """Power at n: exact up to 5,000 pairs, by the normal formula above."""
    if n <= EXACT_UP_TO_N:
        return exact_power(
            n, discordance=discordance, margin=margin, true_difference=true_difference, alpha=alpha
        )
    spread = max(discordance - true_difference**2, 1e-12)
    return normal_cdf((true_difference + margin) * math.sqrt(n / spread) - z_quantile(alpha))
