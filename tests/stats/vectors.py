"""How a test vector's method and inputs are turned into calls of `freehold.stats`."""

import math

import numpy as np
from benchmarks.calibration import bare_counts

from freehold.stats import (
    binary,
    clustered,
    continuous,
    exact,
    judges,
    power,
    rules,
    sequential,
    slices,
)
from freehold.stats.compare import compare_scores


def _alpha(i, two_sided=False):
    if "alpha_one_sided" in i:
        return i["alpha_one_sided"]
    if "alpha_two_sided" in i:
        return i["alpha_two_sided"] / 2
    return i.get("alpha", 0.05 if two_sided else 0.025)


def tango_ci(i):
    if i["n"] == 0:
        return {"estimate": None, "lower": None, "upper": None}
    return binary.tango_ci(i["wins"], i["losses"], i["n"], _alpha(i))._asdict()


def noninferiority_test(i):
    counts = i["wins"], i["losses"], i["n"]
    z = exact.score(*counts, -i["margin"])
    return {
        "z_tango": z,
        "p_tango": exact.normal_cdf(-z),
        "p_exact_unconditional": exact.p_promote(*counts, i["margin"]),
    }


def paired_t_ci(i):
    return continuous.paired_t_ci(
        np.array(i["differences"], dtype=float), alpha=_alpha(i), margin=i.get("margin", 0.0)
    )._asdict()


def cluster_robust_mean(i):
    codes = clustered.encode_clusters(i["cluster_ids"])
    return clustered.cluster_robust_mean(
        codes, np.array(i["differences"], dtype=float), alpha=_alpha(i)
    )._asdict()


def noninferiority_n_binary(i):
    assumptions = {
        "discordance": i["discordance"],
        "true_difference": i.get("true_difference", 0.0),
        "margin": i["margin"],
        "alpha": _alpha(i),
    }
    n = power.noninferiority_n_normal(**assumptions, power=i["power"])
    at_n = power.exact_power(n, **assumptions, guard=False)
    return {"n_normal": n, "exact_power_of_score_test_at_n_normal": at_n}


def noninferiority_n_continuous(i):
    return power.noninferiority_n_continuous(
        sd=i["sd_of_differences"],
        true_difference=i.get("true_difference", 0.0),
        margin=i["margin"],
        alpha=_alpha(i),
        power=i["power"],
    )._asdict()


def adjust_p(i):
    return {"holm": slices.holm(i["p_values"])}


def order_swap(i):
    return judges.order_swap(i["candidate_first"], i["candidate_second"])._asdict()


def empirical_bernstein(i):
    lower = sequential.empirical_bernstein_lower_cs(
        i["x"],
        alpha=i["alpha"],
        truncation=i.get("truncation", 0.5),
    )
    if i.get("running_intersection", False):
        lower = np.maximum.accumulate(lower)
    return {"lower_at_t": {str(t): float(value) for t, value in enumerate(lower, 1)}}


def paired_grid(i):
    least = i["side"] == "rollback"
    state, log_e = sequential.MeanTest(limit=sequential.MeanLimit(-i["margin"], -1.0, 1.0, least)), []
    for value in i["d"]:
        state = state.update([value])
        log_e.append(state.log_e)
    crossed = (t for t, value in enumerate(log_e, 1) if value >= math.log(1 / i["alpha"]))
    return {"log_e_final": log_e[-1], "first_crossing_t": next(crossed, None), "log_e": log_e}


def worst_case_bounds(i):
    counts = [i[f"unscored_{side}"] for side in ("candidate_only", "incumbent_only", "both")]
    lost = [(1.0, None)] * counts[0] + [(None, 1.0)] * counts[1] + [(None, None)] * counts[2]
    ties = i["n_scored_pairs"] - i["wins"] - i["losses"]
    pairs = [(0.0, 1.0)] * i["wins"] + [(1.0, 0.0)] * i["losses"] + [(1.0, 1.0)] * ties + lost
    found = compare_scores(
        [str(row) for row in range(len(pairs))],
        [x for x, _ in pairs],
        [y for _, y in pairs],
        rules.DecisionRule(margin=0.05, alpha=_alpha(i)),
    )
    return {
        "estimate": found.difference,
        "lower_worst": found.lower_worst,
        "share_unscored": 1 - found.n / found.n_items,
    }


def paired_binary_verdict(i):
    return bare_counts.paired_binary_verdict(
        i["wins"],
        i["losses"],
        i["n_scored_pairs"],
        rules.DecisionRule(margin=i["margin"], alpha=_alpha(i)),
        unscored_pairs=i.get("unscored_pairs", 0),
        min_pairs_promote=i.get("min_pairs_promote", 30),
        guard_up_to_n=i.get("exact_guard_up_to_n", 2000),
    )._asdict()


def paired_items_verdict(i):
    pairs = list(zip(i["incumbent"], i["candidate"], strict=True))
    scored = [(x, y) for x, y in pairs if x is not None and y is not None]
    wins, losses = sum(y > x for x, y in scored), sum(y < x for x, y in scored)
    counts = {
        "wins": wins,
        "losses": losses,
        "n_scored_pairs": len(scored),
        "unscored_incumbent_only": sum(x is None and y is not None for x, y in pairs),
        "unscored_candidate_only": sum(x is not None and y is None for x, y in pairs),
        "unscored_both": sum(x is None and y is None for x, y in pairs),
    }
    whole = compare_scores(
        [str(row) for row in range(len(pairs))],
        i["incumbent"],
        i["candidate"],
        rules.DecisionRule(margin=i["margin"], alpha=_alpha(i)),
    )
    verdict = paired_binary_verdict(i | counts | {"unscored_pairs": len(pairs) - len(scored)})
    defaults = i.get("min_pairs_promote", 30) == 30
    if defaults and whole.reasons[0] != "margin_not_below_incumbent":
        assert (whole.verdict, whole.reasons[0]) == (verdict["verdict"], verdict["reason"])
    assert (whole.n, whole.b_only, whole.a_only) == (len(scored), wins, losses)
    return verdict | counts


def clustered_binary_verdict(i):
    codes, d = clustered.encode_clusters(i["cluster_ids"]), np.array(i["differences"], dtype=float)
    found = clustered.clustered_binary_limits(codes, d, margin=i["margin"], alpha=_alpha(i))
    decision = rules.decide(
        rules.Evidence(
            n=len(d),
            rule=rules.DecisionRule(margin=i["margin"], alpha=_alpha(i)),
            lower=found.lower,
            upper=found.upper,
            enough_to_promote=found.mean.clusters >= i.get("min_clusters_promote", 20),
            enough_to_reject=found.mean.clusters >= i.get("min_clusters_reject", 10),
        )
    )
    return found._asdict() | {
        "estimate": found.mean.estimate,
        "cluster_robust_lower": found.mean.lower,
        "cluster_robust_upper": found.mean.upper,
        "tango_neff_lower": found.tango[0],
        "tango_neff_upper": found.tango[1],
        "n_effective": len(d) / found.design_effect_used,
        "verdict": decision.outcome,
        "reason": decision.reason,
        "clusters": found.mean.clusters,
    }


def zero_variance_verdict(i):
    reach = i["score_range"]
    result = continuous.continuous_limits(
        np.full(i["n"], i["differences_all"]), margin=i["margin"], alpha=_alpha(i), hi=reach
    )
    decision = rules.decide(
        rules.Evidence(
            n=i["n"],
            rule=rules.DecisionRule(margin=i["margin"], alpha=_alpha(i), hi=reach),
            lower=result.lower,
            upper=result.upper,
        )
    )
    return {"lower": result.lower, "upper": result.upper, "verdict": decision.outcome}


def slice_harm(i):
    counts = [bare_counts.SliceCounts(s["name"], s["wins"], s["losses"], s["n"]) for s in i["slices"]]
    return bare_counts.slice_harm(
        counts, margin=i["margin"], alpha=i.get("alpha", 0.05), min_n=i.get("min_n", 20)
    )._asdict()


METHODS = {
    "tango_ci": tango_ci,
    "noninferiority_test": noninferiority_test,
    "paired_t_ci": paired_t_ci,
    "cluster_robust_mean": cluster_robust_mean,
    "noninferiority_n_binary": noninferiority_n_binary,
    "noninferiority_n_continuous": noninferiority_n_continuous,
    "adjust_p": adjust_p,
    "order_swap": order_swap,
    "empirical_bernstein_lower_cs": empirical_bernstein,
    "paired_grid_e_process": paired_grid,
    "worst_case_bounds": worst_case_bounds,
    "paired_binary_verdict": paired_binary_verdict,
    "paired_items_verdict": paired_items_verdict,
    "clustered_binary_verdict": clustered_binary_verdict,
    "paired_continuous_verdict_zero_variance": zero_variance_verdict,
    "slice_harm": slice_harm,
}

LEFT_OUT = {
    "mcnemar", "bca_ci", "sign_flip_permutation", "superiority_n_binary", "rogan_gladen", "ppi_mean",
    "beta_binomial_log_e", "newcombe_square_and_add_ci", "posthoc_smallest_margin",
    "hedged_betting_log_wealth", "quantile_cs_ranks", "aipw_canary_e_process", "e_detectors",
}  # fmt: skip
"""Methods that freehold does not have."""


def is_other_rule(vector):
    """Whether a vector is of a rule that forgives some unscored pairs, as freehold does not."""
    unscored = vector["inputs"].get("unscored_pairs", 0)
    items = vector["inputs"].get("n_scored_pairs", 0) + unscored
    return 0 < unscored <= vector["inputs"].get("max_unscored_share", 0) * items
