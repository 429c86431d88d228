"""`freehold power`: how many items are needed, or what a given number can show."""

from __future__ import annotations

import math

from freehold.errors import UsageError
from freehold.stats import power as planner
from freehold.types.evaluation import PowerPlan, PowerRow


def plan(
    *,
    margin: float,
    alpha: float = 0.025,
    power: float = 0.8,
    discordance: float | None = None,
    pilot: tuple[int, int] | None = None,
    true_difference: float | None = None,
    incumbent_rate: float | None = None,
    sd: float | None = None,
    cluster_size: float = 1.0,
    icc: float = 0.0,
    n: int | None = None,
    self_noise: float | None = None,
) -> PowerPlan:
    """Plan a comparison before anything is scored.

    Scores are binary unless `sd`, the standard deviation of the differences, is given. `pilot` is
    (discordant pairs, pairs): its upper 80 % limit is planned with. Without either a row is made for each of
    five discordances. Without `true_difference` rows are made for "equal" and "worse by a quarter of the
    margin". `cluster_size` and `icc` multiply by ``1 + (size - 1) icc``. With `n` each row also says the power
    that n has. Raises `UsageError` for impossible assumptions.
    """
    if cluster_size < 1 or not 0 <= icc <= 1:
        raise UsageError(f"cluster size {cluster_size:g} and correlation {icc:g}: expected >= 1 and 0 to 1")
    if pilot is not None and not 0 <= pilot[0] <= pilot[1] != 0:
        raise UsageError(f"a pilot of {pilot[0]} discordant among {pilot[1]} pairs is impossible")
    effect = 1 + (cluster_size - 1) * icc
    truths = (0.0, -margin / 4) if true_difference is None else (true_difference,)
    rows: list[PowerRow] = []
    if sd is not None:
        for truth in truths:
            found = planner.noninferiority_n_continuous(
                sd=sd, margin=margin, true_difference=truth, alpha=alpha, power=power, design_effect=effect
            )
            at_n = None
            if n is not None:
                pairs = max(2, math.floor(n / effect))
                at_n = planner.continuous_power(
                    pairs, sd=sd, margin=margin, true_difference=truth, alpha=alpha
                )
            rows.append(
                PowerRow(
                    discordance=None,
                    true_difference=truth,
                    n=found.n,
                    n_normal=None,
                    power=found.power_at_n,
                    exact=True,
                    power_at_n=at_n,
                )
            )
    else:
        if discordance is not None:
            assumed: tuple[float, ...] = (discordance,)
        elif pilot is not None:
            assumed = (planner.discordance_upper(*pilot),)
        else:
            assumed = planner.PLANNING_DISCORDANCES
        for psi in assumed:
            for truth in truths:
                if discordance is None and abs(truth) > psi:
                    continue
                rows.append(_binary_row(psi, truth, margin, alpha, power, effect, incumbent_rate, n))
    notes = []
    if effect > 1:
        notes.append(f"Clusters multiply the number of items by {effect:.2f}.")
    if pilot is not None and discordance is None:
        notes.append(f"Planned with the upper 80% limit of the pilot's {pilot[0]} of {pilot[1]} pairs.")
    if self_noise is not None:
        clone = planner.noninferiority_n_normal(
            discordance=self_noise, margin=margin, alpha=alpha, power=power
        )
        notes.append(f"The incumbent needs {clone} pairs to pass against itself.")
        if n is not None and margin < planner.smallest_provable_margin(n, self_noise):
            notes.append(
                f"A margin below {planner.smallest_provable_margin(n, self_noise):.4f} is not provable with {n} "
                "pairs against the incumbent's own noise."
            )
    return PowerPlan(
        margin=margin,
        alpha=alpha,
        power=power,
        design_effect=effect,
        n=n,
        zero_loss_n=math.ceil(planner.zero_loss_n(margin, alpha) * effect) if sd is None else None,
        rows=tuple(rows),
        notes=tuple(notes),
    )


def _binary_row(
    psi: float,
    truth: float,
    margin: float,
    alpha: float,
    power: float,
    effect: float,
    incumbent_rate: float | None,
    n: int | None,
) -> PowerRow:
    found = planner.noninferiority_n_binary(
        discordance=psi,
        margin=margin,
        true_difference=truth,
        alpha=alpha,
        power=power,
        design_effect=effect,
        incumbent_rate=incumbent_rate,
    )
    at_n = None
    if n is not None:
        pairs = max(1, math.floor(n / effect))
        at_n = planner.power_at(pairs, discordance=psi, margin=margin, true_difference=truth, alpha=alpha)
    return PowerRow(
        discordance=psi,
        true_difference=truth,
        n=found.n,
        n_normal=found.n_normal,
        power=found.power,
        exact=found.exact,
        power_at_n=at_n,
    )
